package store

import (
	"context"
	"errors"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// What can be wrong with a store. The four stay apart because a person does
// something else about each: exchange, unlock, start a keyring, choose another
// store. Errors of this package wrap one of them and may carry a hint (see
// [Error]).
var (
	ErrNotFound    = errors.New("nothing stored")
	ErrLocked      = errors.New("store is locked")
	ErrUnavailable = errors.New("store is not available")
	ErrTooLarge    = errors.New("too large for the store")
	ErrCorrupt     = errors.New("stored record is not readable")
	// ErrBusy says that another process held the record's lock past the deadline.
	ErrBusy = errors.New("another t2-cred holds the lock")
)

// An Error is one of the sentinels above with what was seen and what to do.
type Error struct {
	Kind   error  // a sentinel of this package
	Detail string // what was seen, without secrets
	Remedy string // the next command to type, or empty
	Err    error  // the cause, or nil
}

func (e *Error) Error() string {
	s := e.Kind.Error()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the sentinel and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// Hint is the next command to type, or empty.
func (e *Error) Hint() string { return e.Remedy }

// A Key names one account of a profile.
type Key struct{ Profile, Account string }

// A Token is an access token with what is needed to use it again.
type Token struct {
	AccessToken secret.Secret
	Type        string    // "Bearer"
	Obtained    time.Time // when the issuer answered; Expiry less Obtained is its life
	Expiry      time.Time
	Scopes      []string
	Subject     string
	// Binding is a fingerprint of the configuration that the token was asked
	// for with; who reads a token from the cache compares it.
	Binding string
}

// A Record is one user's credential under a profile.
type Record struct {
	// Grant is a random id, made when the grant was obtained. It ties notes and
	// cached tokens to this grant and no other. Empty in the zero Record only.
	Grant        string
	Issuer       string
	ClientID     string
	Subject      string // the `sub` claim
	Username     string // preferred_username or email, for people; may be empty
	Scopes       []string
	Offline      bool // the issuer said so; see helper
	RefreshToken secret.Secret
	// RefreshExpiry is when the refresh token ends; zero when no end is known.
	RefreshExpiry time.Time
	Created       time.Time
	// Session tells grants of one login session from others: a hash, empty when the
	// issuer names no session.
	Session string
	// Dead holds the issuer's words (error and description) after it refused the
	// refresh token for good. A dead record is kept so that status can explain.
	Dead   string
	DeadAt time.Time
	// Token is the current access token. It lies in the cache, not in the item:
	// a change of Token alone writes no item.
	Token Token
}

// A Note is what is known of an account without any secret.
type Note struct {
	Key           Key
	Backend       string
	Grant         string
	Issuer        string
	ClientID      string
	Subject       string
	Username      string
	Scopes        []string
	Offline       bool
	Session       string
	Created       time.Time
	Refreshed     time.Time // when an access token was last obtained
	RefreshExpiry time.Time
	TokenExpiry   time.Time
	Dead          string
	DeadAt        time.Time
}

// A Backend is one place where bytes lie. It has no lock, no expiry and no
// policy; names are ASCII without control characters, values are ASCII.
type Backend interface {
	// Load returns the value, or an error that wraps ErrNotFound, ErrLocked or
	// ErrUnavailable, never one for another.
	Load(ctx context.Context, name string) (secret.Secret, error)
	// Save replaces the value whole: a reader sees the old or the new one, also
	// after a crash. ErrTooLarge when it cannot hold it.
	Save(ctx context.Context, name string, value secret.Secret) error
	// Delete removes the value; that it is missing is no error.
	Delete(ctx context.Context, name string) error
	// List returns the names it holds, in no order; errors.ErrUnsupported where
	// the place cannot be listed (then the notes are all there is).
	List(ctx context.Context) ([]string, error)
}

// Options say where a store's files are and what it may do.
type Options struct {
	Backend string // a registered name: "keyring", "file", "memory"
	Config  string // absolute path of the configuration file; names the namespace
	// StateDir holds locks and notes, DataDir the file store, RuntimeDir the
	// recovery file of the last resort. Absolute; made when first needed, 0700.
	StateDir, DataDir, RuntimeDir string
	// IdentityCommand prints the file store's identity; argv, without a shell. Empty
	// for an identity that is a file.
	IdentityCommand []string
	Getenv          func(string) string
	Now             func() time.Time
	// Warn says one line to the person, on standard error.
	Warn func(msg string)
	// Attended is whether somebody is there to answer the OS keyring's own
	// unlock dialog.
	Attended bool
}
