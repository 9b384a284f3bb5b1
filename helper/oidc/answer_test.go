package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// TestAnswer_keepsTheRefreshToken whatever else is odd: status × content type × each
// member missing, null, of a wrong type, too long, empty; and the answer cut off behind
// the refresh token.
func TestAnswer_keepsTheRefreshToken(t *testing.T) {
	good := map[string]any{
		"access_token": "a2Rk0pAQueAccessToken7Yt5", "token_type": "Bearer", "expires_in": 300, "refresh_token": newToken,
		"scope": "openid gep", "id_token": "aWQ.dG9r.ZW4", "refresh_expires_in": 0, "issued_token_type": TypeAccessToken, "session_state": "s", "error": "",
	}
	values := []any{nil, "", "odd", 12, -1, 299.5, true, []any{"a", 1}, map[string]any{"a": 1}, strings.Repeat("x", 70_000), "line\nend\x1b[31m", "absent"}
	i := at("https://issuer.example", "")
	cases := 0
	for _, status := range []int{200, 201} {
		for _, contentType := range []string{"application/json", ""} {
			for name := range good {
				for _, v := range values {
					if name == "refresh_token" {
						continue
					}
					object := map[string]any{}
					for k, was := range good {
						object[k] = was
					}
					if object[name] = v; v == "absent" {
						delete(object, name)
					}
					body, err := json.Marshal(object)
					if err != nil {
						t.Fatal(err)
					}
					cases++
					resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}}
					r, err := i.readAnswer(RefreshGrant(oldToken), resp, body, nil, nil)
					_, unfit := errors.AsType[*VerifyError](err)
					if r.RefreshToken != newToken || err != nil && (!unfit || OutcomeOf(err) != Answered) || (err == nil) != (r.AccessToken != "") {
						t.Errorf("%d %q, %s is %.30v: refresh token %q, %v", status, contentType, name, v, r.RefreshToken.Reveal(), err)
					}
				}
			}
		}
	}
	if cases < 250 {
		t.Errorf("%d cases only", cases)
	}
}

// TestAnswer_behindText: of an answer that stands behind something else, the refresh token
// is kept and the access token is not used.
func TestAnswer_behindText(t *testing.T) {
	for _, body := range []string{
		"<br />\n<b>Notice</b>: Undefined index: x in {main} on line 7<br />\n" + goodBody, ")]}',\n" + goodBody, `[` + goodBody + `]`, "while(1);" + goodBody, `answer(` + goodBody + `);`,
	} {
		resp := &http.Response{StatusCode: 200, Header: http.Header{}}
		r, err := at("https://issuer.example", "").readAnswer(RefreshGrant(oldToken), resp, []byte(body), nil, nil)
		if _, unfit := errors.AsType[*VerifyError](err); r.RefreshToken != newToken || r.AccessToken != "" || !unfit || OutcomeOf(err) != Answered {
			t.Errorf("%.20s: kept %t, %v", body, r.RefreshToken == newToken, err)
		}
	}
}

