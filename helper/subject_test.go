package helper

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
)

// TestSubject_whatNoServerTakes costs no request, and the error says what was seen.
func TestSubject_whatNoServerTakes(t *testing.T) {
	b := newBench(t)
	good := b.issuer.UserToken("alice")
	asked := b.issuer.Count("token-exchange")
	for name, c := range map[string]struct{ token, words string }{
		"quotes":       {`"` + good + `"`, "it is in quotes"},
		"one quote":    {good + `'`, "it is in quotes"},
		"JSON":         {`{"access_token":"` + good + `"}`, "it is a JSON text"},
		"BOM":          {"\ufeff" + good, "byte order mark"},
		"UTF-16":       {"\xff\xfe" + good, "byte order mark"},
		"cut off":      {good[:strings.LastIndex(good, ".")], "cut off or damaged"},
		"cut in parts": {good[:40], "cut off or damaged"},
		"expired":      {b.issuer.UserToken("alice", oidctest.Expired()), "it expired"},
		"ID token":     {b.issuer.UserToken("alice", oidctest.AsIDToken()), "it is an ID token"},
		"our own":      {b.issuer.UserToken("alice", oidctest.AsOfflineToken()), "it is a refresh token"},
	} {
		_, err := b.Exchange(t.Context(), ExchangeRequest{Request: b.req, SubjectToken: secret.Secret(c.token)})
		if !errors.Is(err, ErrSubjectToken) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), good[:40]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := b.issuer.Count("token-exchange"); n != asked {
		t.Errorf("%d were sent", n-asked)
	}
}

// TestSubject_whatSomeServersTake is sent with a warning, but to Keycloak.
func TestSubject_whatSomeServersTake(t *testing.T) {
	for name, option := range map[string]oidctest.SubjectOption{
		"another issuer": oidctest.FromIssuer("https://other.example.org"), "missing from its audience": oidctest.Audience(),
	} {
		for _, known := range []bool{true, false} {
			b := newBench(t)
			if !known {
				b = newBench(t, oidctest.Neutral())
			}
			_, err := b.Exchange(t.Context(), ExchangeRequest{Request: b.req, SubjectToken: secret.Secret(b.issuer.UserToken("alice", option))})
			sent := b.issuer.Count("token-exchange")
			switch {
			case known && (!errors.Is(err, ErrSubjectToken) || sent != 0):
				t.Errorf("%s, Keycloak: %d sent, %v", name, sent, err)
			case !known && (sent == 0 || len(b.warned) == 0 || !strings.Contains(b.warned[0], name)):
				t.Errorf("%s: %d sent, said %q", name, sent, b.warned)
			}
		}
	}
}

// TestSubject_foreignIssuer: with --subject-issuer the token goes to Keycloak as it is.
func TestSubject_foreignIssuer(t *testing.T) {
	b := newBench(t)
	token := b.issuer.UserToken("alice", oidctest.FromIssuer("https://other.example.org"))
	var form map[string][]string
	b.issuer.Inject(oidctest.Fault{Name: "look", Endpoint: oidctest.Token, Before: func(c *oidctest.Call) *oidctest.Answer {
		form = c.Form
		return nil
	}})
	_, _ = b.Exchange(t.Context(), ExchangeRequest{
		Request: b.req, SubjectToken: secret.Secret(token), SubjectIssuer: "partner", SubjectTokenType: oidc.TypeJWT,
	})
	if form == nil || form["subject_issuer"][0] != "partner" || form["subject_token_type"][0] != oidc.TypeJWT {
		t.Errorf("subject_issuer %v, subject_token_type %v", form["subject_issuer"], form["subject_token_type"])
	}
}

// TestSubject_foreignNamesDecideNothing: another issuer may have a client of our name and
// call the user what it likes. Its subject is neither expected nor compared.
func TestSubject_foreignNamesDecideNothing(t *testing.T) {
	b := newBench(t)
	ours, theirs := b.issuer.UserToken("alice"), b.issuer.UserToken("alice", oidctest.FromIssuer("https://other.example.org"), oidctest.IssuedTo(oidctest.ClientID))
	for name, tt := range map[string]struct {
		token, alias string
		known        bool
	}{
		"ours, for another client": {ours, "", true}, "theirs": {theirs, "", false}, "theirs, with its alias": {theirs, "partner", false},
		"an alias says it": {ours, "partner", false},
	} {
		r := ExchangeRequest{Request: b.req, SubjectToken: secret.Secret(tt.token), SubjectIssuer: tt.alias}
		if got := bringer(r).subject != ""; got != tt.known {
			t.Errorf("%s: who brings it is known: %t", name, got)
		}
		if answerSubject(r, "") != "" {
			t.Errorf("%s: the answer is expected to be of that subject", name)
		}
	}
	given := ExchangeRequest{Request: b.req, SubjectToken: secret.Secret(b.issuer.UserToken("alice", oidctest.IssuedTo(oidctest.ClientID)))}
	if answerSubject(given, "") == "" {
		t.Error("a token that our issuer gave to our client binds the answer")
	}
}

// TestSubject_refused: what the issuer refuses is the user's token, in whatever words, and
// not the client.
func TestSubject_refused(t *testing.T) {
	for code, words := range map[string]string{"invalid_request": "Invalid token", "invalid_token": "Session not active", "invalid_grant": "", "login_required": "", "interaction_required": ""} {
		b := newBench(t)
		b.issuer.Inject(oidctest.Fault{Endpoint: oidctest.Token, Grant: "token-exchange", Before: func(*oidctest.Call) *oidctest.Answer {
			return &oidctest.Answer{Status: 400, Body: []byte(`{"error":"` + code + `","error_description":"` + words + `"}`)}
		}})
		_, err := b.exchange("alice")
		if !errors.Is(err, ErrSubjectToken) || !strings.Contains(err.Error(), "the issuer refuses the user's token: "+code) {
			t.Errorf("%s: %v", code, err)
		}
	}
	b := newBench(t)
	b.issuer.Inject(oidctest.Fault{Endpoint: oidctest.Token, Grant: "token-exchange", Before: func(*oidctest.Call) *oidctest.Answer {
		return &oidctest.Answer{Status: 403, Body: []byte(`{"error":"access_denied","error_description":"Client not allowed to exchange"}`)}
	}})
	if _, err := b.exchange("alice"); err == nil || errors.Is(err, ErrSubjectToken) {
		t.Errorf("a client that may not exchange: %v", err)
	}
}
