package helper

import (
	"encoding/base64"
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
		"JSON error":   {`{"error": "invalid_grant"}`, `it is an issuer's answer with the error "invalid_grant"`},
		"other JSON":   {`{"id_token":"` + good + `"}`, "it is a JSON text, and has no access_token"},
		"a list":       {`["` + good + `"]`, "it is a JSON text, not the token in it"},
		"a page":       {"<!DOCTYPE html><title>Login</title>", "it is an HTML page"},
		"base64":       {base64.StdEncoding.EncodeToString([]byte(good + "\n")), "it is a token in base64"},
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

// TestSubject_unsigned: Keycloak 16 to 24 answers it with status 500, which is no fault
// of the server.
func TestSubject_unsigned(t *testing.T) {
	for _, known := range []bool{true, false} {
		b := newBench(t)
		if !known {
			b = newBench(t, oidctest.Neutral())
		}
		parts := strings.Split(b.issuer.UserToken("alice"), ".")
		for _, header := range []string{`{"alg":"none"}`, `{"typ":"JWT","alg":"NONE"}`} {
			token := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "."
			_, err := b.Exchange(t.Context(), ExchangeRequest{Request: b.req, SubjectToken: secret.Secret(token)})
			if sent := b.issuer.Count("token-exchange"); known && (!errors.Is(err, ErrSubjectToken) || sent != 0 || !strings.Contains(err.Error(), "it is not signed")) {
				t.Errorf("Keycloak, %s: %d sent, %v", header, sent, err)
			}
		}
		if !known && (b.issuer.Count("token-exchange") == 0 || len(b.warned) == 0 || !strings.Contains(b.warned[0], "it is not signed")) {
			t.Errorf("another: %d sent, said %q", b.issuer.Count("token-exchange"), b.warned)
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
