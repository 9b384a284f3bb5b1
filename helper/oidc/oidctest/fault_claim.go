package oidctest

import (
	"strings"
	"time"
)

// claim sets a claim, or takes it out when the value is absent.
func claim(name string, value any) func(d *Draft) {
	return func(d *Draft) {
		if value == absent {
			delete(d.Claims, name)
			return
		}
		d.Claims[name] = value
	}
}

// at sets a claim to a time, by the issuer's clock.
func at(name string, off time.Duration) func(d *Draft) {
	return func(d *Draft) { d.Claims[name] = d.issuer.Clock.Now().Add(off).Unix() }
}

// all does several changes.
func all(changes ...func(d *Draft)) func(d *Draft) {
	return func(d *Draft) {
		for _, f := range changes {
			f(d)
		}
	}
}

// claimFaults are tokens with the issuer's own signature that say what they
// should not.
func claimFaults() []Fault {
	slash := func(d *Draft) { d.Claims["iss"] = d.issuer.url + "/" }
	return []Fault{
		onAccess("iss-other", "iss is another issuer", claim("iss", "https://idp.example/realms/test")),
		onAccess("iss-slash", "iss with a trailing slash", slash),
		onAccess("iss-missing", "no iss", claim("iss", absent)),
		onAccess("iss-array", "iss is an array that holds ours", func(d *Draft) { d.Claims["iss"] = []string{d.issuer.url, "https://idp.example"} }),
		onAccess("iss-case", "iss in capitals", func(d *Draft) { d.Claims["iss"] = strings.ToUpper(d.issuer.url) }),
		onAccess("aud-other", "aud and azp are of another client", all(claim("aud", "other-api"), claim("azp", "other-client"))),
		onAccess("aud-other-azp", "aud is another's, azp is ours", claim("aud", "other-api")).harmless(),
		onAccess("aud-missing", "neither aud nor azp", all(claim("aud", absent), claim("azp", absent))),
		onAccess("aud-number", "aud is a number", claim("aud", 7)),
		onAccess("aud-near", "aud and azp begin as our client's id does", all(claim("aud", ClientID+"-2"), claim("azp", ClientID+"-2"))),
		onAccess("sub-changed", "another user's sub after a refresh", claim("sub", namedID("mallory"))).onGrant("refresh_token"),
		onAccess("sub-other", "another user's sub than the subject token's", claim("sub", namedID("mallory"))).onGrant("token-exchange"),
		onAccess("sub-missing", "no sub after a refresh", claim("sub", absent)).onGrant("refresh_token"),
		onAccess("sub-number", "sub is a number", claim("sub", 7)),
		onAccess("sub-ansi", "ANSI escapes in the username", claim("preferred_username", "\x1b[31mroot\x1b[0m\n")).harmless(),
		onAccess("sub-object", "sub is an object", claim("sub", map[string]any{"id": "alice"})),
		onAccess("claims-nested", "a claim nested 5,000 deep", func(d *Draft) {
			d.Payload = withDuplicate(d.Claims, "deep", jsonNumber(strings.Repeat("[", 5000)+strings.Repeat("]", 5000)))
		}),
		onAccess("claims-dupe-sub", "sub twice, the second another's", func(d *Draft) { d.Payload = withDuplicate(d.Claims, "sub", namedID("mallory")) }),
		onAccess("claims-dupe-iss", "iss twice, the second another's", func(d *Draft) { d.Payload = withDuplicate(d.Claims, "iss", "https://idp.example") }),
		onAccess("claims-dupe-exp", "exp twice, the first past", func(d *Draft) {
			exp := d.Claims["exp"]
			d.Claims["exp"] = 1
			d.Payload = withDuplicate(d.Claims, "exp", exp)
		}),
		onAccess("claims-case", "iss is another issuer, but ISS, in capitals after it, is ours", func(d *Draft) {
			d.Claims["iss"] = "https://idp.example"
			d.Payload = withDuplicate(d.Claims, "ISS", d.issuer.url)
		}),
		onAccess("claims-case-sub", "sub is another user, but Sub, after it, is ours", func(d *Draft) {
			sub := d.Claims["sub"]
			d.Claims["sub"] = namedID("mallory")
			d.Payload = withDuplicate(d.Claims, "Sub", sub)
		}).onGrant("refresh_token"),
		onAccess("claims-big", "a token of 60 KiB", claim("groups", strings.Repeat("group ", 7_000))),
		onAccess("claims-too-big", "a token of 100 KiB", claim("groups", strings.Repeat("group ", 12_500))),
		onAccess("typ-id", "an ID token in place of the access token", claim("typ", "ID")),
		onAccess("typ-refresh", "a refresh token in place of the access token", claim("typ", "Refresh")),
		onAccess("typ-header", "a header typ of logout tokens", func(d *Draft) { d.Header["typ"] = "logout+jwt" }),
	}
}

