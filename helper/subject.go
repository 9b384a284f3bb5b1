package helper

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
)

const newToken = "get a new access token for the user, then run the exchange again"

// A refusal makes the error of a token that a person brought, with what to do.
type refusal func(remedy hint.Remedy, format string, args ...any) error

// checkAlone wants the token to be there, alone, and of characters that tokens have. It
// says what was seen instead. Member is what an issuer's answer calls such a token.
func checkAlone(token secret.Secret, member string, command hint.Command, refuse refusal) error {
	v := token.Reveal() // looked at, not passed on
	alone := hint.Say("give the token alone, on one line")
	switch {
	case v == "":
		return refuse(hint.Do(command.With("--token-file", "FILE"), hint.Words(", or pipe the token in")), "it is empty")
	case strings.HasPrefix(strings.ToLower(v), "bearer "):
		return refuse(hint.Say("leave the word Bearer out"), "it starts with the word Bearer")
	case strings.HasPrefix(strings.ToLower(v), "authorization:"):
		return refuse(hint.Say("leave the header's name and the word Bearer out"), "it starts with the name of a header")
	case hasName(v):
		return refuse(hint.Say("give what stands after the =, and nothing else"), "it starts with a name and =")
	case strings.HasPrefix(v, "-----BEGIN"):
		return refuse(hint.Say("name the file with the token"), "it is a PEM file: a certificate or a key")
	case strings.HasPrefix(v, "\ufeff"), strings.HasPrefix(v, "\xff\xfe"), strings.HasPrefix(v, "\xfe\xff"):
		return refuse(hint.Say("save the file without one (as UTF-8 without BOM)"), "it starts with a byte order mark")
	case v[0] == '"' || v[0] == '\'' || v[len(v)-1] == '"' || v[len(v)-1] == '\'':
		return refuse(hint.Say("leave the quotes out; jq -r prints a string without them"), "it is in quotes")
	case v[0] == '{' || v[0] == '[':
		return refuseJSON(v, member, refuse)
	case isPage(v):
		return refuse(hint.Say(lookAtMaker), "it is an HTML page")
	case isBase64JWT(v):
		return refuse(hint.Say("decode it first: base64 -d"), "it is a token in base64, as a Kubernetes Secret has it")
	}
	for n := 0; n < len(v); n++ {
		if v[n] <= ' ' || v[n] >= 0x7f {
			return refuse(alone, "it holds a space, a line end or a character that no token has")
		}
	}
	if i := strings.IndexAny(v, "<>(),;:"); i >= 0 && strings.HasPrefix(strings.TrimLeft(v, "<("), "eyJ") {
		return refuse(alone, "it begins as a JWT does and has the character %q, which no JWT has", v[i])
	}
	return nil
}

// lookAtMaker is for a file that a command has filled with something else than a token.
const lookAtMaker = "look at the command that made the file: it got no token"

// refuseJSON says what a JSON text has: the token, an issuer's error, or neither.
func refuseJSON(v, member string, refuse refusal) error {
	var answer map[string]any
	if json.Unmarshal([]byte(v), &answer) == nil {
		_, found := answer[member]
		if code, ok := answer["error"].(string); ok && !found {
			return refuse(hint.Say(lookAtMaker), "it is an issuer's answer with the error %q", oidc.Clean(code))
		}
		for _, other := range []string{"token", "accessToken", "refreshToken"} { // of gh, az and node's libraries
			if _, has := answer[other].(string); has && !found {
				return refuse(hint.Say("take the member of the token out of it: jq -r ."+other), "it is a JSON text with %s and without %s", other, member)
			}
		}
		if !found {
			return refuse(hint.Say(lookAtMaker), "it is a JSON text, and has no %s", member)
		}
	}
	return refuse(hint.Say("take the member of that name out of it: jq -r ."+member), "it is a JSON text, not the token in it")
}

func isPage(v string) bool {
	begin := strings.ToLower(v[:min(len(v), 9)])
	return strings.HasPrefix(begin, "<html") || strings.HasPrefix(begin, "<!doctype")
}

// isBase64JWT reports whether a JWT was encoded once more. The parts of a JWT are encoded
// themselves, so its first letters are always the same.
func isBase64JWT(v string) bool {
	text, err := base64.StdEncoding.DecodeString(v)
	return err == nil && strings.HasPrefix(string(text), "eyJ")
}

// hasName reports whether a token stands behind a name, as in a form, a shell's line or a
// file of variables. An opaque token may end with = itself.
func hasName(v string) bool {
	name, value, found := strings.Cut(v, "=")
	if !found || value == "" {
		return false
	}
	name, _ = strings.CutPrefix(name, "export ")
	known := strings.HasSuffix(strings.ToLower(name), "token") && len(name) < 40
	return known || strings.HasPrefix(strings.TrimLeft(value, `"'`), "eyJ")
}

