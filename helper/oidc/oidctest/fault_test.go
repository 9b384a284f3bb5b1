package oidctest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// outcome is what a client without any care or patience gets.
type outcome struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func try(t *testing.T, i *Issuer, e Endpoint, form url.Values) outcome {
	t.Helper()
	return tryFor(t, i, e, form, 3*time.Second)
}

func tryFor(t *testing.T, i *Issuer, e Endpoint, form url.Values, timeout time.Duration) outcome {
	t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, i.endpoint(e), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(ClientID, i.ClientSecret())
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return outcome{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return outcome{resp.StatusCode, resp.Header, b, err}
}

func (o outcome) object() map[string]any {
	var v map[string]any
	_ = json.Unmarshal(o.body, &v)
	return v
}

func TestFaults_catalogue(t *testing.T) {
	seen, name := map[string]bool{}, regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, f := range Faults() {
		switch {
		case seen[f.Name]:
			t.Errorf("%s twice", f.Name)
		case !name.MatchString(f.Name), f.About == "":
			t.Errorf("%q: %q", f.Name, f.About)
		case f.Before == nil && f.Token == nil && f.Edit == nil && f.After == nil && f.Send == nil:
			t.Errorf("%s does nothing", f.Name)
		}
		seen[f.Name] = true
	}
	t.Logf("%d faults", len(seen))
	if len(seen) < 200 {
		t.Errorf("only %d faults", len(seen))
	}
}

// Each fault strikes, in a way that a client can see, and none breaks the issuer.
func TestFaults_strike(t *testing.T) {
	never := map[string]bool{"hang": true, "hang-after": true, "hang-in-body": true, "drip-forever": true}
	i := start(t)
	subject, good, keys := i.UserToken("alice"), grantFor(t, i, "alice"), keysOf(t, i)
	for _, f := range Faults() {
		if never[f.Name] {
			continue
		}
		i.Clear()
		i.Inject(f)
		e, form := f.Endpoint, exchangeForm(subject)
		if f.Grant == "refresh_token" {
			form = refreshForm(good["refresh_token"])
		}
		switch e {
		case Discovery, JWKS:
			form = nil
		case Any:
			e = Token
		}
		began := time.Now()
		out := try(t, i, e, form)
		if f.Harmless && (out.err != nil || out.status != 200) {
			t.Errorf("%s is not harmless: %d %v", f.Name, out.status, out.err)
		}
		if d := time.Since(began); testing.Verbose() && d > 100*time.Millisecond {
			t.Logf("%s took %v", f.Name, d)
		}
		if out.err == nil && out.status == 200 && e == Token && !differs(out, keys, time.Since(began)) {
			t.Errorf("%s leaves all as it is", f.Name)
		}
	}
	i.trouble.mu.Lock()
	defer i.trouble.mu.Unlock()
	for _, line := range i.trouble.lines {
		if strings.Contains(line, "panic") {
			t.Error(line)
		}
	}
}

// differs reports whether a token answer is one that a good issuer would not give.
func differs(o outcome, keys []any, took time.Duration) bool {
	a := o.object()
	access, _ := a["access_token"].(string)
	id, _ := a["id_token"].(string)
	refresh, _ := a["refresh_token"].(string)
	switch {
	case a == nil, a["error"] != nil, check(access, keys) != nil, check(id, keys) != nil, len(strings.Split(refresh, ".")) != 3,
		strings.ContainsAny(refresh, "\n\x00"),
		a["token_type"] != "Bearer", a["expires_in"] != 300.0, a["scope"] != seedScope, a["refresh_expires_in"] != 0.0,
		a["issued_token_type"] != typeRefreshToken && a["issued_token_type"] != nil,
		o.header.Get("Content-Encoding") != "", o.header.Get("Content-Type") != "application/json",
		len(o.body) > 1<<20, took > 500*time.Millisecond:
		return true
	case bytes.Count(o.body, []byte(`"access_token"`)) > 1, bytes.Contains(o.body, []byte("[[[[")):
		return true
	}
	return oddClaims(access, ClientID+" account") || oddClaims(id, ClientID) || len(access) > 10_000
}

// oddClaims reports whether a token says anything unusual.
func oddClaims(token, aud string) bool {
	parts := strings.Split(token, ".")
	c, err := decode(parts[1])
	if err != nil || bytes.Count(raw(parts[1]), []byte(`"sub"`)) != 1 || bytes.Count(raw(parts[1]), []byte(`"iss"`)) != 1 || bytes.Count(raw(parts[1]), []byte(`"exp"`)) != 1 {
		return true
	}
	head, _ := decode(parts[0])
	got, _ := c["aud"].(string)
	if many, ok := c["aud"].([]any); ok {
		for n, one := range many {
			if n > 0 {
				got += " "
			}
			text, _ := one.(string)
			got += text
		}
	}
	exp, _ := c["exp"].(float64)
	iat, _ := c["iat"].(float64)
	iss, _ := c["iss"].(string)
	now := float64(time.Now().Unix())
	return got != aud || c["azp"] != ClientID || c["sub"] != namedID("alice") || c["preferred_username"] != "alice" ||
		exp-iat != 300 || now-iat < -5 || now-iat > 60 || c["nbf"] != nil || head["typ"] != "JWT" ||
		!strings.HasPrefix(iss, "http://127.0.0.1:") || !strings.HasSuffix(iss, "/realms/test") ||
		c["typ"] != "Bearer" && c["typ"] != "ID" || c["typ"] == "ID" != (c["at_hash"] != nil)
}

func TestFaults_signature(t *testing.T) {
	i := start(t)
	keys := keysOf(t, i)
	for _, f := range slices.Concat(algorithmFaults(), signatureFaults(), headerFaults()) {
		i.Clear()
		i.Inject(f)
		a := try(t, i, Token, exchangeForm(i.UserToken("alice"))).object()
		kind := "access_token"
		if strings.HasPrefix(f.Name, "id-") {
			kind = "id_token"
		}
		if token, _ := a[kind].(string); token == "" || check(token, keys) == nil {
			t.Errorf("%s: the token passes (%d bytes)", f.Name, len(token))
		}
	}
	// What is published along with the fault is good for its signature.
	for _, name := range []string{"jwks-oct-signed", "jwks-rsa-512"} {
		i.Clear()
		i.Inject(FaultNamed(name))
		keys := keysOf(t, i)
		token, _ := try(t, i, Token, exchangeForm(i.UserToken("alice"))).object()["access_token"].(string)
		if len(keys) != 3 || check(token, keys) == nil {
			t.Errorf("%s: %d keys", name, len(keys))
		}
	}
}

func TestWeakRSA(t *testing.T) {
	k, err := newWeakRSA(512)
	if err != nil {
		t.Fatal(err)
	}
	s := mustSign("RS256", k, []byte("input"))
	em := leftPad(publicExp(s, k), 64)
	if em[0] != 0 || em[1] != 1 || em[2] != 0xff || !bytes.Contains(em, []byte{0x05, 0x00, 0x04, 0x20}) {
		t.Errorf("not a signature: %x", em)
	}
}

func TestFaults_when(t *testing.T) {
	i := start(t)
	token := grantFor(t, i, "alice")["refresh_token"]
	statuses := func(n int) (all []int) {
		for range n {
			all = append(all, try(t, i, Token, refreshForm(token)).status)
		}
		return all
	}
	for name, test := range map[string]struct {
		when []When
		want [4]int
	}{
		"always":        {nil, [4]int{503, 503, 503, 503}},
		"nth":           {[]When{Nth(2, 4)}, [4]int{200, 503, 200, 503}},
		"first":         {[]When{First(2)}, [4]int{503, 503, 200, 200}},
		"from":          {[]When{From(3)}, [4]int{200, 200, 503, 503}},
		"other grant":   {[]When{OnGrant("token-exchange")}, [4]int{200, 200, 200, 200}},
		"grant and nth": {[]When{OnGrant("refresh_token"), Nth(1)}, [4]int{503, 200, 200, 200}},
	} {
		remove := i.Inject(FaultNamed("status-503"), test.when...)
		if got := statuses(4); [4]int(got) != test.want {
			t.Errorf("%s: %v", name, got)
		}
		remove()
	}
	if got := statuses(1); got[0] != 200 {
		t.Error("not removed")
	}
	i.Inject(FaultNamed("status-429-seconds"))
	i.Inject(Slow(100 * time.Millisecond))
	began := time.Now()
	if out := try(t, i, Token, refreshForm(token)); out.status != 429 || out.header.Get("Retry-After") != "1" || time.Since(began) < 100*time.Millisecond {
		t.Errorf("together: %d after %v", out.status, time.Since(began))
	}
	i.Clear()
	i.Inject(FaultNamed("html").On(JWKS))
	if out := try(t, i, JWKS, nil); !bytes.Contains(out.body, []byte("<html>")) {
		t.Errorf("moved: %s", out.body)
	}
}

func TestFaults_spending(t *testing.T) {
	i := start(t, Refresh(Revoke))
	token := grantFor(t, i, "alice")["refresh_token"]
	for name, test := range map[string]struct{ spends bool }{
		"cut-before": {false}, "status-500": {false}, "redirect-307-other-host": {false},
		"cut-after": {true}, "reset-after": {true}, "cut-in-body": {true}, "status-500-after": {true}, "not-http": {true},
	} {
		token := grantFor(t, i, "alice")["refresh_token"]
		before := i.Refreshes()
		i.Inject(FaultNamed(name))
		if out := try(t, i, Token, refreshForm(token)); out.err == nil && out.status == 200 {
			t.Errorf("%s: %d bytes", name, len(out.body))
		}
		i.Clear()
		if spent := i.Refreshes() > before; spent != test.spends {
			t.Errorf("%s: spent %v", name, spent)
		}
	}
	i.Inject(FaultNamed("hang"))
	began := time.Now()
	go func() { time.Sleep(200 * time.Millisecond); i.Close() }()
	if out := try(t, i, Token, refreshForm(token)); out.err == nil || time.Since(began) > 2*time.Second {
		t.Errorf("hang: %v after %v", out.err, time.Since(began))
	}
}

func TestFaults_otherHost(t *testing.T) {
	i := start(t)
	i.Inject(FaultNamed("redirect-307-other-host"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.endpoint(Token), strings.NewReader(exchangeForm(i.UserToken("alice")).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req) // follows, as it should not
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	stolen := i.Stolen()
	if len(stolen) != 1 || stolen[0].Method != http.MethodPost || !stolen[0].Form.Has("subject_token") || stolen[0].Form.Get("subject_token") != "[redacted]" {
		t.Errorf("stolen: %+v", stolen)
	}
	i.Clear()
	i.Inject(FaultNamed("token-other-port"))
	if doc := get(t, i, Discovery); !strings.HasPrefix(doc["token_endpoint"].(string), i.OtherURL()) {
		t.Errorf("token endpoint: %v", doc["token_endpoint"])
	}
}

func TestFaults_echo(t *testing.T) {
	i := start(t)
	subject := i.UserToken("alice")
	for _, name := range []string{"echo-secrets", "echo-code", "echo-html", "echo-form"} {
		i.Clear()
		i.Inject(FaultNamed(name))
		if out := try(t, i, Token, exchangeForm(subject)); !bytes.Contains(out.body, []byte(subject)) {
			t.Errorf("%s: %d bytes", name, len(out.body))
		}
	}
	i.Clear()
	i.Inject(FaultNamed("access-token-lf"))
	token, _ := try(t, i, Token, exchangeForm(subject)).object()["access_token"].(string)
	if !strings.Contains(token, "\n") || !strings.Contains(strings.Join(i.Secrets(), "|"), token) {
		t.Error("a changed token is not among the secrets")
	}
}

func TestFaults_bomb(t *testing.T) {
	i := start(t)
	i.Inject(FaultNamed("gzip-bomb"))
	out := tryFor(t, i, Token, exchangeForm(i.UserToken("alice")), time.Minute) // it takes a while to make
	z, err := gzip.NewReader(bytes.NewReader(out.body))
	if err != nil {
		t.Fatal(err)
	}
	n, _ := io.Copy(io.Discard, z)
	if len(out.body) > 64<<10 || n < 8<<20 {
		t.Errorf("%d bytes in %d", n, len(out.body))
	}
}

func TestSubjectChanged(t *testing.T) {
	i := start(t)
	i.Inject(FaultNamed("sub-changed"))
	a := grantFor(t, i, "alice")
	_, b := ask(t, i, Token, refreshForm(a["refresh_token"]))
	if claims(t, a["access_token"], 1)["sub"] != i.Sub("alice") || claims(t, b["access_token"], 1)["sub"] != i.Sub("mallory") {
		t.Error("sub is not changed on refresh only")
	}
}

func publicExp(s []byte, k *weakRSA) []byte {
	return new(big.Int).Exp(new(big.Int).SetBytes(s), big.NewInt(65537), k.n).Bytes()
}

func leftPad(b []byte, n int) []byte { return append(make([]byte, n-len(b)), b...) }
