package oidc

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// Types of client assertions, by the names of the configuration: RFC 7523 §2.2, and
// the draft for SPIFFE (draft-ietf-oauth-spiffe-client-auth).
const (
	AssertionJWT    = "jwt-bearer"
	AssertionSPIFFE = "jwt-spiffe"
)

const assertionTypes = "urn:ietf:params:oauth:client-assertion-type:"

// readAssertion reads what somebody else signed for the client, for one request. It is
// sent only if it is for this issuer: one that is for another place would be a
// credential there, for whoever it was sent to.
func (i *Issuer) readAssertion(meta *Metadata, c Client) (Client, error) {
	token, err := c.Assertion()
	if err != nil {
		return c, err
	}
	refuse := func(remedy hint.Remedy, format string, args ...any) (Client, error) {
		return c, &ConfigError{Detail: "client_assertion_file: the assertion was not sent: " + fmt.Sprintf(format, args...), Remedy: remedy}
	}
	peek, ok := ParseUnverified(token)
	if !ok {
		return refuse(hint.Say("the file must hold one signed JWT and nothing else"), "it is not a JWT")
	}
	allowed := []string{i.id, meta.TokenEndpoint}
	if c.AssertionAudience != "" {
		allowed = append(allowed, c.AssertionAudience)
	}
	fits := slices.ContainsFunc(peek.Claims.Audience, func(a string) bool { return slices.Contains(allowed, a) })
	end := peek.ExpiresAt()
	switch {
	case !fits:
		return refuse(hint.Say(fmt.Sprintf("have it made for audience %s; if the issuer wants another, name that as client_assertion_audience in the profile", i.id)),
			"its aud is [%s], and it may go to %s only", Clean(strings.Join(peek.Claims.Audience, " ")), i.id)
	case !end.IsZero() && !i.opt.Now().Before(end.Add(leeway)):
		return refuse(hint.Say("find out why nobody renews the file"), "it expired at %s", end.UTC().Format(time.RFC3339))
	case i.assertionSpent(c, token):
		return refuse(oneTimeRemedy(meta.Product), "this issuer takes an assertion once, and this one was sent before")
	}
	c.assertion = token
	return c, nil
}

// oneTimeRemedy is for an issuer that takes an assertion once. Of Keycloak's providers,
// the one for OpenID Connect does.
func oneTimeRemedy(p Product) hint.Remedy {
	words := "wait until the file is renewed; or " + AskAdmin + "let assertions be used again"
	if p == Keycloak {
		words += " (Keycloak: supportsClientAssertionReuse on the identity provider, or a Kubernetes or SPIFFE provider in its place)"
	}
	return hint.Say(words)
}

// sentAssertions is what is remembered of a client's assertions at this issuer.
type sentAssertions struct {
	Once bool   `json:"once"` // the issuer has refused one that came again
	Last string `json:"last"` // a hash of the one that was answered last
}

func (i *Issuer) sentAssertions() map[string]sentAssertions {
	all := map[string]sentAssertions{}
	if kept, ok := i.readCache(assertionKind); ok && json.Unmarshal(kept.Body, &all) != nil {
		return map[string]sentAssertions{}
	}
	return all
}

func fingerprint(token secret.Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal())) // a hash is no secret
	return hex.EncodeToString(sum[:16])
}

// assertionSpent reports whether the issuer would refuse the assertion as used before.
func (i *Issuer) assertionSpent(c Client, token secret.Secret) bool {
	was := i.sentAssertions()[c.ID]
	return was.Once && was.Last == fingerprint(token)
}

// noteAssertion remembers an assertion that the issuer has answered, beside the public
// documents. Losing the note costs one request that the issuer refuses.
func (i *Issuer) noteAssertion(c Client, answer error) {
	var refused *Error
	var unfit *VerifyError
	if answer != nil && !errors.As(answer, &refused) && !errors.As(answer, &unfit) {
		return
	}
	all := i.sentAssertions()
	now := sentAssertions{Once: all[c.ID].Once || refused != nil && refused.takesOnce(), Last: fingerprint(c.assertion)}
	if all[c.ID] == now {
		return
	}
	all[c.ID] = now
	body, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings and booleans always marshal
	}
	i.writeCache(assertionKind, document{URL: i.id, Checked: i.opt.Now(), Body: body})
}

// takesOnce recognises the refusal of an assertion that was used before (Keycloak).
func (e *Error) takesOnce() bool {
	return strings.Contains(strings.ToLower(e.Description), "token reuse detected")
}

// assertionRemedy says what to do about an assertion that the issuer refused, by the
// words of Keycloak 26.7.3.
func (e *Error) assertionRemedy() hint.Remedy {
	words := strings.ToLower(e.Description)
	switch {
	case e.takesOnce():
		return oneTimeRemedy(e.Product)
	case strings.Contains(words, "audience"):
		return hint.Say("have the assertion made for one audience, the issuer's own URL as the profile has it")
	case strings.Contains(words, "too far in the past"), strings.Contains(words, "too far in the future"):
		words := "have the file renewed more often"
		if e.Product == Keycloak {
			words += " (Keycloak takes an assertion for 5 minutes, of a Kubernetes provider for an hour)"
		}
		return hint.Say(words)
	}
	return hint.Say(AskAdmin + "is this client to prove itself by a JWT of another issuer, and are the issuer (iss) and the subject (sub) of the JWT in client_assertion_file registered for it?")
}
