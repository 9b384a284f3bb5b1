package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

func keys(value string, life time.Duration) Secondary {
	return Secondary{Value: secret.Secret(value), Obtained: time.Now(), Expiry: time.Now().Add(life)}
}

// wantSecondary wants what is kept for alice under a name; empty for nothing.
func wantSecondary(t *testing.T, s *Store, grant, name, want string) {
	t.Helper()
	d, err := s.Secondary(context.Background(), alice, grant, name)
	if d.Value.Reveal() != want || (want == "") != errors.Is(err, ErrNotFound) {
		t.Errorf("%s of %s is %q, %v; want %q", name, grant, d.Value.Reveal(), err, want)
	}
}

func TestSecondary(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		ahead := time.Duration(0)
		o.Now = func() time.Time { return time.Now().Add(ahead) }
		s, ctx := open(t, o), context.Background()
		t.Cleanup(func() { s.kernel.remove(s.secondaryName(alice)) })
		keep := func(grant, name string, d Secondary) error { return s.KeepSecondary(ctx, alice, grant, name, d) }

		if err := keep("g1", "minio", keys("early", time.Hour)); !errors.Is(err, ErrNotFound) {
			t.Errorf("kept for an account without a grant: %v", err)
		}
		put(t, s, alice, sampleRecord("g1"))
		wantSecondary(t, s, "g1", "minio", "")
		for name, d := range map[string]Secondary{"minio": keys("one", time.Hour), "aws": keys("two", 2*time.Hour)} {
			if err := keep("g1", name, d); err != nil {
				t.Fatal(err)
			}
		}
		wantSecondary(t, s, "g1", "minio", "one")
		wantSecondary(t, s, "g1", "aws", "two")
		wantSecondary(t, s, "g1", "ceph", "")
		wantSecondary(t, s, "g2", "minio", "") // of another grant
		if err := keep("g1", "minio", keys("three", time.Hour)); err != nil {
			t.Fatal(err)
		}
		wantSecondary(t, s, "g1", "minio", "three")
		if err := keep("g1", "minio", keys("ended", -time.Second)); err != nil {
			t.Fatal(err)
		}
		wantSecondary(t, s, "g1", "minio", "three")

		// Each goes at its own end.
		ahead = time.Hour + time.Minute
		wantSecondary(t, s, "g1", "minio", "")
		wantSecondary(t, s, "g1", "aws", "two")
		ahead = 0

		// A new token is nothing to it; a new grant, another user perhaps, is.
		rec := sampleRecord("g1")
		rec.Token = sampleToken("second")
		put(t, s, alice, rec)
		wantSecondary(t, s, "g1", "aws", "two")
		put(t, s, alice, sampleRecord("g2"))
		wantSecondary(t, s, "g2", "aws", "")
		if err := keep("g1", "aws", keys("late", time.Hour)); !errors.Is(err, ErrNotFound) {
			t.Errorf("kept for a grant that has gone: %v", err)
		}
		wantSecondary(t, s, "g2", "aws", "")
		if err := keep("g2", "aws", keys("four", time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, alice); err != nil {
			t.Fatal(err)
		}
		if names, err := s.listAll(ctx); err == nil && len(names) > 0 {
			t.Errorf("left behind: %q", names)
		}
		if v, err := s.kernel.get(s.secondaryName(alice)); err == nil {
			t.Errorf("left behind in the kernel: %q", v)
		}
	})
}

// TestSecondary_isBounded: the kernel's quota is for all that a user has.
func TestSecondary_isBounded(t *testing.T) {
	s, ctx := open(t, testOptions(t, "memory")), context.Background()
	put(t, s, alice, sampleRecord("g1"))
	for _, name := range []string{"a", "b", "c"} {
		if err := s.KeepSecondary(ctx, alice, "g1", name, keys(name+strings.Repeat("x", maxSecondary/3), time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	wantSecondary(t, s, "g1", "a", "")
	wantSecondary(t, s, "g1", "b", "b"+strings.Repeat("x", maxSecondary/3))
	if err := s.KeepSecondary(ctx, alice, "g1", "d", keys(strings.Repeat("y", maxSecondary+1), time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantSecondary(t, s, "g1", "b", "")
	wantSecondary(t, s, "g1", "d", strings.Repeat("y", maxSecondary+1))
}

func TestSecondary_isNotInClear(t *testing.T) {
	o := fileOptions(t)
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	const secretKey = "wJalrXUtnFEMI/K7MDENG"
	if err := s.KeepSecondary(context.Background(), alice, "g1", "aws", keys(secretKey, time.Hour)); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(filepath.Dir(o.Config), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), secretKey) {
			t.Errorf("%s has it in clear", path)
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, %v", files, err)
	}
	wantSecondary(t, s, "g1", "aws", secretKey)
}
