package store

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// copyPlaces runs a test with disk as the place of the copy, and with the kernel where
// disk is refused.
func copyPlaces(t *testing.T, f func(t *testing.T, reopen func() (*Store, *watched), warnings *[]string)) {
	for _, place := range []string{"disk", "kernel"} {
		t.Run(place, func(t *testing.T) {
			if place == "kernel" && (runtime.GOOS != "linux" || !kernelOutlives()) {
				t.Skip("the kernel's keyring is no safe place here")
			}
			o := fileOptions(t)
			var warnings []string
			o.Warn = func(msg string) { warnings = append(warnings, msg) }
			reopen := func() (*Store, *watched) {
				s := open(t, o)
				return s, watch(s)
			}
			s, _ := reopen()
			put(t, s, alice, sampleRecord("g1"))
			if place == "kernel" {
				// A file in the way of the directory, for root too.
				if err := errors.Join(os.RemoveAll(s.copyDir()), os.WriteFile(s.copyDir(), nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			f(t, reopen, &warnings)
		})
	}
}

// A copy is whole after one write, behind which the room goes on. If the file cannot be
// overwritten, the kernel keeps the copy; the mark in the file counts no more then.
func TestCopy_whole(t *testing.T) {
	for _, full := range []bool{false, true} {
		if full && (runtime.GOOS != "linux" || !kernelOutlives()) {
			continue // the kernel's keyring is no safe place here
		}
		o := fileOptions(t)
		o.Warn = func(string) {}
		s := open(t, o)
		put(t, s, alice, sampleRecord("g1"))
		old, err := s.look(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.makeRoom(t.Context(), alice, copyHead{grant: old.rec.Grant, base: old.base}, 1000, &supplies{})
		if err != nil || r.file == nil {
			t.Fatalf("no room on disk: %v", err)
		}
		renewed := old.rec
		renewed.RefreshToken = "refresh-Wm4vJ2xQz8Lr5TnB7KcY"
		if full {
			_ = r.file.Close() // writing fails from here on
		} else if err := r.mark(); err != nil {
			t.Fatal(err)
		}
		r.head.state = stateSent
		if err := r.fill(encodeRecord(alice, renewed)); err != nil {
			t.Fatalf("full disk %v: %v", full, err)
		}
		r.close() // and the process is killed
		found, err := open(t, o).look(t.Context(), alice)
		if err != nil || found.rec.RefreshToken != renewed.RefreshToken || found.doubt != nil {
			t.Errorf("full disk %v: the copy was not taken: %v, doubt %v", full, err, found.doubt)
		}
		gone(t, s)
	}
}

// gone fails when a copy is left.
func gone(t *testing.T, s *Store) {
	t.Helper()
	if c, err := s.findCopies(alice, "g1"); err != nil || len(c) > 0 {
		t.Errorf("%d copies are left: %v", len(c), err)
	}
}

// stored fails unless that is what the backend itself holds.
func stored(t *testing.T, s *Store, refresh secret.Secret) {
	t.Helper()
	value, _, err := s.backend.Load(context.Background(), alice.item(kindGrant))
	if err == nil {
		var rec Record
		if rec, err = decodeFor(alice, value); err == nil && rec.RefreshToken == refresh {
			return
		}
	}
	t.Errorf("the backend does not hold %s: %v", refresh.Reveal(), err)
}

// inClear fails when a secret is found in a file below the store's directories.
func inClear(t *testing.T, s *Store, secrets ...secret.Secret) {
	t.Helper()
	err := filepath.WalkDir(filepath.Dir(s.opt.Config), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, one := range secrets {
			if strings.Contains(string(text), one.Reveal()) {
				t.Errorf("%s has a secret in clear", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A grant that was just obtained is stored also where its room has broken.
func TestObtain_theRoomBreaks(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		if s.copyKernel.off || !isNotDir(s.copyDir()) {
			t.Skip("a file that was opened cannot be made to fail")
		}
		obtain := func() error {
			s.copyKernel.off = false
			_, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) {
				s.copyKernel.off = true
				return sampleRecord("g9"), nil
			})
			return err
		}
		w.refuse = refuseGrants("save")
		if err := obtain(); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "nothing was") {
			t.Errorf("with the item refused: %v", err)
		}
		w.refuse = nil
		if err := obtain(); err != nil {
			t.Error(err)
		}
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g9" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
	})
}

func isNotDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func TestObtain_whatCannotBeStoredWaits(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		if err := s.Delete(context.Background(), alice); err != nil {
			t.Fatal(err)
		}
		w.refuse = refuseGrants("save")
		if _, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) { return sampleRecord("g9"), nil }); err != nil {
			t.Fatal(err)
		}
		s, _ = reopen()
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g9" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
		gone(t, s)
	})
}

