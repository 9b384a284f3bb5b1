package helper

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// A Profile is one client at one issuer. It holds no secret: the client's own
// is an item of the store.
type Profile struct {
	Name       string
	Issuer     string // the server's exact `issuer`
	ClientID   string
	Audience   []string // RFC 8693 §2.1 `audience`
	Scopes     []string
	Hosts      []string // where hooks may send this profile's tokens
	ClientAuth string   // one of oidc's; empty for basic or post, as the issuer takes
	CAFile     string
	// AccessToken says what access tokens are to this client: "jwt", "opaque", or empty
	// for what they are seen to be.
	AccessToken string
	// DiscoveryURL is where the discovery document lies, if not where the issuer's
	// identifier says.
	DiscoveryURL string

	// Where the client's secret or key comes from; all empty for the store.
	SecretFile    string
	SecretCommand []string
	KeyFile       string
	KeyID         string // `kid`
	CertFile      string
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
	if p.AccessToken != "" {
		fmt.Fprintln(h, "access_token", p.AccessToken)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
