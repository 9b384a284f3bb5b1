package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/agefile"
	"github.com/terradue/t2-cred/store/backend"
)

// A copy is what stands beside an item while its refresh token is spent: first room
// for the new record, then the mark that the token is being spent, then the new record,
// sealed. It is a file or, where disk is refused, a key of the kernel's keyring. Its
// head is one line in clear. Random bytes that keep the room follow it or, once there is
// a new record, its length and the sealed record.
//
// Only an outcome removes a copy: the item was saved, the issuer answered that nothing
// was spent, or nothing was sent.

const (
	copyVersion = "t2-cred-copy1"
	copySuffix  = ".copy"

	// States of a copy, of equal length, since the one is written over the other.
	stateRoom = "room" // nothing was sent
	stateSent = "sent" // the refresh token may have been sent

	// newGrant stands in a head for a grant that is being obtained: its id is in the
	// record, and no refresh token was sent for it.
	newGrant = "new"

	// copyLife is how long the kernel keeps a copy that nobody picks up. An offline
	// session that is not used for so long has ended at most issuers.
	copyLife = 30 * 24 * time.Hour
	maxCopy  = backend.MaxValue + 4<<10
)

// A copyHead says whose copy it is, and who was spending the refresh token.
type copyHead struct {
	state   string
	grant   string
	base    string // digest of the item that is to be replaced
	since   time.Time
	pid     int
	machine string
}

func (h copyHead) line() []byte {
	return []byte(words(copyVersion, h.state, h.grant, h.base, encodeTime(h.since), strconv.Itoa(h.pid), h.machine) + "\n")
}

func parseCopy(raw []byte) (h copyHead, sealed []byte, ok bool) {
	line, rest, _ := bytes.Cut(raw, []byte("\n"))
	w := readWords(string(line), copyVersion, 7)
	if w == nil {
		return copyHead{}, nil, false
	}
	h = copyHead{state: w[1], grant: w[2], base: w[3], machine: w[6]}
	h.since, _ = decodeTime(w[4])
	h.pid, _ = strconv.Atoi(w[5])
	return h, unframe(rest), true
}

// frame puts the length before a sealed record, so that one write makes the copy whole:
// the room behind it needs no cutting off.
func frame(sealed []byte) []byte {
	return append(fmt.Appendf(nil, "%0*d\n", frameDigits, len(sealed)), sealed...)
}

const frameDigits = 6

// unframe returns the sealed record, or nil for a room that none was put in.
func unframe(rest []byte) []byte {
	digits, rest, _ := bytes.Cut(rest, []byte("\n"))
	size, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil || len(digits) != frameDigits || size > uint64(len(rest)) {
		return nil
	}
	return rest[:size]
}

// A room is a copy that this process makes.
type room struct {
	head copyHead
	to   age.Recipient

	file *safefile.Reservation // nil where disk is refused
	path string

	kernel *kernelRing
	key    string
	// inKernel says that the copy, or the newest form of it, is in the kernel.
	inKernel bool
}

// copyDir is on the same disk as the items, where they are files.
func (s *Store) copyDir() string {
	dir := s.is.Dir
	if dir == "" {
		dir = filepath.Join(s.opt.StateDir, s.ns)
	}
	return filepath.Join(dir, "copies")
}

func copyPrefix(k Key) string { return itemName(kindCopy, k.Profile, k.Account) + "," }

func (s *Store) copyPath(k Key, grant string) string {
	return filepath.Join(s.copyDir(), copyPrefix(k)+shortHash(grant)[:8]+copySuffix)
}

func (s *Store) copyKey(k Key, grant string) string {
	return "t2-cred:" + s.ns + ":" + s.is.Name + ":" + copyPrefix(k) + shortHash(grant)
}

// makeRoom takes the place for a record of about that size, before anything is sent.
// The error wraps ErrUnavailable when neither disk nor kernel has any.
func (s *Store) makeRoom(ctx context.Context, k Key, head copyHead, size int, needs *supplies) (*room, error) {
	if head.state == "" {
		head.state = stateRoom
	}
	if err := s.checkOwner(); err != nil {
		return nil, err
	}
	needs.beginRecipient(ctx, s)
	needs.beginPlace(s, k)
	to, err := needs.recipient()
	if err != nil {
		return nil, err
	}
	head.since, head.pid, head.machine = s.opt.Now(), os.Getpid(), s.machine()
	r := &room{head: head, to: to, path: s.copyPath(k, head.grant), kernel: &s.copyKernel, key: s.copyKey(k, head.grant)}
	if _, err := s.readCopy(r.path); err != nil {
		return nil, err // it may hold the only good refresh token
	}
	place, fileErr := needs.place()
	if fileErr == nil {
		fileErr = place.Settle(r.path, head.line())
	}
	if fileErr == nil {
		r.file = place
		if _, fileErr = s.readCopy(r.path); fileErr == nil {
			return r, nil
		}
		_ = r.remove()
		r.file = nil
	}
	filler := make([]byte, size+size/2+sealOverhead+1<<10)
	_, _ = rand.Read(filler) // never fails
	if !kernelOutlives() || r.put(filler) != nil {
		return nil, backend.Errorf(ErrUnavailable, fileErr,
			hint.Say("make "+s.copyDir()+" writable, with room for 80 kB"), "there is no room for the new refresh token")
	}
	return r, nil
}

func (r *room) put(rest []byte) error {
	err := r.kernel.put(r.key, string(r.head.line())+string(rest), copyLife)
	r.inKernel = r.inKernel || err == nil
	return err
}

