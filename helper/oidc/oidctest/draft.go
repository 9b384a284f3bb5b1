package oidctest

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"
)

// A Draft is a JWT about to be signed. A fault may change it in any way.
type Draft struct {
	// Kind is "access_token" or "id_token".
	Kind   string
	Header map[string]any
	Claims map[string]any
	// Payload, if set, is signed in place of Claims.
	Payload []byte
	// Sign makes the signature; the issuer's key's if not set.
	Sign func(input []byte) []byte
	// Finish, if set, is given the finished token and returns what goes out.
	Finish func(token string) string

	issuer *Issuer
	key    *key
	opaque bool
}

// seal signs the draft.
func (d *Draft) seal() string {
	if d.opaque {
		token := randomText(64)
		if d.Finish != nil {
			token = d.Finish(token)
		}
		return token
	}
	payload := d.Payload
	if payload == nil {
		payload, _ = json.Marshal(d.Claims)
	}
	input := encode(d.Header) + "." + b64(payload)
	var signature []byte
	if d.Sign != nil {
		signature = d.Sign([]byte(input))
	} else {
		signature = mustSign(d.key.alg, d.key.private, []byte(input))
	}
	token := input + "." + b64(signature)
	if d.Finish != nil {
		token = d.Finish(token)
	}
	return token
}

func mustSign(alg string, key any, input []byte) []byte {
	s, err := sign(alg, key, input)
	if err != nil {
		panic(err)
	}
	return s
}

// newDraft begins a token with what all have in common. The caller holds mu.
func (i *Issuer) newDraft(kind string, u *user, client, sid string, life time.Duration) *Draft {
	k, err := i.keys.signer(i.conf.alg)
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	now := i.Clock.Now()
	d := &Draft{
		Kind:   kind,
		issuer: i,
		key:    k,
		Header: map[string]any{"alg": k.alg, "typ": "JWT", "kid": k.id},
		Claims: map[string]any{
			"exp": now.Add(life).Unix(), "iat": now.Unix(), "jti": newID(),
			"iss": i.url, "sub": u.sub, "azp": client, "sid": sid,
			"name": titled(u.name) + " Tester", "given_name": titled(u.name), "family_name": "Tester",
			"preferred_username": u.name, "email": u.name + "@example.com", "email_verified": true,
		},
	}
	return d
}

// accessDraft is an access token as Keycloak 26 makes it, in the shape that is
// set. The caller holds mu.
func (i *Issuer) accessDraft(u *user, client, sid string, audience, scopes []string, life time.Duration) *Draft {
	d := i.newDraft("access_token", u, client, sid, life)
	c := d.Claims
	c["typ"] = "Bearer"
	c["scope"] = strings.Join(scopes, " ")
	if len(audience) > 0 {
		c["aud"] = oneOrMany(audience)
	}
	c["acr"] = "1"
	c["allowed-origins"] = []string{"/*"}
	c["realm_access"] = map[string]any{"roles": []string{"default-roles-test", "offline_access", "uma_authorization"}}
	c["resource_access"] = map[string]any{"account": map[string]any{"roles": []string{"manage-account", "view-profile"}}}
	switch i.conf.shape {
	case Opaque:
		d.opaque = true
	case RFC9068:
		d.Header["typ"] = "at+jwt"
		c["client_id"] = client
		delete(c, "typ")
	case Lightweight:
		for _, name := range []string{"aud", "sub", "realm_access", "resource_access", "allowed-origins", "acr", "name", "given_name", "family_name", "preferred_username", "email", "email_verified"} {
			delete(c, name)
		}
	}
	return d
}

// idDraft is an ID token (OpenID Connect Core §2). The caller holds mu.
func (i *Issuer) idDraft(u *user, client, sid string, life time.Duration) *Draft {
	d := i.newDraft("id_token", u, client, sid, life)
	d.Claims["typ"] = "ID"
	d.Claims["aud"] = client
	d.Claims["auth_time"] = d.Claims["iat"]
	d.Claims["acr"] = "1"
	return d
}

// refreshJWT is a refresh token as Keycloak makes it: a JWT for its own eyes,
// signed with a symmetric key (HS512). The caller holds mu.
func (i *Issuer) refreshJWT(g *grant, t *refreshToken) string {
	typ := "Refresh"
	if g.offline {
		typ = "Offline"
	}
	c := map[string]any{
		"iat": i.Clock.Now().Unix(), "jti": t.id, "iss": i.url, "aud": i.url, "sub": g.user.sub,
		"typ": typ, "azp": g.client, "sid": g.sid(), "scope": strings.Join(g.scopes, " ") + " basic acr roles",
	}
	if !t.expiry.IsZero() {
		c["exp"] = t.expiry.Unix()
	}
	head := map[string]any{"alg": "HS512", "typ": "JWT", "kid": namedID(i.url)}
	input := encode(head) + "." + encode(c)
	return input + "." + b64(mustSign("HS512", i.keys.hmac, []byte(input)))
}

// newRefreshToken makes a grant's next refresh token. The caller holds mu.
func (i *Issuer) newRefreshToken(g *grant) string {
	g.made++
	t := &refreshToken{grant: g, id: newID(), number: g.made}
	if !g.offline {
		t.expiry = i.Clock.Now().Add(i.conf.ssoIdle)
	}
	text := randomText(64)
	if p := i.conf.preset; p != nil && p.refresh != nil {
		text = p.refresh(i)
	} else if !i.conf.opaque {
		text = i.refreshJWT(g, t)
	}
	i.refresh[text] = t
	i.saw(text)
	return text
}

// atHash is OpenID Connect Core §3.1.3.6's, for algorithms with SHA-256.
func atHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return b64(sum[:16])
}

// challenge is a PKCE verifier's (RFC 7636 §4.2).
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return b64(sum[:])
}

// oneOrMany is a claim as Keycloak writes it: a string when there is one only.
func oneOrMany(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return values
}

func titled(name string) string {
	if name == "" {
		return name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
