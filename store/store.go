package store

import (
	"errors"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// What can be wrong with a store. The kinds stay apart because a person does something
// else about each: exchange, unlock, start a keyring, choose another store. Errors of
// this package wrap one of them and may carry a remedy (package hint).
var (
	ErrNotFound    = backend.ErrNotFound
	ErrLocked      = backend.ErrLocked
	ErrUnavailable = backend.ErrUnavailable
	ErrTooLarge    = backend.ErrTooLarge
	ErrCorrupt     = backend.ErrCorrupt
	ErrConfig      = backend.ErrConfig
	// ErrNewer is of a record that a newer t2-cred wrote. It wraps ErrCorrupt.
	ErrNewer = errors.New("written by a newer t2-cred")
	// ErrBusy says that another process held the record's lock past the deadline.
	ErrBusy = errors.New("another t2-cred holds the lock")
	// ErrLost says that the issuer took a refresh token and that the new one could be kept
	// nowhere, although there was room for it.
	ErrLost = errors.New("the new refresh token could not be stored")
	// ErrMoved says that the store that something is to be moved to has another
	// credential of that account.
	ErrMoved = errors.New("the other store holds another credential")
)

// A Key names one account of a profile.
type Key struct{ Profile, Account string }

// A Token is an access token and all that its next use needs.
type Token struct {
	AccessToken secret.Secret
	Type        string    // "Bearer"
	Obtained    time.Time // when the issuer answered; Expiry less Obtained is its life
	Expiry      time.Time
	Scopes      []string
	Subject     string
	// Binding is a fingerprint of the configuration that the token was asked
	// for with; whoever reads a token from the cache compares it.
	Binding string
}

// A GrantInfo is what is known of a grant without any secret. It is a part of the
// record and of the note, and is written to both as it stands here.
type GrantInfo struct {
	// Grant is a random id, made when the grant was obtained. It ties notes, copies
	// and cached tokens to this grant and no other. Empty in the zero Record only.
	Grant    string   `json:"grant"`
	Issuer   string   `json:"issuer"`
	ClientID string   `json:"client_id"`
	Subject  string   `json:"sub,omitempty"`      // the `sub` claim
	Username string   `json:"username,omitempty"` // for people; may be empty
	Scopes   []string `json:"scopes,omitempty"`   // granted
	Offline  bool     `json:"offline,omitempty"`  // the issuer said so; see helper
	// Session tells grants of one login session from others: a hash, empty when the
	// issuer names no session.
	Session string    `json:"session,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// RefreshExpiry is when the refresh token ends; zero when no end is known.
	RefreshExpiry time.Time `json:"refresh_expiry,omitzero"`
	// RevokedBy holds the issuer's words (error and description) after it refused the
	// refresh token with invalid_grant. Such a record is kept so that status can explain.
	RevokedBy string    `json:"dead,omitempty"`
	RevokedAt time.Time `json:"dead_at,omitzero"`

	// What follows is not known to 3f78ee2, which drops it when it writes.

	// ClientAuth is how the client's secret was taken, basic or post, where the
	// profile leaves it open.
	ClientAuth string `json:"client_auth,omitempty"`
	// Asked are the scopes that were asked for.
	Asked []string `json:"asked,omitempty"`
	// Verified says that an access token of this grant was verified by its signature.
	Verified bool `json:"verified,omitempty"`
	// Introspects says that the issuer has called this grant's unspent refresh token
	// active (RFC 7662), so that its "inactive" means something.
	Introspects bool `json:"introspects,omitempty"`
	// Machine is a hash of the id of the machine that refreshed last.
	Machine string `json:"machine,omitempty"`
}

// A Record is one user's credential under a profile.
type Record struct {
	GrantInfo
	RefreshToken secret.Secret
	// Token is the current access token. It lies in the cache, not in the item:
	// a change of Token alone writes no item.
	Token Token

	format int // at rest, of a grant that an older program made; else 0
}

// A Note is what is known of an account without any secret.
type Note struct {
	Key     Key
	Backend string
	GrantInfo
	Refreshed   time.Time // when an access token was last obtained
	TokenExpiry time.Time
}

// Options say where a store's files are and what it may do.
type Options struct {
	Backend string // "keyring", "file" or "openbao"
	Config  string // absolute path of the configuration file; names the namespace
	// StateDir holds locks, notes and copies, DataDir the file store. In RuntimeDir
	// 3f78ee2 left its recovery files. Absolute; made when first needed, 0700.
	StateDir, DataDir, RuntimeDir string
	// IdentityCommand prints the file store's identity; argv, without a shell. Empty
	// for an identity that is a file.
	IdentityCommand []string
	OpenBao         OpenBao // of the store openbao
	Getenv          func(string) string
	Now             func() time.Time
	// Warn says one line to the person, on standard error.
	Warn func(msg string)
	// IssuerOf is the issuer of a profile, for the labels of items; nil where nobody
	// knows.
	IssuerOf func(profile string) string
	// Attended is whether somebody is there to answer the OS keyring's own
	// unlock dialog.
	Attended bool
}
