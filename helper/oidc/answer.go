package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// members are those of a JSON object that was read as far as it is whole.
type members map[string]json.RawMessage

// readMembers reads the members of the object that body begins with. What was read
// before an error is returned too: in an answer that was cut off, a refresh token may
// be whole. Of a name that occurs twice the last one counts, as with encoding/json.
func readMembers(body []byte) (members, error) {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the answer is not a JSON object")
	}
	found := members{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return found, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return found, err
		}
		found[name.(string)] = value // a JSON object has no other names
	}
	_, err := dec.Token()
	return found, err
}

// text is a member that is a string. Null and a missing member are empty; odd reports
// a value of another type.
func (m members) text(name string) (value string, odd bool) {
	raw, ok := m[name]
	if !ok || string(raw) == "null" {
		return "", false
	}
	return value, json.Unmarshal(raw, &value) != nil
}

// seconds is a member that is a number of seconds, or a string with one as some
// issuers send it.
func (m members) seconds(name string) (time.Duration, bool) {
	var f float64
	raw := m[name]
	if json.Unmarshal(raw, &f) != nil || string(raw) == "null" {
		s, _ := m.text(name)
		p, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(p) {
			return 0, false
		}
		f = p
	}
	const most = 100 * 365 * 24 * 3600
	return time.Duration(min(max(f, -1), most) * float64(time.Second)), true
}

// list is a member that is a space-separated string or a list of such strings. It is nil
// when there is none.
func (m members) list(name string, clean func(string) string) []string {
	var parts []string
	if s, odd := m.text(name); !odd && m[name] != nil && string(m[name]) != "null" {
		parts = []string{clean(s)}
	} else if json.Unmarshal(m[name], &parts) != nil || parts == nil {
		return nil
	} else {
		for n := range parts {
			parts[n] = clean(parts[n])
		}
	}
	if len(parts) == 1 && !strings.Contains(parts[0], " ") {
		parts = strings.Split(parts[0], ",") // as GitHub and Slack write a list
	}
	found, seen := []string{}, map[string]bool{"": true}
	for _, part := range parts {
		for _, one := range strings.Fields(part) {
			if one = strings.TrimSuffix(one, ","); !seen[one] {
				found, seen[one] = append(found, one), true
			}
		}
	}
	return found
}

// refusal are the code and the words of an answer that is none of success (RFC 6749 §5.2).
// Okta has names of its own for them. The answer of a gateway, which is no OAuth error, has
// words alone.
func (m members) refusal() (code, words string) {
	text := func(from members, names ...string) string {
		for _, name := range names {
			if s, _ := from.text(name); s != "" {
				return s
			}
		}
		return ""
	}
	if code = text(m, "error"); code != "" && !m.ofFramework(code) {
		return code, text(m, "error_description")
	}
	if summary := text(m, "errorSummary"); summary != "" {
		return text(m, "errorCode"), summary
	}
	for _, name := range []string{"error", "fault"} { // Google's and Apigee's gateways
		if inner, err := readMembers(m[name]); err == nil {
			return "", text(inner, "message", "faultstring")
		}
	}
	return "", text(m, "error_description", "message", "msg", "detail", "title") // detail and title: RFC 9457
}

// ofFramework recognises the answer of a web framework for an address or a method that it
// does not serve, such as Spring Boot's and Fastify's. Its error is the phrase of the status,
// and no OAuth error. Older Spring servers refuse a client with 401 so.
func (m members) ofFramework(code string) bool {
	for _, name := range []string{"status", "statusCode"} {
		var status int
		if json.Unmarshal(m[name], &status) == nil && status != http.StatusUnauthorized && strings.EqualFold(code, http.StatusText(status)) {
			return m["error_description"] == nil
		}
	}
	return false
}

