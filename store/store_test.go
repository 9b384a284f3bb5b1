package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

func TestDelete_worksOnWhatCannotBeRead(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, sampleRecord("g1"))
		if err := s.saveAny(ctx, s.backend, alice.item(kindGrant), `{"v":1,"grant":"`); err != nil {
			t.Fatal(err)
		}
		_, err := s.Load(ctx, alice)
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("Load: %v", err)
		}
		if _, err := s.Update(ctx, alice, func(old Record) (Record, error) { return sampleRecord("g2"), nil }); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Update: %v", err)
		}
		if err := s.Delete(ctx, alice); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("Load: %v", err)
		}
		if _, err := s.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("Token: %v", err)
		}
		if err := s.Delete(ctx, alice); err != nil {
			t.Errorf("second Delete: %v", err)
		}
	})
}

func TestClientSecret(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		if _, err := s.ClientSecret(ctx, "gep"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("none: %v", err)
		}
		for _, want := range []secret.Secret{"s3cret", "ünï\n"} {
			if err := s.SetClientSecret(ctx, "gep", want); err != nil {
				t.Fatal(err)
			}
			if got, err := s.ClientSecret(ctx, "gep"); err != nil || got != want {
				t.Errorf("ClientSecret = %q, %v", got.Reveal(), err)
			}
		}
		w := watch(s)
		if err := s.SetClientSecret(ctx, "gep", "ünï\n"); err != nil || len(w.saves) > 0 != (s.is.Dir != "") {
			t.Errorf("the same secret again: %v, wrote %q", err, w.saves)
		}
		if _, err := s.ClientSecret(ctx, "other"); !errors.Is(err, ErrNotFound) {
			t.Errorf("of another profile: %v", err)
		}
		if err := errors.Join(s.DeleteClientSecret(ctx, "gep"), s.DeleteClientSecret(ctx, "gep")); err != nil {
			t.Error(err)
		}
		if _, err := s.ClientSecret(ctx, "gep"); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
	})
}

func TestCheckWritable(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		if err := s.CheckWritable(ctx); err != nil {
			t.Fatal(err)
		}
		if names, err := s.listAll(ctx); err == nil && !slices.Equal(names, []string{kindSeal}) {
			t.Errorf("left behind: %q", names)
		}
		if left, err := os.ReadDir(s.copyDir()); err != nil || len(left) > 0 {
			t.Errorf("copies left behind: %v, %v", left, err)
		}
		w := watch(s)
		if err := s.CheckWritable(ctx); err != nil || len(w.saves) > 0 {
			t.Errorf("the second time: %v, and it wrote %q", err, w.saves)
		}
		w.refuse = refuse("load")
		if err := s.CheckWritable(ctx); !errors.Is(err, ErrUnavailable) {
			t.Errorf("reading refused: %v", err)
		}
	})
}

// forgetful takes everything and keeps nothing, as a keyring does whose dialog
// was dismissed.
type forgetful struct{ backend.Backend }

func (forgetful) Save(context.Context, string, secret.Secret, backend.Revision) (backend.Revision, error) {
	return "", nil
}

func TestSave_isNotBelievedUntilReadBack(t *testing.T) {
	s, ctx := open(t, testOptions(t, "memory")), context.Background()
	put(t, s, alice, sampleRecord("g1"))
	s.backend = forgetful{s.backend}
	if err := s.SetClientSecret(ctx, "gep", "s"); err == nil {
		t.Error("SetClientSecret believed it")
	}
	_, err := s.Update(ctx, alice, func(old Record) (Record, error) { old.Username = "bob"; return old, nil })
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("Update: %v", err)
	}
}

func TestStore_twoConfigurationsNeverMix(t *testing.T) {
	for _, name := range Backends() {
		t.Run(name, func(t *testing.T) {
			o := optionsFor[name](t)
			otherConfig, otherHome := o, o
			otherConfig.Config += "2"
			otherHome.StateDir += "2"
			// A shared store is the same for all machines of one prefix.
			otherConfig.OpenBao.Prefix += "2"
			otherHome.OpenBao.Prefix += "3"
			ctx := context.Background()
			put(t, open(t, o), alice, sampleRecord("g1"))
			if err := open(t, o).SetClientSecret(ctx, "gep", "s"); err != nil {
				t.Fatal(err)
			}
			for _, other := range []Options{otherConfig, otherHome} {
				s := open(t, other)
				if _, err := s.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
					t.Errorf("Load: %v", err)
				}
				if _, err := s.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
					t.Errorf("Token: %v", err)
				}
				if _, err := s.ClientSecret(ctx, "gep"); !errors.Is(err, ErrNotFound) {
					t.Errorf("ClientSecret: %v", err)
				}
				if got, err := s.Accounts(ctx); err != nil || len(got) > 0 {
					t.Errorf("Accounts = %v, %v", got, err)
				}
				if err := s.Delete(ctx, alice); err != nil {
					t.Error(err)
				}
			}
			if rec, err := open(t, o).Load(ctx, alice); err != nil || rec.Grant != "g1" || rec.Token.AccessToken != "first" {
				t.Errorf("Load of the first = %+v, %v", rec, err)
			}
		})
	}
}

