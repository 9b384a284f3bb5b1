package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/oidc"
)

// adminItems are what the issuer's admin has to set, in the words of the admin console
// where we know it: first what was just seen to be wrong, then what cannot be seen from
// outside. Nothing without a profile.
func (d *doctor) adminItems() []string {
	items := []string{}
	if !d.profiled {
		return items
	}
	for _, f := range d.found {
		if f.level == levelOK || !concernsAdmin(f) {
			continue
		}
		item := "Seen now: " + f.what + "."
		if do, ok := strings.CutPrefix(f.hint, oidc.AskAdmin); ok {
			do, _, _ = strings.Cut(strings.TrimSuffix(do, loginInstead), loginByHint) // that is no work of the admin's
			item += " Please " + do + "."
		}
		items = append(items, item)
	}
	if d.isKeycloak() {
		return append(items, d.keycloakItems()...)
	}
	return append(items, d.plainItems()...)
}

// concernsAdmin leaves out what is wrong on this side of the network.
func concernsAdmin(f finding) bool {
	if f.err != nil {
		code, _ := classify(f.err)
		if code == exitUnreachable || code == exitStore || code == exitBusy || errors.Is(f.err, helper.ErrProfile) {
			return false
		}
	}
	switch f.name {
	case "discovery", "keys", "client", "exchange", "login":
		return true
	}
	return false
}

// keycloakItems name settings as Keycloak 26's admin console does.
func (d *doctor) keycloakItems() []string {
	p := d.request.Profile
	id := clean(p.ClientID)
	client := "Clients > " + id + " > "
	items := []string{}
	if p.ClientAuth != "none" {
		items = append(items, client+`Settings > Capability config: "Client authentication" is On.`)
	}
	scopes := []string{}
	for _, s := range p.Scopes {
		if s != "openid" {
			scopes = append(scopes, clean(s))
		}
	}
	if len(scopes) > 0 {
		items = append(items, client+"Client scopes: has "+strings.Join(scopes, ", ")+". As Default, not Optional: an exchange grants an Optional one only if the user's own token has it too, and so would quietly give a token that ends with the user's session.")
	}
	items = append(items,
		"Realm settings > User registration > Default roles: has offline_access; or each user concerned has that realm role.",
		"For an exchange, the client where the users log in: Clients > (that client) > Client scopes > (that client)-dedicated > Add mapper > By configuration > Audience: \"Included Client Audience\" is "+id+", \"Add to access token\" is On.",
		"For an exchange that gives offline tokens: the server runs with the feature token-exchange (from 26.2 on with admin-fine-grained-authz:v1 too), and "+client+`Settings > Capability config: "Standard token exchange" is Off; the standard exchange never gives offline tokens.`,
		"Instead of an exchange, for t2-cred login: "+client+`Settings > Capability config: "Standard flow" is On, with "Valid redirect URIs" http://127.0.0.1/* ; or "OAuth 2.0 Device Authorization Grant" is On.`,
		`Realm settings > Sessions: "Offline Session Idle" (30 days by default) is longer than an account may lie idle; "Offline Session Max Limited" is Off, or users come back by then.`,
	)
	for _, audience := range p.Audience {
		if audience != p.ClientID {
			items = append(items, fmt.Sprintf("Tokens of %s are to have %s in their audience: %sClient scopes > %s-dedicated > Add mapper > Audience.", id, clean(audience), client, id))
		}
	}
	return items
}

// plainItems are the same for any issuer.
func (d *doctor) plainItems() []string {
	p := d.request.Profile
	id := clean(p.ClientID)
	items := []string{
		fmt.Sprintf("Client %s may use the grant refresh_token, and the scopes %s.", id, clean(strings.Join(p.Scopes, " "))),
		fmt.Sprintf("For an exchange (RFC 8693): client %s may use the grant token-exchange, users' access tokens name it in their audience, and the answer has a refresh token that does not end with the user's session.", id),
		fmt.Sprintf("Instead of an exchange: client %s may use the authorization code grant with PKCE and the redirect URI http://127.0.0.1:PORT/callback with any port (RFC 8252 section 7.3), or the device grant (RFC 8628).", id),
	}
	if p.ClientAuth != "none" {
		items = append(items, fmt.Sprintf("Client %s is confidential, and proves itself by %s.", id, or(p.ClientAuth, "a secret, basic or post")))
	}
	return items
}

// printForAdmin writes the list as plain text, fit for a mail.
func (d *doctor) printForAdmin() error {
	var b strings.Builder
	issuer := clean(d.request.Profile.Issuer)
	where := issuer
	if at := strings.LastIndex(issuer, "/realms/"); at >= 0 && d.isKeycloak() {
		where = fmt.Sprintf("realm %s at %s", issuer[at+len("/realms/"):], issuer[:at])
	}
	b.WriteString(wrap(pipeWidth, "", "", fmt.Sprintf("To the administrator of %s:", where)) + "\n")
	b.WriteString(wrap(pipeWidth, "", "", fmt.Sprintf("an application acts for its users, by t2-cred, as client %s of issuer %s. For that, please see to the following.", clean(d.request.Profile.ClientID), issuer)))
	for n, item := range d.adminItems() {
		b.WriteString("\n" + wrap(pipeWidth, fmt.Sprintf("%2d. ", n+1), "    ", item))
	}
	_, err := d.people().Write([]byte(b.String()))
	return err
}