// fromForm reads an answer in the form encoding that some servers of OAuth 2.0 drafts
// send.
func fromForm(body []byte) members {
	form, err := url.ParseQuery(strings.TrimSpace(string(body)))
	if err != nil || form.Get("access_token") == "" && form.Get("refresh_token") == "" && form.Get("error") == "" {
		return nil
	}
	found := members{}
	for name := range form {
		found[name], _ = json.Marshal(form.Get(name)) // a string always marshals
	}
	return found
}

// behindText reads the object that stands behind something else: a server with debugging
// on writes its warnings before the answer, and another wraps the answer in a list.
func behindText(body []byte) members {
	start := bytes.Index(body, []byte(`{"`))
	if start < 0 {
		return nil
	}
	found, _ := readMembers(body[start:])
	return found
}

// readAnswer makes a Response or an error of the token endpoint's answer. cut is the
// error that ended the body early. The refresh token is read before all else is
// looked at: whatever is odd in the answer, it is kept.
func (i *Issuer) readAnswer(g Grant, resp *http.Response, body []byte, cut error, sent []secret.Secret, known ...string) (Response, error) {
	found, broken := readMembers(body)
	behind := false
	if found == nil {
		if found = fromForm(body); found != nil {
			broken = nil
		} else {
			found, behind = behindText(body), true // and broken stays: no access token is taken from there
		}
	}
	noAnswer := func(err error) error { return &outcomeError{NoAnswer, unreachable(g.op, err, sent...)} }
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		kept := beside(found, g)
		if behind {
			found = nil // a page that holds an error of OAuth is not the issuer's refusal
		}
		return kept, i.refusal(g.op, resp, found, append(slices.Clone(sent), kept.RefreshToken))
	}
	r := i.response(found, sent, known)
	code, _ := found.text("error")
	sent = append(slices.Clone(sent), r.AccessToken, r.RefreshToken, r.IDToken)
	if r.RefreshToken != "" { // spent and answered: nothing below may lose it
		if broken != nil {
			r.AccessToken, r.IDToken = "", ""
		}
		return r.checked(cleanWords(code, sent...), cut, broken)
	}
	switch {
	case cut != nil && broken != nil:
		return Response{}, noAnswer(cut)
	case broken != nil:
		return Response{}, noAnswer(errors.New("the answer is not one of a token endpoint"))
	case r.AccessToken == "" && code != "":
		return Response{}, i.refusal(g.op, resp, found, sent)
	case r.AccessToken == "" && r.IDToken == "":
		return Response{}, noAnswer(errors.New("the answer is not one of a token endpoint: it has no access_token"))
	}
	return r.checked(cleanWords(code, sent...), nil, nil)
}

// beside is what is kept of an answer whose status is none of success: the refresh
// token that came for a spent one, if the answer names no OAuth error. A proxy may have
// put the status there. The access token is not used.
func beside(found members, g Grant) Response {
	token, _ := found.text("refresh_token")
	if found.namesError() || !g.spends || len(token) > maxToken {
		return Response{}
	}
	return Response{RefreshToken: secret.Secret(token)}
}

// namesError reports whether there is an error. Some frameworks write each member of their
// answers, with nothing in those that do not apply.
func (m members) namesError() bool {
	return !slices.Contains([]string{"", "null", `""`, "false"}, string(m["error"]))
}

// refusal is the error of an answer that is none of success.
func (i *Issuer) refusal(op string, resp *http.Response, found members, sent []secret.Secret) error {
	code, words := found.refusal()
	e := i.failed(op, resp, code, words, sent)
	switch {
	case e.Code == "" && e.Status >= 300 && e.Status < 400:
		why := &redirectError{resp.Header.Get("Location")}
		return &outcomeError{NoAnswer, unreachable(op, why, sent...)}
	case e.Temporary():
		return &outcomeError{NoAnswer, e}
	}
	return &outcomeError{Answered, e}
}