func TestOpen_checksAndTouchesNothing(t *testing.T) {
	for _, name := range Backends() {
		o := testOptions(t, name)
		o.OpenBao = OpenBao{Address: []string{"https://bao.example:8200"}, Mount: "kv", Prefix: "t2-cred", Auth: "kubernetes", Role: "node"}
		open(t, o)
		if entries, err := os.ReadDir(filepath.Dir(o.StateDir)); err != nil || len(entries) > 0 {
			t.Errorf("%s: made %v, %v", name, entries, err)
		}
	}
	bad := testOptions(t, "file")
	bad.StateDir = "state"
	if _, err := Open(bad); err == nil {
		t.Error("took a relative directory")
	}
	bad = testOptions(t, "nowhere")
	if _, err := Open(bad); err == nil || !strings.Contains(err.Error(), "keyring") {
		t.Errorf("unknown store: %v", err)
	}
	if s := open(t, testOptions(t, "file")); s.Name() != "file" {
		t.Errorf("Name = %q", s.Name())
	}
}

func TestStore_refusesBadNames(t *testing.T) {
	s, ctx := open(t, testOptions(t, "memory")), context.Background()
	bad := Key{"gep", "a b"}
	f := func(old Record) (Record, error) { return old, nil }
	for name, call := range map[string]func() error{
		"Load":         func() error { _, err := s.Load(ctx, bad); return err },
		"Update":       func() error { _, err := s.Update(ctx, bad, f); return err },
		"Token":        func() error { _, err := s.Token(ctx, bad); return err },
		"Note":         func() error { _, err := s.Note(bad); return err },
		"Delete":       func() error { return s.Delete(ctx, bad) },
		"ClientSecret": func() error { _, err := s.ClientSecret(ctx, "a\nb"); return err },
	} {
		if err := call(); !errors.Is(err, ErrName) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStore_filesAreOursAlone(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("modes are Unix'")
	}
	o := testOptions(t, "file")
	strictUmask(t)
	if _, err := InitFile(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	err := filepath.WalkDir(filepath.Dir(o.StateDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == filepath.Dir(o.StateDir) {
			return err
		}
		info, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestStore_othersFilesAreNotUsed: what another user can change is not believed. A note
// is as if absent; a record is an error that names the repair.
func TestStore_othersFilesAreNotUsed(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("modes are Unix'")
	}
	ctx := context.Background()
	for _, what := range []string{"file", "directory"} {
		o := fileOptions(t)
		s := open(t, o)
		put(t, s, alice, sampleRecord("g1"))
		open := func(path string) (mended func()) {
			t.Helper()
			mode := fs.FileMode(0o666)
			if what == "directory" {
				path, mode = filepath.Dir(path), 0o777
			}
			info, err := os.Stat(path)
			if err == nil {
				err = os.Chmod(path, mode)
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.Chmod(path, info.Mode()); err != nil {
					t.Fatal(err)
				}
			}
		}
		mend := open(s.notes.path(alice))
		if n, err := s.notes.get(alice); !errors.Is(err, safefile.ErrNotOurs) {
			t.Errorf("note, %s: %+v, %v", what, n, err)
		}
		if _, err := s.Token(ctx, alice); err == nil {
			t.Errorf("note, %s: the token is found by it", what)
		}
		if rec, err := s.Load(ctx, alice); err != nil || rec.Token.AccessToken != "first" {
			t.Errorf("note, %s: Load: %v, %v", what, rec.Token.AccessToken, err)
		}
		mend()
		dir := s.backend.Describe().Dir
		mend = open(filepath.Join(dir, alice.item(kindGrant)+".age"))
		_, err := s.Load(ctx, alice)
		if !errors.Is(err, ErrUnavailable) || !strings.HasPrefix(hint.Of(err).String(), "chmod go-w "+dir) {
			t.Errorf("record, %s: %v (hint %q)", what, err, hint.Of(err))
		}
		mend()
	}
}

func TestRefresh_clientSecretIsAtHand(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, sampleRecord("g1"))
		never := func(Token) bool { return false }
		for _, want := range []secret.Secret{"", "one", "two"} {
			if want != "" {
				if err := s.SetClientSecret(ctx, "gep", want); err != nil {
					t.Fatal(err)
				}
			}
			_, err := refresh(ctx, s, alice, never, func(old Record) (Record, error) {
				for range 2 {
					got, err := s.ClientSecret(ctx, "gep")
					if want == "" && errors.Is(err, ErrNotFound) {
						continue
					}
					if err != nil || got != want {
						t.Errorf("ClientSecret = %q, %v, want %q", got.Reveal(), err, want)
					}
				}
				return old, nil
			})
			if err != nil {
				t.Error(err)
			}
			// What f did not take is not kept for later.
			if _, err := refresh(ctx, s, alice, never, func(old Record) (Record, error) { return old, nil }); err != nil {
				t.Error(err)
			}
		}
		if err := s.DeleteClientSecret(ctx, "gep"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ClientSecret(ctx, "gep"); !errors.Is(err, ErrNotFound) {
			t.Errorf("after its deletion: %v", err)
		}
	})
}
