// Package backend is the contract between package store, which has all policy, and
// a backend: one place where bytes lie. A backend has no lock, no expiry and no
// retries. Package backendtest checks one in one line.
//
// The package's Go API is internal to t2-cred and may change at any time.
package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// The kinds of failure. They stay apart because a person does something else about
// each. Every error of a backend wraps one of them, or is the context's own.
var (
	ErrNotFound    = errors.New("nothing stored")
	ErrLocked      = errors.New("store is locked")
	ErrUnavailable = errors.New("store is not available")
	ErrTooLarge    = errors.New("too large for the store")
	ErrCorrupt     = errors.New("stored record is not readable")
	// ErrConflict says that an item is not at the revision that a save replaces.
	// Nothing was written.
	ErrConflict = errors.New("the stored item has changed meanwhile")
	// ErrConfig says that a file which the configuration names cannot be used. Waiting
	// does not help.
	ErrConfig = errors.New("configuration of the store")
	// ErrNoAnswer is wrapped, beside ErrUnavailable, by the error of a backend that
	// does not answer: asking it again in this process is of no use.
	ErrNoAnswer = errors.New("not asked again")
)

// MaxValue is the largest value of an item, in bytes, in every backend. The largest token
// that is taken from an issuer has 64 KiB, and a record has to hold it beside the rest.
const MaxValue = 72 << 10

// A Revision names one state of one item. It is opaque to everybody but the backend
// that gave it. The empty revision is that of a missing item.
type Revision string

// A Backend is one place where items lie. Names are ASCII without control characters
// and without a slash; values are ASCII, of at most [MaxValue] bytes. Its methods may
// be called at once from many goroutines and processes; the caller excludes a second
// writer of one name where the backend cannot check and set.
type Backend interface {
	// Load returns the value and its revision. The revision is also good beside
	// ErrNotFound and ErrCorrupt, for the save that replaces what is there.
	Load(ctx context.Context, name string) (secret.Secret, Revision, error)
	// Save replaces the value whole if the item is at the revision: a reader sees the
	// old or the new value, also after a crash. It returns the new revision.
	Save(ctx context.Context, name string, value secret.Secret, replaces Revision) (Revision, error)
	// Delete removes the item; a missing one is no error.
	Delete(ctx context.Context, name string) error
	// List returns a page of the names after the given one, sorted; the last page is
	// empty. The error is errors.ErrUnsupported where the place cannot be listed.
	List(ctx context.Context, after string) ([]string, error)
	// Describe says what the backend is. It asks nobody.
	Describe() Description
}

// An Asker is a backend that may show a dialog to a person.
type Asker interface {
	// Unattended is the same backend, which shows no dialog: what needs one is
	// ErrLocked.
	Unattended() Backend
}

// A Sharer is a backend that several machines share. A lock on one machine keeps no
// other machine out, so package store claims an item by a Save of its own. For that the
// methods of Backend have to hold more:
//
//   - Load may give an old state of an item. ErrNotFound is the backend's best knowledge.
//   - A Save that succeeds proves that the revision that it replaces was the newest. The
//     revisions of an item that was deleted and made again may repeat; see LoadRevision.
//   - A Save whose answer was lost, and that took place, is a success.
//   - ErrConflict says that the item was seen at a later revision, or is gone.
type Sharer interface {
	// Terms say how claims count.
	Terms() Terms
	// LoadNewest is Load from where writes are decided, as far as that can be reached.
	LoadNewest(ctx context.Context, name string) (secret.Secret, Revision, error)
	// LoadRevision loads an item as it was at a revision, which a Save has just replaced.
	// The error is ErrNotFound where the place has not kept it. It may be an old state, but
	// with newest it is from where writes are decided, as far as that can be reached.
	LoadRevision(ctx context.Context, name string, rev Revision, newest bool) (secret.Secret, error)
	// Annotate replaces what is read of an item without its value. It changes no revision.
	Annotate(ctx context.Context, name string, about map[string]string) error
	// Annotations are a page of items with what Annotate kept, as List's. The error is
	// errors.ErrUnsupported where the place gives no such list.
	Annotations(ctx context.Context, after string) ([]Annotated, error)
	// Clock is the place's own clock, as its last answer said; zero before the first one.
	Clock() time.Time
	// Probe looks at the place through each address, for doctor. It writes and deletes
	// items of its own.
	Probe(ctx context.Context) []Finding
}

// Terms are the rules of claims, from the configuration.
type Terms struct {
	// Lease is how long a claim counts, from before the claim was sent.
	Lease time.Duration
	// Ask says that the issuer decides about a claim that ran out. Without it such a
	// claim is not taken over.
	Ask bool
}

// Annotated is an item's name and what Annotate kept.
type Annotated struct {
	Name  string
	About map[string]string
}

// A Finding is what Probe saw of one thing.
type Finding struct {
	What string // what was looked at and seen
	Err  error  // nil where it is in order
	Warn bool   // it works, and should be changed
}

// A Keep holds small secrets in the memory of this machine, for all processes of this
// user. It may hold nothing.
type Keep interface {
	Get(name string) (secret.Secret, error)
	Put(name string, value secret.Secret, life time.Duration) error
	Remove(name string)
}

// A Description says what a backend is and what its acknowledgement is worth.
type Description struct {
	Name  string // as in the configuration
	Where string // where it keeps items, for people
	// Place tells the place of a Sharer from others. It stays when the place gets another
	// address. Empty for Where.
	Place string
	// Dir is a directory on the same disk as the items, where copies are kept until
	// an item is saved; empty where the items are not files.
	Dir string
	// Volatile says that items end with the process. Such a backend keeps no grants.
	Volatile bool
	Shared   bool // several machines use it
	// Proves says that a save that was acknowledged needs no reading back.
	Proves bool
	// KernelCache says that access tokens may be cached in the kernel's keyring.
	KernelCache bool
	Slow        bool // it is worth asking for two items at once
}

// Options are what a backend needs of its surroundings.
type Options struct {
	// Namespace sets the names of one configuration apart from all others.
	Namespace string
	DataDir   string // absolute
	// IdentityCommand prints the age identity of the file store; argv without a shell.
	IdentityCommand []string
	Getenv          func(string) string
	Warn            func(msg string) // says one line to the person
	Attended        bool             // somebody is there to answer a dialog
	Now             func() time.Time
	Memory          Keep // nil where there is none
	// Label is what a person reads about an item in a program that lists the items of
	// all programs; nil where there is nothing to say.
	Label func(name string) string
}

// Errorf makes an error of one of the kinds above. Its text is the kind's own, then
// the detail, then the cause, which may be nil.
func Errorf(kind, cause error, remedy hint.Remedy, format string, args ...any) *hint.Error {
	detail := kind.Error()
	if text := fmt.Sprintf(format, args...); text != "" {
		detail += ": " + text
	}
	return &hint.Error{Kind: kind, Detail: detail, Remedy: remedy, Err: cause}
}

// NotFound is the error of an item that is not there.
func NotFound() error { return Errorf(ErrNotFound, nil, nil, "") }

// NotKept is the error of a save after which another value is there.
func NotKept() error {
	return Errorf(ErrUnavailable, nil, nil, "read-back mismatch: the store returned a different value")
}

// Conflict is the error of a save that replaces another revision than is there.
func Conflict(name string) error { return Errorf(ErrConflict, nil, nil, "%s", name) }

// CheckSize refuses a value that no backend takes.
func CheckSize(value secret.Secret) error {
	if len(value) > MaxValue {
		return Errorf(ErrTooLarge, nil, nil, "%d bytes, at most %d", len(value), MaxValue)
	}
	return nil
}