// A second exchange does not take the room of the first one's copy, and a cached get
// puts that copy in its place.
func TestObtain_doesNotOverwriteWhatWaits(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), warnings *[]string) {
		s, w := reopen()
		if err := s.Delete(context.Background(), alice); err != nil {
			t.Fatal(err)
		}
		w.refuse = refuseGrants("save")
		obtained := sampleRecord("g9")
		obtained.Token = Token{AccessToken: "cached", Type: "Bearer", Expiry: time.Now().Add(time.Hour), Obtained: time.Now()}
		if _, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) { return obtained, nil }); err != nil {
			t.Fatal(err)
		}
		if last := (*warnings)[len(*warnings)-1]; !strings.Contains(last, "then run t2-cred get --profile ") {
			t.Errorf("warned %q", last)
		}
		asked := false
		_, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) { asked = true; return Record{}, errors.New("the issuer refused it") })
		if asked || !errors.Is(err, ErrUnavailable) {
			t.Errorf("asked %v: %v", asked, err)
		}
		s, _ = reopen()
		_, _ = s.Token(context.Background(), alice)
		gone(t, s)
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g9" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
	})
}

// A copy that cannot be read may hold the only good refresh token.
func TestRefresh_anUnreadableCopyStops(t *testing.T) {
	o := fileOptions(t)
	o.Warn = func(string) {}
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	// A directory in the place of the copy cannot be read, by root either.
	if err := os.MkdirAll(s.copyPath(alice, "g1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := rotation(s, second); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "may hold the newest refresh token") {
		t.Errorf("Refresh: %v", err)
	}
	stored(t, s, sampleRecord("g1").RefreshToken)
}

func TestDelete_takesTheCopiesAlong(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		w.refuse = refuseGrants("save")
		if _, err := rotation(s, second); err != nil {
			t.Fatal(err)
		}
		w.refuse = nil
		if err := s.Delete(context.Background(), alice); err != nil {
			t.Fatal(err)
		}
		gone(t, s)
		s, _ = reopen()
		if _, err := s.Load(context.Background(), alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("Load: %v", err)
		}
	})
}

// A copy that this store's identity does not open is another store's: it is left alone.
func TestCopies_ofAnotherStoreAreLeftAlone(t *testing.T) {
	o := fileOptions(t)
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	other := open(t, fileOptions(t))
	put(t, other, alice, sampleRecord("g1"))
	w := watch(other)
	w.refuse = refuseGrants("save")
	if _, err := rotation(other, second); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other.copyPath(alice, "g1"))
	if err != nil {
		t.Fatal(err)
	}
	path := s.copyPath(alice, "g1")
	if err := errors.Join(os.MkdirAll(s.copyDir(), 0o700), os.WriteFile(path, foreign, 0o600)); err != nil {
		t.Fatal(err)
	}
	st, err := s.look(context.Background(), alice)
	if err != nil || st.rec.RefreshToken != sampleRecord("g1").RefreshToken {
		t.Errorf("it was taken: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("it was removed: %v", err)
	}
}

// The copies that 3f78ee2 left in clear are taken one last time.
func TestOldCopies_areTaken(t *testing.T) {
	for name, tt := range map[string]struct {
		base func(stored secret.Secret) string
		want secret.Secret
	}{
		"of what is stored":         {digest, second},
		"of what was stored before": {func(secret.Secret) string { return digest("another value") }, sampleRecord("g1").RefreshToken},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, fileOptions(t))
			put(t, s, alice, sampleRecord("g1"))
			value, _, err := s.backend.Load(context.Background(), alice.item(kindGrant))
			if err != nil {
				t.Fatal(err)
			}
			next := sampleRecord("g1")
			next.RefreshToken = second
			next.format = firstRecord
			raw, err := json.Marshal(oldCopy{V: 1, Seq: 1, Base: tt.base(value), Value: encodeRecord(alice, next).Reveal()})
			if err == nil {
				err = errors.Join(os.MkdirAll(s.opt.RuntimeDir, 0o700), os.WriteFile(s.oldCopyPath(alice), raw, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			if rec, err := s.Load(context.Background(), alice); err != nil || rec.RefreshToken != tt.want {
				t.Errorf("Load = %s, %v", rec.RefreshToken.Reveal(), err)
			}
			stored(t, s, tt.want)
			if _, err := os.Stat(s.oldCopyPath(alice)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}
