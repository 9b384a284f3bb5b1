package oidctest

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestClientAuthentication(t *testing.T) {
	i := start(t)
	const words = "Invalid client or Invalid client credentials"
	post := func(id, secret string) url.Values {
		f := refreshForm("garbage")
		f.Set("client_id", id)
		if secret != "" {
			f.Set("client_secret", secret)
		}
		return f
	}
	for name, test := range map[string]struct {
		form   url.Values
		status int
		code   string
		words  string
	}{
		"post":          {post(ClientID, i.ClientSecret()), 400, "invalid_grant", "Invalid refresh token"},
		"wrong secret":  {post(ClientID, "wrong-secret"), 401, "unauthorized_client", words},
		"no secret":     {post(ClientID, ""), 401, "unauthorized_client", words},
		"unknown":       {post("nobody", "some-secret"), 401, "invalid_client", words},
		"public":        {post(PortalID, ""), 400, "invalid_grant", "Invalid refresh token"},
		"public, proof": {post(PortalID, "some-secret"), 401, "unauthorized_client", words},
	} {
		status, a := ask(t, i, Token, test.form)
		t.Log(name)
		refused(t, status, a, test.status, test.code, test.words)
	}
	i.Set(RequireAuth("client_secret_post"))
	status, a := ask(t, i, Token, refreshForm("garbage")) // by basic
	refused(t, status, a, 401, "unauthorized_client", "Invalid method used to get client secret. Client requires method 'client_secret_post' to obtain client secret from the request")
	i.SetClientSecret("another-secret")
	i.Set(RequireAuth(""))
	if status, _ = ask(t, i, Token, post(ClientID, "another-secret")); status != 400 {
		t.Errorf("rotated secret: %d", status)
	}
}

func TestStrictness(t *testing.T) {
	i := start(t)
	send := func(method, query, contentType, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, i.endpoint(Token)+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		req.SetBasicAuth(ClientID, i.ClientSecret())
		status, b, _ := do(t, req)
		return status, string(b)
	}
	const form = "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		method, query, contentType, body string
		status                           int
		in                               string
	}{
		"GET":           {"GET", "", form, "", 405, "405"},
		"JSON":          {"POST", "", "application/json", "{}", 415, "415"},
		"query":         {"POST", "?x=1", form, "grant_type=refresh_token", 400, "query"},
		"duplicate":     {"POST", "", form, "grant_type=refresh_token&scope=a&scope=b", 400, "duplicated parameter"},
		"unknown":       {"POST", "", form, "grant_type=refresh_token&nonce=b", 400, "unknown parameter: nonce"},
		"empty":         {"POST", "", form, "grant_type=refresh_token&scope=", 400, "without a value"},
		"no grant type": {"POST", "", form, "", 400, "Missing form parameter: grant_type"},
		"other grant":   {"POST", "", form, "grant_type=password", 400, "unsupported_grant_type"},
		"two proofs":    {"POST", "", form, "grant_type=refresh_token&refresh_token=x&client_id=" + ClientID + "&client_secret=x", 400, "more than one"},
		"many audience": {"POST", "", form, url.Values{"grant_type": {grantExchange}, "audience": {"a", "b"}}.Encode(), 400, "Invalid token"},
	} {
		status, body := send(test.method, test.query, test.contentType, test.body)
		if status != test.status || !strings.Contains(body, test.in) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if log := i.Requests(); len(log) != 10 || i.Count("token") != 10 || !log[0].Authorization || slices.ContainsFunc(log, func(r Request) bool { return r.Status == 0 }) {
		t.Errorf("log: %+v", log)
	}
}

func TestRequests_redacted(t *testing.T) {
	i := start(t)
	grantFor(t, i, "alice")
	r := i.Requests()[0]
	if r.Grant != "token-exchange" || r.ClientAuth != "basic" || r.ClientID != ClientID || r.Form.Get("subject_token") != "[redacted]" || r.Form.Get("scope") != seedScope || r.Status != 200 {
		t.Errorf("request: %+v", r)
	}
}

func TestMetadata(t *testing.T) {
	i := start(t)
	doc := get(t, i, Discovery)
	if doc["issuer"] != i.URL() || doc["token_endpoint"] != i.endpoint(Token) || doc["jwks_uri"] != i.endpoint(JWKS) || doc["revocation_endpoint"] != i.endpoint(Revocation) {
		t.Errorf("document: %v", doc)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, i.endpoint(Discovery), nil)
	_, _, h := do(t, req)
	req.Header.Set("If-None-Match", h.Get("ETag"))
	if status, body, _ := do(t, req); status != http.StatusNotModified || len(body) != 0 {
		t.Errorf("with its ETag: %d %q", status, body)
	}
	i.Inject(FaultNamed("issuer-other"))
	if status, _, _ := do(t, req); status != http.StatusOK {
		t.Errorf("changed: %d", status)
	}
	i.Clear()
	i.Set(OnlyRFC8414())
	if status, _, _ := do(t, req); status != http.StatusNotFound {
		t.Errorf("OpenID's address: %d", status)
	}
	if doc := get(t, i, Metadata); doc["issuer"] != i.URL() {
		t.Errorf("RFC 8414's address: %v", doc)
	}
}

func TestTLS(t *testing.T) {
	i := start(t, TLS(), Path("/auth/realms/master"))
	pem, err := os.ReadFile(i.CAFile())
	if err != nil || !strings.HasPrefix(i.URL(), "https://127.0.0.1:") || !strings.HasSuffix(i.URL(), "/auth/realms/master") {
		t.Fatalf("%s: %v", i.URL(), err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, i.endpoint(JWKS), nil)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	i.Close()
	if _, err := os.Stat(i.CAFile()); !os.IsNotExist(err) {
		t.Errorf("the CA file is left: %v", err)
	}
}

func TestControl(t *testing.T) {
	i := start(t, Control())
	call := func(method, path string) string {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), method, i.base+"/control/"+path, nil)
		_, b, _ := do(t, req)
		return strings.TrimSpace(string(b))
	}
	if got := call("GET", "issuer"); got != i.URL() {
		t.Errorf("issuer: %s", got)
	}
	if status, a := ask(t, i, Token, exchangeForm(call("POST", "user-token?user=carol&life=1m"))); status != 200 {
		t.Errorf("user token: %d %v", status, a)
	}
	if got := call("GET", "count?of=token-exchange"); got != "1" {
		t.Errorf("count: %s", got)
	}
	if got := call("GET", "grants?user=carol"); got != "1" {
		t.Errorf("grants: %s", got)
	}
	before := i.Clock.Now()
	call("POST", "advance?by=1h")
	if i.Clock.Now().Sub(before) < 0 || call("POST", "end-grants?user=carol") != "1" {
		t.Error("advance or end-grants")
	}
	call("POST", "fault?name=status-503&first=1")
	if status, _, _ := do(t, mustPost(t, i)); status != 503 {
		t.Errorf("fault: %d", status)
	}
	if got := call("POST", "fault?name=nonsense"); !strings.Contains(got, "no fault") {
		t.Errorf("unknown fault: %s", got)
	}
	plain := start(t)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, plain.base+"/control/client-secret", nil)
	if status, _, _ := do(t, req); status != 404 {
		t.Errorf("not asked for, but served: %d", status)
	}
}

func mustPost(t *testing.T, i *Issuer) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.endpoint(Token), strings.NewReader("grant_type=refresh_token&refresh_token=x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(ClientID, i.ClientSecret())
	return req
}