// TestAnswer_refusalBehindText: a page of a gateway that holds an error of OAuth ends no grant.
func TestAnswer_refusalBehindText(t *testing.T) {
	const page = `<html><script>var last = {"error":"invalid_grant","error_description":"Token is not active"}</script></html>`
	for _, status := range []int{400, 401, 403} {
		resp := &http.Response{StatusCode: status, Header: http.Header{}}
		_, err := at("https://issuer.example", "").readAnswer(RefreshGrant(oldToken), resp, []byte(page), nil, nil)
		if refused, ok := errors.AsType[*Error](err); !ok || refused.Code != "" || refused.Means() == MeansGrantEnded {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestAnswer_noError: a member error with nothing in it is none, whatever the status. With
// something in it, the refresh token beside it is not believed.
func TestAnswer_noError(t *testing.T) {
	for value, kept := range map[string]bool{`null`: true, `""`: true, `false`: true, `"invalid_grant"`: false, `{"code":400}`: false, `true`: false} {
		for _, status := range []int{400, 401, 403, 500, 503} {
			resp := &http.Response{StatusCode: status, Header: http.Header{}}
			body := strings.TrimSuffix(strings.TrimSpace(goodBody), "}") + `,"error":` + value + "}"
			r, err := at("https://issuer.example", "").readAnswer(RefreshGrant(oldToken), resp, []byte(body), nil, nil)
			if (r.RefreshToken == newToken) != kept || r.AccessToken != "" || err == nil {
				t.Errorf("%d, error is %s: kept %t, %v", status, value, r.RefreshToken == newToken, err)
			}
		}
	}
}

// TestAnswer_cutOff: a refresh token that arrived whole is kept; half of one is not.
func TestAnswer_cutOff(t *testing.T) {
	i := at("https://issuer.example", "")
	whole := strings.Index(goodBody, newToken) + len(newToken) + 1
	for n := range len(goodBody) {
		resp := &http.Response{StatusCode: 200, Header: http.Header{}}
		r, err := i.readAnswer(RefreshGrant(oldToken), resp, []byte(goodBody[:n]), errors.New("unexpected EOF"), nil)
		if kept := r.RefreshToken == newToken; kept != (n >= whole) || !kept && r.RefreshToken != "" || err == nil || r.AccessToken != "" {
			t.Errorf("after %d bytes: %q, %v", n, r.RefreshToken.Reveal(), err)
		}
		if want := map[bool]Outcome{true: Answered, false: NoAnswer}[n >= whole]; OutcomeOf(err) != want {
			t.Errorf("after %d bytes: outcome %d", n, OutcomeOf(err))
		}
	}
	// The JSON is whole, and the connection was cut: a wrong Content-Length.
	r, err := i.readAnswer(RefreshGrant(oldToken), &http.Response{StatusCode: 200}, []byte(goodBody), errors.New("unexpected EOF"), nil)
	if err != nil || r.AccessToken == "" {
		t.Errorf("whole, then cut: %v", err)
	}
}

func TestAnswer_reads(t *testing.T) {
	days := func(n time.Duration) *time.Duration { n *= 24 * time.Hour; return &n }
	for name, tt := range map[string]struct {
		body string
		want Response
	}{
		"a number with a fraction": {`{"access_token":"abc","expires_in":299.5}`, Response{AccessToken: "abc", ExpiresIn: 299500 * time.Millisecond}},
		"a number in text":         {`{"access_token":"abc","expires_in":"300"}`, Response{AccessToken: "abc", ExpiresIn: 5 * time.Minute}},
		"beyond all numbers":       {`{"access_token":"abc","expires_in":1e999}`, Response{AccessToken: "abc"}},
		"less than nothing":        {`{"access_token":"abc","expires_in":-5,"refresh_expires_in":-5}`, Response{AccessToken: "abc", RefreshExpiresIn: days(0)}},
		"Keycloak's end":           {`{"access_token":"abc","refresh_expires_in":864000}`, Response{AccessToken: "abc", RefreshExpiresIn: days(10)}},
		"ADFS and Kakao's end":     {`{"access_token":"abc","refresh_token_expires_in":864000}`, Response{AccessToken: "abc", RefreshExpiresIn: days(10)}},
		"scopes in a list":         {`{"access_token":"abc","scope":["openid","gep"]}`, Response{AccessToken: "abc", Scopes: []string{"openid", "gep"}}},
		"a list in one entry":      {`{"access_token":"abc","scope":["openid gep"]}`, Response{AccessToken: "abc", Scopes: []string{"openid", "gep"}}},
		"scopes with commas":       {`{"access_token":"abc","scope":"openid,gep"}`, Response{AccessToken: "abc", Scopes: []string{"openid", "gep"}}},
		"a scope that has a comma": {`{"access_token":"abc","scope":"openid rs?a,b"}`, Response{AccessToken: "abc", Scopes: []string{"openid", "rs?a,b"}}},
		"null as scope":            {`{"access_token":"abc","scope":null}`, Response{AccessToken: "abc"}},
		"no scope at all":          {`{"access_token":"abc","scope":""}`, Response{AccessToken: "abc", Scopes: []string{}}},
		"names in other case":      {`{"access_token":"abc","Access_Token":"xyz"}`, Response{AccessToken: "abc"}},
		"a byte order mark":        {"\ufeff" + `{"access_token":"abc"}`, Response{AccessToken: "abc"}},
		"text behind it":           {`{"access_token":"abc"} trailing`, Response{AccessToken: "abc"}},
		"a form":                   {"access_token=abc&expires_in=300&refresh_token=" + newToken, Response{AccessToken: "abc", RefreshToken: newToken, ExpiresIn: 5 * time.Minute}},
	} {
		r, err := at("https://issuer.example", "").readAnswer(Grant{op: "exchange"}, &http.Response{StatusCode: 200}, []byte(tt.body), nil, nil)
		if err != nil || r.AccessToken != tt.want.AccessToken || r.RefreshToken != tt.want.RefreshToken || r.ExpiresIn != tt.want.ExpiresIn ||
			!slices.Equal(r.Scopes, tt.want.Scopes) || (r.Scopes == nil) != (tt.want.Scopes == nil) ||
			(r.RefreshExpiresIn == nil) != (tt.want.RefreshExpiresIn == nil) || r.RefreshExpiresIn != nil && *r.RefreshExpiresIn != *tt.want.RefreshExpiresIn {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestAnswer_isNone: what is no answer of a token endpoint decides nothing.
func TestAnswer_isNone(t *testing.T) {
	for _, body := range []string{"", "null", "[]", `[{"a":1}]`, `<script>var a = {"a":1}</script>`, "<html>", "{}", `{"access_token":null}`, `{"token_type":"Bearer"}`, `"text"`, "access_token", "\x00"} {
		resp := &http.Response{StatusCode: 200, Header: http.Header{}}
		_, err := at("https://issuer.example", "").readAnswer(RefreshGrant(oldToken), resp, []byte(body), nil, nil)
		if !errors.Is(err, ErrUnreachable) || OutcomeOf(err) != NoAnswer {
			t.Errorf("%s: %v", strconv.Quote(body), err)
		}
	}
	// An ID token and no access token is an answer, which ends a device login.
	_, err := at("https://issuer.example", "").readAnswer(Grant{op: "login"}, &http.Response{StatusCode: 200}, []byte(`{"id_token":"aWQ.dG9r.ZW4"}`), nil, nil)
	if _, unfit := errors.AsType[*VerifyError](err); !unfit {
		t.Errorf("an ID token alone: %v", err)
	}
}

// FuzzAnswer: no answer panics, and no secret that was sent is in the error.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{goodBody, "{", `{"error":"` + oldToken + `"}`, `{"error_description":["` + oldToken + `"]}`, "error=" + oldToken, fmt.Sprintf("%x", oldToken)} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		resp := &http.Response{StatusCode: status, Header: http.Header{"Location": {body}}}
		r, err := at("https://issuer.example", "").readAnswer(RefreshGrant(oldToken), resp, []byte(body), nil, []secret.Secret{oldToken})
		if err != nil && strings.Contains(err.Error(), oldToken) {
			t.Errorf("%d %q: %v", status, body, err)
		}
		if err == nil && r.AccessToken == "" {
			t.Errorf("%d %q: no access token and no error", status, body)
		}
	})
}

// TestAnswer_knownScopes: scopes of our own are not looked into, and do not hide a token
// that comes beside them.
func TestAnswer_knownScopes(t *testing.T) {
	const token = "rt-4f1c0d9be7a24b6d8c35"
	known := []string{"openid", "email", "openid-" + token[:20]}
	for scope, want := range map[string][]string{
		"openid email":                 {"openid", "email"},
		"openid openid-" + token[:20]:  {"openid", "openid-" + token[:20]},
		"openid " + token + " email":   {"openid", secret.Secret("").String(), "email"},
		"openid email stranger-things": {"openid", "email", "stranger-things"},
	} {
		body := fmt.Sprintf(`{"access_token":"at","token_type":"Bearer","refresh_token":%q,"scope":%q}`, token, scope)
		r, err := at("https://issuer.example", "").readAnswer(Grant{op: "refresh", spends: true}, &http.Response{StatusCode: 200}, []byte(body), nil, nil, known...)
		if err != nil || !slices.Equal(r.Scopes, want) {
			t.Errorf("%s: %q, %v", scope, r.Scopes, err)
		}
	}
}
