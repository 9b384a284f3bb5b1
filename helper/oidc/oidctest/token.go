package oidctest

import (
	"net/http"
	"strings"
	"time"
)

const (
	grantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	typeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
)

// A refusal is an OAuth error to be.
type refusal struct {
	status            int
	code, description string
}

func refuse(code, description string) *refusal {
	return &refusal{http.StatusBadRequest, code, description}
}

func forbid(description string) *refusal {
	return &refusal{http.StatusForbidden, "access_denied", description}
}

// issued is an answer of the token endpoint whose JWTs are not yet signed, so
// that faults can change them.
type issued struct {
	access, id *Draft
	register   *accessToken
	object     map[string]any
}

// serveToken is the token endpoint (RFC 6749 §3.2).
func (c *Call) serveToken() Answer {
	var known []string
	switch c.Form.Get("grant_type") {
	case grantExchange:
		known = []string{"grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "resource", "scope", "subject_issuer"}
	case "refresh_token":
		known = []string{"grant_type", "refresh_token", "scope"}
	case "authorization_code":
		known = []string{"grant_type", "code", "redirect_uri", "code_verifier"}
	default:
		known = []string{"grant_type"}
	}
	if a := c.checkForm(known...); a != nil {
		return *a
	}
	if !c.Form.Has("grant_type") {
		return c.fail(http.StatusBadRequest, "invalid_request", "Missing form parameter: grant_type")
	}
	if len(known) == 1 {
		return c.fail(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type")
	}
	client, refused := c.authenticate()
	if refused != nil {
		return *refused
	}
	var out *issued
	var no *refusal
	switch c.Grant {
	case "refresh_token":
		out, no = c.Issuer.refreshGrant(client, c.Form)
	case "authorization_code":
		out, no = c.Issuer.codeGrant(client, c.Form)
	default:
		out, no = c.Issuer.exchangeGrant(client, c.Form)
	}
	if no != nil {
		return c.fail(no.status, no.code, no.description)
	}
	return c.issue(out)
}

// issue signs what is to be given out, with the faults that are due.
func (c *Call) issue(out *issued) Answer {
	finish := func(d *Draft) string {
		for _, f := range c.faults {
			if f.Token != nil {
				f.Token(c, d)
			}
		}
		token := d.seal()
		c.Issuer.mu.Lock()
		defer c.Issuer.mu.Unlock()
		c.Issuer.saw(token)
		if d == out.access {
			c.Issuer.access[token] = out.register
		}
		return token
	}
	access := finish(out.access)
	out.object["access_token"] = access
	if out.id != nil {
		out.id.Claims["at_hash"] = atHash(access)
		out.object["id_token"] = finish(out.id)
	}
	return c.json(http.StatusOK, out.object)
}

// answerFor drafts the answer for a grant. The caller holds mu.
func (i *Issuer) answerFor(g *grant, scopes []string) *issued {
	life := i.conf.lifespan
	out := &issued{
		access: i.accessDraft(g.user, g.client, g.sid(), g.audience, scopes, life),
		register: &accessToken{
			user: g.user, client: g.client, audience: g.audience, scopes: scopes,
			session: g.session, offline: g.offline, expiry: i.Clock.Now().Add(life),
		},
		object: map[string]any{
			"token_type": "Bearer", "expires_in": int(life / time.Second), "refresh_expires_in": 0,
			"not-before-policy": 0, "session_state": g.sid(), "scope": strings.Join(scopes, " "),
		},
	}
	if g.has("openid") {
		out.id = i.idDraft(g.user, g.client, g.sid(), life)
	}
	if i.conf.preset != nil {
		i.conf.preset.dress(i, g, out)
	}
	return out
}

// withRefreshToken adds a refresh token to an answer. The caller holds mu.
func (i *Issuer) withRefreshToken(out *issued, g *grant, token string) {
	out.object["refresh_token"] = token
	if !g.offline {
		out.object["refresh_expires_in"] = int(i.conf.ssoIdle / time.Second)
	}
}
