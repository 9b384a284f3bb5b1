package keyring

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/terradue/t2-cred/store/backend"
)

// items is a place for values of limited size. set replaces one value whole.
type items interface {
	get(o op, name string) (string, error) // wraps backend.ErrNotFound
	set(o op, name, value string) error
	del(o op, name string) error // a missing one is no error
}

// splitter keeps values that one item cannot hold. An item named like the value
// is its head. The head's first byte tells what it is:
//
//	=VALUE                       the value itself, and no chunks anywhere
//	~VALUE                       the same, but there may be chunks to clear away
//	!                            no value, and there may be chunks
//	#SLOT GEN COUNT LENGTH SUM   COUNT chunks in slot a or b
//
// Chunks are items named NAME/SLOT/1 to NAME/SLOT/COUNT, each "GEN DATA", where
// GEN is of this one write. A write fills the slot that the head does not name,
// and the one set of the head makes it count. So a crash leaves the old value or
// the new one, and a reader without a lock sees one of them: chunks of another
// write have another GEN. Writers exclude each other by the record's lock.
//
// The head always says when chunks may lie about, so that the ordinary small
// write costs one set and no search for leftovers.
type splitter struct {
	items
	limit int // bytes of one item
}

const (
	headWhole   = '='
	headUnswept = '~'
	headGone    = '!'
	headSplit   = '#'
	headBad     = '?' // what none of these wrote

	genLen      = 16 // hex digits
	chunkHeader = genLen + 1
	// readTries bounds a reader that is overtaken by one writer after another.
	readTries = 20
)

// head is a parsed head item.
type head struct {
	raw    string
	kind   byte
	value  string // headWhole, headUnswept
	slot   string
	gen    string
	count  int
	length int
	sum    string
}

func parseHead(raw string) (head, error) {
	bad := func() (head, error) {
		return head{raw: raw, kind: headBad}, corrupt("the keyring item is damaged or was not written by t2-cred")
	}
	if raw == "" {
		return bad()
	}
	h := head{raw: raw, kind: raw[0]}
	switch h.kind {
	case headWhole, headUnswept:
		h.value = raw[1:]
	case headGone:
	case headSplit:
		w := strings.Split(raw[1:], " ")
		if len(w) != 5 || w[0] != "a" && w[0] != "b" || len(w[1]) != genLen {
			return bad()
		}
		var err1, err2 error
		h.slot, h.gen, h.sum = w[0], w[1], w[4]
		h.count, err1 = strconv.Atoi(w[2])
		h.length, err2 = strconv.Atoi(w[3])
		if err1 != nil || err2 != nil || h.count < 1 || h.count > backend.MaxValue || h.length > backend.MaxValue {
			return bad()
		}
	default:
		return bad()
	}
	return h, nil
}

// revision names this head and the value that it stands for, without the value.
func (h head) revision() backend.Revision {
	if h.raw == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(h.raw))
	return backend.Revision(string(h.kind) + hex.EncodeToString(sum[:16]))
}

func corrupt(detail string) error {
	return backend.Errorf(backend.ErrCorrupt, nil, nil, "%s", detail)
}

// readHead returns the head; a missing one is headGone, which is nothing stored
// either, with an empty raw.
func (s splitter) readHead(o op, name string) (head, error) { return headOf(s.get(o, name)) }

// headOf is the head that was read.
func headOf(raw string, err error) (head, error) {
	if errors.Is(err, backend.ErrNotFound) {
		return head{kind: headGone}, nil
	}
	if err != nil {
		return head{}, err
	}
	return parseHead(raw)
}

// load returns the value and the head that it was read by.
func (s splitter) load(o op, name string) (string, head, error) {
	var last string
	for range readTries {
		h, err := s.readHead(o, name)
		switch {
		case err != nil:
			return "", h, err
		case h.kind == headGone:
			return "", h, backend.NotFound()
		case h.kind != headSplit:
			return h.value, h, nil
		case h.gen == last:
			// Nobody wrote in between, so it is not a race that broke it.
			return "", h, corrupt("a part of the keyring entry is missing or of another write")
		}
		value, ok, err := s.join(o, name, h)
		if err != nil || ok {
			return value, h, err
		}
		last = h.gen
	}
	return "", head{}, backend.Errorf(backend.ErrUnavailable, nil, nil, "the item was rewritten again and again while it was read")
}

