package helper

import (
	"net/url"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// A Credential is what a tool gets: an access token and what it must know to
// use it.
type Credential struct {
	Token   secret.Secret
	Type    string // "Bearer"
	Expiry  time.Time
	Subject string
	Scopes  []string

	Profile, Account, Issuer string
}

// A Request asks for a credential.
type Request struct {
	Profile Profile
	Account string
	// URL is where the token is to be sent, when a hook asks. The caller that sets Profile must check Profile.Serves(URL).
	URL *url.URL
	// Beside is another place that gets the same token, if there is one.
	Beside *url.URL
	// Narrow asks for less than the grant gives. Where it is zero, the profile's rule for
	// URL counts.
	Narrow Narrow
	// MinValid is how long the token must still be valid. Nil stands for 30 s (or
	// for Prefer, where that is more), or half of the token's life where that is
	// less: a token that lives 40 s is no reason to refresh at every call.
	MinValid *time.Duration
	// Prefer is how long a caller would like to use the token.
	Prefer time.Duration
	// Replace lets a new grant take the place of another user's, and lets an exchange
	// make a second grant of one login where the issuer mixes up the two.
	Replace bool
	// MayReplace asks a person for what Replace allows. The words say whose grant is
	// replaced by whose. Nil for nobody to ask.
	MayReplace func(old, now string) bool
	// Fresh passes the cache by, and asks the issuer once more about a grant that
	// it has ended.
	Fresh bool
}

// DefaultMinValid is what MinValid is when nobody asked.
const DefaultMinValid = 30 * time.Second

func (r Request) key() store.Key { return store.Key{Profile: r.Profile.Name, Account: r.Account} }

// minValid is what is asked of token t.
func (r Request) minValid(t store.Token) time.Duration {
	if r.MinValid != nil {
		return *r.MinValid
	}
	return min(max(DefaultMinValid, r.Prefer), t.Expiry.Sub(t.Obtained)/2)
}

// serves reports whether t answers the request at that time.
func (r Request) serves(t store.Token, now time.Time) bool {
	return t.Expiry.Sub(now) > max(0, r.minValid(t))
}

func credential(r Request, t store.Token) Credential {
	return Credential{
		Token: t.AccessToken, Type: t.Type, Expiry: t.Expiry, Subject: t.Subject, Scopes: t.Scopes,
		Profile: r.Profile.Name, Account: r.Account, Issuer: r.Profile.Issuer,
	}
}