// checkSubjectToken refuses what no server takes, before anything is sent. A token that
// is not a JWT says nothing and is the issuer's to judge.
func checkSubjectToken(r ExchangeRequest, now time.Time) error {
	refuse := func(remedy hint.Remedy, format string, args ...any) error {
		return &hint.Error{Kind: ErrSubjectToken, Detail: "the token cannot be exchanged: " + fmt.Sprintf(format, args...), Remedy: remedy}
	}
	if err := checkAlone(r.SubjectToken, "access_token", r.command("exchange"), refuse); err != nil {
		return err
	}
	peek, ok := oidc.ParseUnverified(r.SubjectToken)
	if !ok {
		if oidc.LooksLikeJWT(r.SubjectToken) && r.SubjectTokenType != oidc.TypeSAML2 {
			return refuse(hint.Say("copy the whole token; a JWT has three parts with dots between them"), "it begins as a JWT does and is cut off or damaged")
		}
		return nil
	}
	c := peek.Claims
	switch {
	case r.asAccessToken() && c.Type == "ID":
		return refuse(hint.Say("take the access_token of the login's answer, not the id_token"), "it is an ID token")
	case c.Type == "Refresh" || c.Type == "Offline":
		return refuse(hint.Say("take the access_token of the login's answer, not the refresh_token"), "it is a refresh token (typ %s)", c.Type)
	case !peek.ExpiresAt().IsZero() && !now.Before(peek.ExpiresAt()):
		return refuse(hint.Say(newToken), "it expired %s ago, at %s", now.Sub(peek.ExpiresAt()).Round(time.Second), peek.ExpiresAt().UTC().Format(time.RFC3339))
	}
	return nil
}

// notJWT adds to Keycloak's refusal of a token that it cannot be one of Keycloak's, which
// are JWTs. A client's secret and another file are brought by mistake. Others give
// opaque tokens too.
func notJWT(r ExchangeRequest, product oidc.Product, err error) error {
	refused, ok := errors.AsType[*oidc.Error](err)
	if !ok || refused.Means() != oidc.MeansUserTokenRefused || product != oidc.Keycloak || !r.asAccessToken() || r.SubjectIssuer != "" || oidc.LooksLikeJWT(r.SubjectToken) {
		return err
	}
	return &hint.Error{
		Kind: err, Detail: fmt.Sprintf("%v; what was brought is no JWT, as this issuer's access tokens are: it has %d characters", err, len(r.SubjectToken.Reveal())),
		Remedy: hint.Do(hint.Words("look which file that was; the token's file is for: "), r.command("exchange").With("--token-file", "FILE")),
	}
}

// asAccessToken reports whether the token is sent as an access token.
func (r ExchangeRequest) asAccessToken() bool {
	return r.SubjectTokenType == "" || r.SubjectTokenType == oidc.TypeAccessToken
}

// checkSubjectFits looks at signature, issuer and audience of a subject token. Keycloak refuses what
// does not fit, and so do we there; others may take it, so it is said and sent.
func (h *Helper) checkSubjectFits(r ExchangeRequest, product oidc.Product) error {
	peek, ok := oidc.ParseUnverified(r.SubjectToken)
	if !ok || r.SubjectIssuer != "" {
		return nil
	}
	p, c := r.Profile, peek.Claims
	// Dex puts the claim at_hash into access tokens too.
	if r.asAccessToken() && c.ATHash != "" && peek.Header.Type != "at+jwt" && product != oidc.Dex {
		const detail = "it looks like an ID token: it has the claim at_hash"
		if product == oidc.Keycloak {
			return misfit(detail, hint.Say("take the access_token of the login's answer, not the id_token"))
		}
		h.Warn("the user's token may be refused: " + detail)
	}
	// Keycloak before 25 answers this one with status 500, as if it were overloaded.
	if strings.EqualFold(peek.Header.Alg, "none") {
		const detail = "it is not signed: alg in its header is none"
		if product == oidc.Keycloak {
			return misfit(detail, hint.Say(newToken))
		}
		h.Warn("the user's token may be refused: " + detail)
		return nil
	}
	if foreign := c.Issuer != "" && c.Issuer != p.Issuer; foreign {
		detail := fmt.Sprintf("it is of another issuer: iss is %s, the profile's issuer is %s", oidc.Clean(c.Issuer), p.Issuer)
		if product == oidc.Keycloak {
			return misfit(detail, hint.Say("log the user in at the profile's issuer, or choose another --profile; for a token of an identity provider that Keycloak knows: --subject-issuer ALIAS"))
		}
		h.Warn("the user's token may be refused: " + detail)
		return nil
	}
	if is, named := peek.For(p.ClientID); named && !is {
		detail := fmt.Sprintf("client %s is missing from its audience: aud is [%s], azp is %s", p.ClientID, oidc.Clean(strings.Join(c.Audience, " ")), oidc.Clean(c.Azp))
		if product == oidc.Keycloak {
			return misfit(detail, hint.Say(fmt.Sprintf("ask the issuer's admin for an audience mapper that puts %s into the tokens of client %s", p.ClientID, oidc.Clean(c.Azp))))
		}
		h.Warn("the user's token may be refused: " + detail)
	}
	return nil
}

func misfit(detail string, remedy hint.Remedy) error {
	return &hint.Error{Kind: ErrSubjectToken, Detail: "the token cannot be exchanged: " + detail, Remedy: remedy}
}
