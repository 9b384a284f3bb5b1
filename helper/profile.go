package helper

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/terradue/t2-cred/helper/hint"
)

// A Profile is one client at one issuer. It holds no secret: the client's own
// is an item of the store.
type Profile struct {
	Name     string
	Issuer   string // the server's exact `issuer`
	ClientID string
	Audience []string // RFC 8693 §2.1 `audience`
	Scopes   []string
	Hosts    []string // where hooks may send this profile's tokens
	// Narrow are the hosts that get narrower tokens. The first rule that has a host counts.
	Narrow     []NarrowRule
	ClientAuth string // one of oidc's; empty for basic or post, as the issuer takes
	CAFile     string
	// AccessToken says what access tokens are to this client: "jwt", "opaque", or empty
	// for what they are seen to be.
	AccessToken string
	// RequiredScopes must be granted, or an exchange, a login or a refresh fails. Without
	// any it is the scope offline_access, where it is asked for and --allow-online is not.
	RequiredScopes []string
	// AuthorizeParams are further parameters of a login in a browser, such as access_type.
	AuthorizeParams map[string]string
	// DiscoveryURL is where the discovery document lies, if not where the issuer's
	// identifier says.
	DiscoveryURL string

	// Where the client's secret or key comes from; all empty for the store.
	SecretFile    string
	SecretCommand []string
	KeyFile       string
	KeyID         string // `kid`
	CertFile      string
	// AssertionFile holds a JWT that somebody else signs and renews. AssertionAudience is
	// an audience that it may name, beside the issuer's; AssertionType is one of oidc's.
	AssertionFile, AssertionAudience, AssertionType string
}

// AddHost is the command that adds a host and keeps the others: the list of hosts is
// replaced as a whole.
func (p Profile) AddHost() hint.Command {
	edit := hint.Run("profile", "edit", p.Name)
	for _, host := range append(slices.Clone(p.Hosts), "HOST") {
		edit = edit.With("--host", host)
	}
	return edit
}

// binding is a fingerprint of what a token depends on. A cached token made
// under another configuration than today's is not served.
func (p Profile) binding() string {
	h := sha256.New()
	for _, list := range [][]string{{p.Issuer}, {p.ClientID}, p.Audience, p.Scopes} {
		fmt.Fprintln(h, len(list))
		for _, s := range list {
			fmt.Fprintln(h, len(s), s)
		}
	}
	if len(p.RequiredScopes) > 0 {
		fmt.Fprintln(h, "required_scopes", p.RequiredScopes)
	}
	if p.AccessToken != "" {
		fmt.Fprintln(h, "access_token", p.AccessToken)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