// mark writes down that the refresh token is being spent.
func (r *room) mark() error {
	r.head.state = stateSent
	if r.file != nil {
		return r.file.Rewrite(r.head.line())
	}
	raw, err := r.kernel.get(r.key)
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(raw, "\n")
	return r.put([]byte(rest))
}

// restore puts an earlier mark back: this time nothing was sent.
func (r *room) restore(d *Doubt) error {
	defer r.close()
	r.head.since, r.head.pid = d.Since, d.PID
	if d.Elsewhere {
		r.head.machine = "elsewhere"
	}
	if r.file != nil {
		return safefile.Replace(r.path, r.head.line(), safefile.Write{})
	}
	return r.put(nil)
}

// fill seals the new record into the room. Some file systems need new blocks also to
// write over old ones. If a full disk refuses that, the kernel may still have room.
func (r *room) fill(value secret.Secret) error {
	sealed, err := agefile.Seal(r.to, value)
	if err != nil {
		return err
	}
	framed := frame(sealed)
	if r.file == nil {
		return r.put(framed)
	}
	if err = r.file.Fill(framed); err != nil && kernelOutlives() && r.put(framed) == nil {
		return nil
	}
	return err
}

// keep has the copy outlive a crash of the machine, where that can be, and says where
// it lies.
func (r *room) keep() (where string, err error) {
	if r.inKernel {
		r.close()
		return "encrypted in the memory of the kernel until the machine is restarted, at most 30 days", nil
	}
	return "encrypted in " + r.path, errors.Join(r.file.Sync(), r.file.Close())
}

// close leaves the copy as it is.
func (r *room) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// remove removes the copy: there was an outcome.
func (r *room) remove() error {
	r.close()
	if r.inKernel {
		r.kernel.remove(r.key)
	}
	if r.file != nil {
		return safefile.Remove(r.path, false)
	}
	return nil
}

// A foundCopy is one that an earlier process left.
type foundCopy struct {
	copyHead
	sealed []byte
	where  string
	remove func()
}

// findCopies looks for all copies of an account: every file, and the kernel's key of
// the grant. Those with a record come first: a mark beside one has had its outcome.
// The error is of one that cannot be read: nobody knows what it holds.
func (s *Store) findCopies(k Key, grant string) (found []foundCopy, err error) {
	entries, err := os.ReadDir(s.copyDir())
	if err != nil && !absent(err) {
		return nil, unreadableCopy(s.copyDir(), err)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, copyPrefix(k)) && strings.HasSuffix(name, copySuffix) {
			one, err := s.readCopy(filepath.Join(s.copyDir(), name))
			if err != nil {
				return nil, err
			}
			found = append(found, one...)
		}
	}
	if grant != "" {
		found = append(found, s.kernelCopy(k, grant)...)
	}
	for _, c := range s.kernelCopy(k, newGrant) {
		if c.holdsRecord() { // it may be another container's of the same name
			found = append(found, c)
		}
	}
	return recordsFirst(found), nil
}

func recordsFirst(all []foundCopy) (sorted []foundCopy) {
	for _, holds := range []bool{true, false} {
		for _, c := range all {
			if c.holdsRecord() == holds {
				sorted = append(sorted, c)
			}
		}
	}
	return sorted
}

// holdsRecord reports whether there is a sealed record in a copy, and not only room.
func (c foundCopy) holdsRecord() bool {
	return c.state == stateSent && bytes.HasPrefix(c.sealed, []byte("age-encryption.org/"))
}

// findCopy looks for a copy of one grant: two system calls where there is none, as each
// cached get asks.
func (s *Store) findCopy(k Key, grant string) []foundCopy {
	inFile, _ := s.readCopy(s.copyPath(k, grant))
	return recordsFirst(append(inFile, s.kernelCopy(k, grant)...))
}

// readCopy reads a file, if there is one. One whose head was not written whole was never
// sent.
func (s *Store) readCopy(path string) ([]foundCopy, error) {
	raw, err := safefile.Read(path, safefile.Want{Max: maxCopy, NoLink: true, Trust: safefile.Ours})
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadableCopy(path, err)
	}
	h, sealed, ok := parseCopy(raw)
	if !ok {
		_ = safefile.Remove(path, false)
		return nil, nil
	}
	return []foundCopy{{h, sealed, "encrypted in " + path, func() { _ = safefile.Remove(path, false) }}}, nil
}

// absent reports whether there can be no copy: no file, or no directory for it.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func unreadableCopy(path string, err error) error {
	return backend.Errorf(ErrUnavailable, err, hint.Of(err), "%s cannot be read, and may hold the newest refresh token", path)
}

func (s *Store) kernelCopy(k Key, grant string) []foundCopy {
	key := s.copyKey(k, grant)
	raw, err := s.copyKernel.get(key)
	if err != nil {
		return nil
	}
	h, sealed, ok := parseCopy([]byte(raw))
	if !ok || h.grant != grant {
		return nil
	}
	return []foundCopy{{h, sealed, "encrypted in the memory of the kernel", func() { s.copyKernel.remove(key) }}}
}

// machine is a hash of this machine's id, or empty where it has none.
func (s *Store) machine() string {
	id, err := safefile.Read("/etc/machine-id", safefile.Want{Max: 256})
	if err != nil || len(bytes.TrimSpace(id)) == 0 {
		return ""
	}
	return shortHash("t2-cred machine", string(bytes.TrimSpace(id)))
}
