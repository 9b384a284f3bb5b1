package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestNotes_surviveAndShowNoSecret(t *testing.T) {
	d := dirNotes{tempDir(t)}
	rec := fullRecord()
	rec.Token = sampleToken("hunter2")
	want := note{Note: Note{Key: alice, Backend: "keyring", GrantInfo: rec.GrantInfo, TokenExpiry: rec.Token.Expiry}, place: placeKernel}
	want.Refreshed = rec.Token.Obtained
	if err := d.put(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.get(alice)
	if err != nil {
		t.Fatal(err)
	}
	// Times are kept as moments.
	for _, pair := range [][2]*time.Time{
		{&got.RevokedAt, &want.RevokedAt}, {&got.Refreshed, &want.Refreshed}, {&got.TokenExpiry, &want.TokenExpiry},
	} {
		if !pair[0].Equal(*pair[1]) {
			t.Errorf("time %v, want %v", pair[0], pair[1])
		}
		*pair[0] = *pair[1]
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for i, v := range slices.Backward(fieldsOf(want.Note)) {
		if v.IsZero() {
			t.Errorf("field %d of the note is not tested", i)
		}
	}
}

func fieldsOf(v any) []reflect.Value {
	s := reflect.ValueOf(v)
	fields := make([]reflect.Value, s.NumField())
	for i := range fields {
		fields[i] = s.Field(i)
	}
	return fields
}

func TestNotes_damagedCountAsMissing(t *testing.T) {
	d := dirNotes{tempDir(t)}
	for _, bad := range []string{
		"", "{", "{}", "note2 g kernel gep alice", "note2 g kernel gep alice\n{", "note3 g kernel gep alice\n{}",
		"note2  kernel gep alice\n{}", "note2 g kernel gep bob\n{}", "note2 g kernel gep\n{}", "note2 g kernel gep %zz\n{}",
	} {
		if err := os.WriteFile(d.path(alice), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.get(alice); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestToken_costsTheSameWithManyAccounts compares reading the cached token beside
// no other account and beside ten thousand.
func TestToken_costsTheSameWithManyAccounts(t *testing.T) {
	s := open(t, fileOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	one := medianOfToken(t, s)
	n, err := s.notes.get(alice)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10000 {
		n.Key.Account = fmt.Sprintf("job-%d", i)
		if err := s.notes.put(n); err != nil {
			t.Fatal(err)
		}
	}
	many := medianOfToken(t, s)
	t.Logf("Token: %s beside no other account, %s beside 10,000", one, many)
	if many > 5*one {
		t.Errorf("Token takes %s, and beside 10,000 accounts %s", one, many)
	}
}

func medianOfToken(t *testing.T, s *Store) time.Duration {
	t.Helper()
	times := make([]time.Duration, 301)
	for i := range times {
		started := time.Now()
		if _, err := s.Token(context.Background(), alice); err != nil {
			t.Fatal(err)
		}
		times[i] = time.Since(started)
	}
	slices.Sort(times)
	return times[len(times)/2]
}
