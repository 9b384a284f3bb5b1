package oidc

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
)

// Expect is what a token has to say.
type Expect struct {
	What     string   // name of the token in errors
	ClientID string   // must be in aud, azp or client_id, if any of them is there…
	Audience []string // …or one of these in aud
	Subject  string   // `sub` must be this, if known and there
	// IDToken asks for the stricter rules of OpenID Connect Core §3.1.3.7.
	IDToken bool
	// Repeated lets an ID token pass that has ended. An issuer may give the first one again
	// at a refresh, where an ID token is optional (§12.2).
	Repeated bool
	// Unproven lets an ID token pass whose signature cannot be checked here, if all that it
	// says is as expected. See [Claims.Unproven].
	Unproven bool
}

// Claims are a verified token's.
type Claims struct {
	JSON     json.RawMessage // the whole payload
	Subject  string
	Username string
	Scopes   []string
	Audience []string
	Expiry   time.Time
	Issued   time.Time
	// Unproven is of an ID token whose signature was not checked. It contradicts nothing
	// that is expected, and nothing may be taken from it.
	Unproven bool
}

func (c claimSet) claims(payload []byte) Claims {
	out := Claims{JSON: payload, Subject: c.Subject, Username: c.Username, Scopes: scopeClaim(c.Scope), Audience: c.Audience, Expiry: numericDate(*c.Expiry)}
	if out.Scopes == nil {
		out.Scopes = scopeClaim(c.Scp)
	}
	if out.Username == "" {
		out.Username = c.Email
	}
	if c.IssuedAt != nil {
		out.Issued = numericDate(*c.IssuedAt)
	}
	return out
}

// checkTimes allows for clocks a minute apart, and says how far apart they are
// when that is the likely cause.
func (i *Issuer) checkTimes(c claimSet, want Expect) error {
	now := i.opt.Now()
	e := &VerifyError{What: want.What}
	switch {
	case now.After(numericDate(*c.Expiry).Add(leeway)) && (!want.IDToken || !want.Repeated):
		e.Why = fmt.Sprintf("it expired at %s", numericDate(*c.Expiry).UTC().Format(time.RFC3339))
	case c.NotBefore != nil && now.Add(leeway).Before(numericDate(*c.NotBefore)):
		e.Why = fmt.Sprintf("it is not valid before %s", numericDate(*c.NotBefore).UTC().Format(time.RFC3339))
	case c.IssuedAt != nil && now.Add(leeway).Before(numericDate(*c.IssuedAt)):
		e.Why = fmt.Sprintf("it was issued at %s, which is yet to come", numericDate(*c.IssuedAt).UTC().Format(time.RFC3339))
	default:
		return nil
	}
	i.mu.Lock()
	skew := i.skew
	i.mu.Unlock()
	if skew.Abs() > leeway {
		e.Remedy = hint.Say(fmt.Sprintf("set this machine's clock: the issuer's is %s apart (the Date of its answers)", skew.Abs().Round(time.Second)))
	}
	return e
}

// accessTokenIssuer is the `iss` of access tokens where the discovery document names
// another than the issuer's (ADFS).
func (i *Issuer) accessTokenIssuer() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.meta == nil {
		return ""
	}
	return i.meta.AccessTokenIssuer
}

// anybody are audiences that name every reader: SciTokens' and WLCG's.
var anybody = []string{"ANY", "https://wlcg.cern.ch/jwt/v1/any"}

// checkAudience wants the token to be ours: issued to our client or meant for it or
// for an audience that was asked for. A token that names nobody at all ("lightweight"
// on Keycloak) or everybody passes.
func checkAudience(c claimSet, want Expect) error {
	named := slices.ContainsFunc(c.clients(), func(name string) bool { return name != "" })
	switch {
	case want.IDToken:
		if slices.Contains(c.Audience, want.ClientID) && (c.Azp == "" || c.Azp == want.ClientID) {
			return nil
		}
	case slices.Contains(c.clients(), want.ClientID), slices.Contains(c.Audience, want.ClientID), len(c.Audience) == 0 && !named:
		return nil
	case slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(want.Audience, a) || slices.Contains(anybody, a) && !named }):
		return nil
	}
	return &VerifyError{
		What: want.What, OtherReader: !want.IDToken,
		Why:    fmt.Sprintf("it is for somebody else: aud is %q, azp is %q, and we are %q", Clean(strings.Join(c.Audience, " ")), Clean(cmp.Or(c.clients()...)), want.ClientID),
		Remedy: hint.Say("check the profile's client_id and audience against what the issuer gives"),
	}
}

func numericDate(f float64) time.Time {
	const most = 253402300799 // 9999-12-31T23:59:59Z, the last that RFC 3339 can write
	return time.Unix(int64(max(min(f, most), 0)), 0)
}