// response reads what is there; checked says what is wrong with it.
func (i *Issuer) response(found members, sent []secret.Secret, known []string) Response {
	text := func(name string) string { s, _ := found.text(name); return s }
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		sent = append(slices.Clone(sent), secret.Secret(text(name)))
	}
	clean := func(s string) string { return cleanWords(s, sent...) }
	r := Response{
		AccessToken:     secret.Secret(text("access_token")),
		RefreshToken:    secret.Secret(text("refresh_token")),
		IDToken:         secret.Secret(text("id_token")),
		TokenType:       clean(strings.TrimSpace(text("token_type"))),
		IssuedTokenType: clean(text("issued_token_type")),
		Scopes:          found.list("scope", unless(known, clean)),
		Received:        i.opt.Now(),
	}
	if d, ok := found.seconds("expires_in"); ok && d > 0 {
		r.ExpiresIn = d
	}
	// refresh_expires_in is Keycloak's name; ADFS and Kakao have the other.
	for _, name := range []string{"refresh_expires_in", "refresh_token_expires_in"} {
		if d, ok := found.seconds(name); ok && r.RefreshExpiresIn == nil {
			d = max(d, 0)
			r.RefreshExpiresIn = &d
		}
	}
	if wellFormed(r.IDToken) != nil {
		r.IDToken = "" // it is not needed, and not worth a grant
	}
	return r
}

// unless is how a list of words is cleaned: not at all when all are known.
func unless(known []string, clean func(string) string) func(string) string {
	return func(s string) string {
		words := strings.Fields(s)
		for _, word := range words {
			if !slices.Contains(known, word) {
				return clean(s)
			}
		}
		return strings.Join(words, " ")
	}
}

// checked refuses an access token that cannot be used. The rest of the answer goes
// along with the error. code is the `error` of an answer that also has tokens, cleaned.
func (r Response) checked(code string, cut, broken error) (Response, error) {
	refuse := func(what, why string) (Response, error) {
		r.AccessToken = ""
		return r, &outcomeError{Answered, &VerifyError{What: what, Why: why}}
	}
	if len(r.RefreshToken) > maxToken {
		r.RefreshToken = ""
		return refuse("refresh_token", fmt.Sprintf("it measures more than %d bytes", maxToken))
	}
	err := wellFormed(r.AccessToken)
	switch {
	case cut != nil && broken != nil:
		return refuse("access_token", "the answer was cut off")
	case broken != nil:
		return refuse("access_token", "the answer is not well-formed JSON")
	case code != "":
		return refuse("access_token", "an error came with it: "+code)
	case r.AccessToken == "":
		return refuse("access_token", "the answer has none")
	case err != nil:
		return refuse("access_token", err.Error())
	case strings.EqualFold(r.TokenType, "DPoP"):
		r.AccessToken = ""
		return r, &outcomeError{Answered, &VerifyError{What: "access_token", Why: "its token_type is DPoP, not Bearer", Remedy: needsDPoP(nil)}}
	case !isBearer(r.TokenType):
		return refuse("access_token", fmt.Sprintf("its token_type is %s, not Bearer", r.TokenType))
	}
	return r, nil
}

// isBearer reports whether a token of that type is sent as RFC 6750 has it. The type is
// left out by some issuers, BearerToken is Apigee's, and N_A RFC 8693's (§2.2.1).
func isBearer(tokenType string) bool {
	return slices.ContainsFunc([]string{"", "Bearer", "BearerToken", "N_A"}, func(name string) bool { return strings.EqualFold(tokenType, name) })
}

// wellFormed refuses what cannot be a bearer token (RFC 6750 §2.1's b64token,
// wider by the visible characters that some issuers use) and what could break
// out of a header or a line.
func wellFormed(t secret.Secret) error {
	v := t.Reveal() // looked at, not passed on
	if len(v) > maxToken {
		return fmt.Errorf("it measures %d bytes, more than %d", len(v), maxToken)
	}
	for n := 0; n < len(v); n++ {
		if v[n] <= ' ' || v[n] >= 0x7f {
			return errors.New("it holds a space, a control character or a byte beyond ASCII")
		}
	}
	return nil
}