// join reads the chunks of a head; ok is false when they are not all of it.
func (s splitter) join(o op, name string, h head) (value string, ok bool, err error) {
	var b strings.Builder
	for i := 1; i <= h.count; i++ {
		raw, err := s.get(o, chunkName(name, h.slot, i))
		if errors.Is(err, backend.ErrNotFound) {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		part, of := strings.CutPrefix(raw, h.gen+" ")
		if !of || b.Len()+len(part) > backend.MaxValue {
			return "", false, nil
		}
		b.WriteString(part)
	}
	value = b.String()
	return value, len(value) == h.length && checksum(value) == h.sum, nil
}

// save replaces the value and returns the head that was written. old is the head as
// the holder of the record's lock has just read it.
func (s splitter) save(o op, name, value string, old head) (raw string, err error) {
	if len(value)+1 > s.limit {
		return s.saveSplit(o, name, value, old)
	}
	raw = string(headWhole) + value
	if clean := old.kind == headWhole || old.raw == ""; !clean {
		if err := s.set(o, name, string(headUnswept)+value); err != nil {
			return "", err
		}
		if err := s.sweep(o, name, old); err != nil {
			return "", err
		}
	}
	return raw, s.set(o, name, raw)
}

func (s splitter) saveSplit(o op, name, value string, old head) (raw string, err error) {
	switch {
	case old.raw == "":
		if err := s.set(o, name, string(headGone)); err != nil {
			return "", err
		}
	case old.kind == headWhole && len(old.value)+1 <= s.limit:
		if err := s.set(o, name, string(headUnswept)+old.value); err != nil {
			return "", err
		}
	}
	slot := "a"
	if old.kind == headSplit && old.slot == "a" {
		slot = "b"
	}
	gen, size := newGen(), s.limit-chunkHeader
	count := (len(value) + size - 1) / size
	for i := 1; i <= count; i++ {
		part := value[(i-1)*size : min(i*size, len(value))]
		if err := s.set(o, chunkName(name, slot, i), gen+" "+part); err != nil {
			return "", err
		}
	}
	raw = fmt.Sprintf("%c%s %s %d %d %s", headSplit, slot, gen, count, len(value), checksum(value))
	if err := s.set(o, name, raw); err != nil {
		return "", err
	}
	// The new value counts. The old one's chunks are cleared away, and if that
	// fails it is by the next write: the head of a split value asks for it. What a
	// crashed write left above count in this slot goes with the slot.
	_ = s.clear(o, name, otherSlot(slot), 1, old.count)
	return raw, nil
}

// remove deletes the value: first the head says that it is gone, then the chunks
// go, then the head.
func (s splitter) remove(o op, name string) error {
	h, err := s.readHead(o, name)
	if err != nil && !errors.Is(err, backend.ErrCorrupt) {
		return err
	}
	if err == nil && h.kind == headGone && h.raw == "" {
		return nil
	}
	if err != nil || h.kind != headWhole {
		if err := s.set(o, name, string(headGone)); err != nil {
			return err
		}
		if err := s.sweep(o, name, h); err != nil {
			return err
		}
	}
	return s.del(o, name)
}

// sweep clears both slots of an entry whose last head was h.
func (s splitter) sweep(o op, name string, h head) error {
	known := map[string]int{h.slot: h.count}
	return errors.Join(s.clear(o, name, "a", 1, known["a"]), s.clear(o, name, "b", 1, known["b"]))
}

// clear deletes the chunks of a slot from one on, the last one first: what a
// crash leaves is then without a gap and found by the next, without a list. Known
// is how many there should be, in case somebody else has deleted one.
func (s splitter) clear(o op, name, slot string, from, known int) error {
	end := max(from, known+1)
	for ; ; end++ {
		_, err := s.get(o, chunkName(name, slot, end))
		if errors.Is(err, backend.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
	}
	for i := end - 1; i >= from; i-- {
		if err := s.del(o, chunkName(name, slot, i)); err != nil {
			return err
		}
	}
	return nil
}

// chunkName has a '/', which the name of a value never has.
func chunkName(name, slot string, i int) string {
	return name + "/" + slot + "/" + strconv.Itoa(i)
}

func otherSlot(slot string) string {
	if slot == "a" {
		return "b"
	}
	return "a"
}

func newGen() string {
	b := make([]byte, genLen/2)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func checksum(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}
