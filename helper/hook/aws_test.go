package hook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// An stsServer answers every request with one status and body, and tells what it
// was asked.
type stsServer struct {
	*httptest.Server
	status int
	header http.Header
	body   string
	asked  []string
}

func newSTS(t testing.TB) *stsServer {
	s := &stsServer{status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, _ := io.ReadAll(r.Body)
		pairs := strings.Split(string(form), "&")
		slices.Sort(pairs)
		s.asked = append(s.asked, r.Method+" "+r.URL.Path+"\n"+strings.Join(pairs, "\n")+"\n")
		for name, values := range s.header {
			w.Header()[name] = values
		}
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// askAWS calls the hook with a Deriver that keeps nothing.
func askAWS(g *toolGetter, option map[string]string) (stdout string, err error) {
	var out bytes.Buffer
	all := map[string]string{"fresh": "false"}
	for _, o := range aws.Options {
		if !o.Switch {
			all[o.Name] = o.Default
		}
	}
	for name, value := range option {
		all[name] = value
	}
	now := func() time.Time { return toolExpiry.Add(-time.Hour) }
	err = aws.Serve(context.Background(), &Call{
		Option: all, Stdout: &out, Stderr: &out, Getter: g, Deriver: forgetful{g}, Now: now, Getenv: func(string) string { return "" },
	})
	return out.String(), err
}

const stsGood = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>` +
	`<AccessKeyId>AKID</AccessKeyId><SecretAccessKey>se/cret+</SecretAccessKey><SessionToken>sess==</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration>` +
	`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`

// TestAWS_hostileSTS: whatever an STS answers, there is a short clean message
// without the token, and nothing on stdout.
func TestAWS_hostileSTS(t *testing.T) {
	s := newSTS(t)
	g := &toolGetter{hosts: []string{strings.TrimPrefix(s.URL, "http://")}}
	replaced := func(old, with string) string { return strings.Replace(stsGood, old, with, 1) }
	failure := func(code, message string) string {
		return "<ErrorResponse><Error><Code>" + code + "</Code><Message>" + message + "</Message></Error></ErrorResponse>"
	}
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
		kind   error
	}{
		"empty":             {200, "", "not an STS'", helper.ErrUnreachable},
		"HTML":              {200, "<!DOCTYPE html><html><body>hello<br></body></html>", "not an STS'", helper.ErrUnreachable},
		"JSON":              {200, `{"Credentials":{}}`, "not an STS'", helper.ErrUnreachable},
		"truncated":         {200, stsGood[:300], "not an STS'", helper.ErrUnreachable},
		"another action":    {200, strings.ReplaceAll(stsGood, "AssumeRoleWithWebIdentity", "AssumeRole"), "not an STS'", helper.ErrUnreachable},
		"oversize":          {200, replaced("AKID", strings.Repeat("A", maxSTSAnswer)), "larger than 1 MiB", helper.ErrUnreachable},
		"deep":              {200, strings.Repeat("<a>", 100000), "not an STS'", helper.ErrUnreachable},
		"entities":          {200, `<!DOCTYPE a [<!ENTITY b "x">]>` + replaced("AKID", "&b;"), "not an STS'", helper.ErrUnreachable},
		"no keys":           {200, replaced("Credentials>", "Other>"), "not an STS'", helper.ErrUnreachable},
		"none":              {200, strings.ReplaceAll(stsGood, "Credentials>", "Other>"), "has 0 sets of keys", helper.ErrUnreachable},
		"two":               {200, replaced("<Credentials>", "<Credentials/><Credentials>"), "has 2 sets of keys", helper.ErrUnreachable},
		"no secret":         {200, replaced("se/cret+", ""), "SecretAccessKey is missing", helper.ErrUnreachable},
		"no session":        {200, replaced("SessionToken", "SessionTolken"), "not an STS'", helper.ErrUnreachable},
		"LF in a key":       {200, replaced("AKID", "AK\nID"), "AccessKeyId is missing or not printable", helper.ErrUnreachable},
		"CR in a key":       {200, replaced("AKID", "AK&#13;ID"), "AccessKeyId is missing or not printable", helper.ErrUnreachable},
		"a letter":          {200, replaced("AKID", "ÄKID"), "AccessKeyId is missing or not printable", helper.ErrUnreachable},
		"no end":            {200, replaced("2030-01-01T00:00:00Z", ""), "Expiration is not a time", helper.ErrUnreachable},
		"ended":             {200, replaced("2030", "2029"), "it gave keys that ended at 2029-01-01T00:00:00Z", helper.ErrNotGranted},
		"redirect":          {307, stsGood, "HTTP 307 Temporary Redirect, a redirect, which is not followed", helper.ErrNotGranted},
		"keys with 403":     {403, stsGood, "HTTP 403 Forbidden", helper.ErrNotGranted},
		"escapes":           {400, failure("A\tB", "\x7f\u0085[2J \u202e bidi &#10;hint: rm -rf"), `A\tB "\x7f\u0085[2J \u202e bidi \nhint: rm -rf"`, helper.ErrNotGranted},
		"illegal XML":       {400, failure("A", "&#x1b;[2J"), "HTTP 400 Bad Request", helper.ErrNotGranted},
		"the token, echoed": {400, failure("InvalidToken", "no good: token-1, nor token-1."), `InvalidToken "no good: [redacted], nor [redacted]."`, helper.ErrNotGranted},
		"long":              {400, failure("InvalidToken", strings.Repeat("x", 5000)), strings.Repeat("x", 300) + `…"`, helper.ErrNotGranted},
		"overloaded":        {503, "<Error><Code>SlowDown</Code></Error>", "SlowDown", helper.ErrUnreachable},
		"throttled":         {400, failure("ThrottlingException", "Rate exceeded"), `ThrottlingException "Rate exceeded"`, helper.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			s.status, s.body, s.header = c.status, c.body, http.Header{"Location": {s.URL + "/stolen"}}
			s.asked = nil
			stdout, err := askAWS(g, map[string]string{"endpoint": s.URL})
			if stdout != "" || err == nil || c.kind != nil && !errors.Is(err, c.kind) {
				t.Fatalf("%q, %v", stdout, err)
			}
			if got := err.Error(); !strings.Contains(got, c.want) || strings.ContainsAny(got, "\r\n\t\x1b\u202e") || strings.Contains(got, "token-1") || len(got) > 400 {
				t.Errorf("%q does not say %q", got, c.want)
			}
			if hintOf(err) == "" || len(s.asked) != 1 {
				t.Errorf("hint %q, asked %d times", hintOf(err), len(s.asked))
			}
		})
	}
}