// timeFaults are access tokens, well signed, that are not valid now or do not
// say when they are.
func timeFaults() []Fault {
	return []Fault{
		onAccess("exp-past", "expired an hour ago", at("exp", -time.Hour)),
		onAccess("exp-missing", "no exp", claim("exp", absent)),
		onAccess("exp-string", "exp is a string", func(d *Draft) { d.Claims["exp"] = "9999999999" }),
		onAccess("exp-null", "exp is null", claim("exp", nil)),
		onAccess("exp-huge", "exp beyond all numbers", claim("exp", jsonNumber("1e400"))),
		onAccess("exp-far", "exp in 10,000 years", claim("exp", int64(317_000_000_000))),
		onAccess("exp-negative", "exp is negative", claim("exp", -1)),
		onAccess("exp-float", "exp with a fraction", func(d *Draft) { d.Claims["exp"] = float64(d.issuer.Clock.Now().Add(5*time.Minute).Unix()) + 0.5 }).harmless(),
		onAccess("nbf-future", "nbf in an hour", at("nbf", time.Hour)),
		onAccess("nbf-string", "nbf is a string", claim("nbf", "tomorrow")),
		onAccess("nbf-near", "nbf in 30 seconds, within the leeway", at("nbf", 30*time.Second)).harmless(),
		onAccess("iat-future", "iat in an hour", at("iat", time.Hour)),
		onAccess("iat-near", "iat in 30 seconds, within the leeway", at("iat", 30*time.Second)).harmless(),
	}
}

// idTokenFaults are ID tokens, well signed, that say what they should not.
func idTokenFaults() []Fault {
	return []Fault{
		onID("id-aud-other", "an ID token for another client", claim("aud", "other-client")),
		onID("id-azp-other", "an ID token for us too, but issued to another client", all(claim("aud", []string{ClientID, "other-client"}), claim("azp", "other-client"))),
		onID("id-iss-other", "an ID token of another issuer", claim("iss", "https://idp.example/realms/test")),
		onID("id-exp-past", "an expired ID token", at("exp", -time.Hour)),
		onID("id-sub-other", "an ID token of another user", claim("sub", namedID("mallory"))),
		onID("id-sub-missing", "an ID token without a sub", claim("sub", absent)),
	}
}

// shapeFaults are access tokens that are not shaped as a JWT is.
func shapeFaults() []Fault {
	on := func(name, about string, f func(p []string) []string) Fault {
		return Mutate("access_token", name, about, func(d *Draft) { d.parts(f) })
	}
	signed := func(name, about, payload string) Fault {
		return Mutate("access_token", name, about, func(d *Draft) { d.Payload = []byte(payload) })
	}
	return []Fault{
		on("jwe", "five parts, as an encrypted token", func(p []string) []string {
			head := encode(map[string]any{"alg": "RSA-OAEP", "enc": "A256GCM", "typ": "JWT", "kid": "enc"})
			return []string{head, b64(make([]byte, 256)), b64(make([]byte, 12)), p[1], b64(make([]byte, 16))}
		}),
		on("parts-two", "two parts", func(p []string) []string { return p[:2] }),
		on("parts-four", "four parts", func(p []string) []string { return append(p, p[2]) }),
		on("parts-many", "20,000 dots", func(p []string) []string { return append(p, strings.Repeat(".", 20_000)) }),
		signed("payload-not-json", "a payload that is not JSON, well signed", "not json"),
		signed("payload-array", "a payload that is an array, well signed", "[]"),
		signed("payload-null", "a payload that is null, well signed", "null"),
		signed("payload-empty", "an empty payload, well signed", ""),
		signed("payload-trailing", "a payload with more JSON after it, well signed", `{"exp":9999999999}{}`),
		on("payload-not-base64", "a payload that is not base64", func(p []string) []string { p[1] = "!!!!"; return p }),
		on("payload-padded", "a payload with base64 padding", func(p []string) []string { p[1] += "=="; return p }),
		on("header-not-json", "a header that is not JSON", func(p []string) []string { p[0] = b64([]byte("{{{")); return p }),
		on("header-dupe-alg", "alg twice in the header, the second none", func(p []string) []string {
			p[0] = b64([]byte(`{"alg":"RS256","alg":"none","typ":"JWT"}`))
			p[2] = ""
			return p
		}),
		on("signature-padded", "a good signature with base64 padding", func(p []string) []string { p[2] += "=="; return p }),
	}
}