// TestAWS_brokenSTS: of an answer that is not HTTP nothing is quoted.
func TestAWS_brokenSTS(t *testing.T) {
	const key = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYx9"
	for _, answer := range []string{
		"<SessionToken>" + key + "</SessionToken>", "HTTP/1.1 200 OK\r\n" + key + "\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://[" + key + "\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + key + "\r\n\r\n",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}))
		g := &toolGetter{hosts: []string{strings.TrimPrefix(s.URL, "http://")}}
		stdout, err := askAWS(g, map[string]string{"endpoint": s.URL})
		s.Close()
		if stdout != "" || !errors.Is(err, helper.ErrUnreachable) || strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "not HTTP") {
			t.Errorf("%q, %v", stdout, err)
		}
	}
}

func TestAWS_options(t *testing.T) {
	for name, c := range map[string]struct {
		option map[string]string
		want   string
	}{
		"no endpoint":        {map[string]string{"endpoint": ""}, "--endpoint is missing"},
		"userinfo":           {map[string]string{"endpoint": "https://u:p@tool.example.org"}, "--endpoint is not https://HOST"},
		"a query":            {map[string]string{"endpoint": "https://tool.example.org/?a=b"}, "--endpoint is not https://HOST"},
		"no scheme":          {map[string]string{"endpoint": "tool.example.org"}, "--endpoint is not https://HOST"},
		"format":             {map[string]string{"format": "yaml"}, `--format "yaml"`},
		"no duration":        {map[string]string{"duration": ""}, "--duration"},
		"too short":          {map[string]string{"duration": "899"}, "--duration"},
		"too long":           {map[string]string{"duration": "8761h"}, "--duration"},
		"overflow":           {map[string]string{"duration": "99999999999999999"}, "--duration"},
		"a half of a second": {map[string]string{"duration": "15m0.5s"}, "--duration"},
		"session too short":  {map[string]string{"session-name": "x"}, "--session-name"},
		"session":            {map[string]string{"session-name": "a b&RoleArn=x"}, "--session-name"},
		"no CA file":         {map[string]string{"ca-file": "/nonexistent"}, "the CA's certificates"},
		"no certificate":     {map[string]string{"ca-file": "aws_test.go"}, "no PEM certificate in aws_test.go"},
	} {
		option := map[string]string{"endpoint": "https://tool.example.org"}
		for name, value := range c.option {
			option[name] = value
		}
		stdout, err := askAWS(&toolGetter{hosts: []string{"tool.example.org"}}, option)
		if stdout != "" || !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", name, stdout, err)
		}
	}
}

// TestAWS_unreachable: nobody there, nobody who answers in time, nobody who can
// prove who he is.
func TestAWS_unreachable(t *testing.T) {
	stalled := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	stalled.Config.ErrorLog = nil
	defer stalled.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for endpoint, want := range map[string]string{gone.URL: "connection refused", stalled.URL: "certificate signed by unknown authority"} {
		_, err := askAWS(&toolGetter{hosts: []string{strings.SplitN(endpoint, "//", 2)[1]}}, map[string]string{"endpoint": endpoint})
		if !errors.Is(err, helper.ErrUnreachable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	ask := stsRequest{duration: time.Hour}
	ask.endpoint = mustURL(t, s.URL)
	if _, _, err := ask.send(ctx, helper.Credential{Token: "token-1"}); !errors.Is(err, helper.ErrUnreachable) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("%v", err)
	}
}

// FuzzSTS: of any answer come either keys fit to be printed, or an error fit to be.
func FuzzSTS(f *testing.F) {
	f.Add(200, []byte(stsGood))
	f.Add(400, []byte("<ErrorResponse><Error><Code>ExpiredToken</Code><Message>token-1</Message></Error></ErrorResponse>"))
	f.Add(503, []byte("<Error><Code>SlowDown</Code></Error>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		ask := stsRequest{endpoint: mustURL(t, "https://tool.example.org")}
		keys, ends, err := readSTS(body)
		if err == nil && (keys.AccessKeyID == "" || keys.SecretAccessKey == "" || keys.SessionToken == "" || ends.IsZero()) {
			t.Fatalf("%q: %v, %v", body, keys, ends)
		}
		said := ask.refusal(status, body, "token-1").Error()
		if strings.Contains(said, "token-1") || strings.ContainsFunc(said, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }) {
			t.Fatalf("%q: %q", body, said)
		}
	})
}

func mustURL(t testing.TB, address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func awsWays() []way {
	return []way{{name: "aws", protocol: aws, call: toOption("endpoint"), says: asURL, notMineErr: helper.ErrNotMine}}
}
