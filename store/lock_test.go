package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
)

func TestFileLocks_cannotBeMade(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root may write everywhere: a file in the way stands for the read-only directory")
	}
	o := fileOptions(t)
	if err := os.WriteFile(o.StateDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, o).Update(context.Background(), alice, func(old Record) (Record, error) {
		t.Error("f ran without a lock")
		return old, nil
	})
	e, ok := errors.AsType[*hint.Error](err)
	if !errors.Is(err, ErrUnavailable) || !ok || e.Hint().String() == "" {
		t.Errorf("Update: %v", err)
	}
}

func TestFileLocks_endWithTheContext(t *testing.T) {
	l := fileLocks{dir: filepath.Join(tempDir(t), "locks"), now: time.Now}
	held, err := l.lock(context.Background(), "n", func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := l.lock(ctx, "n", func() bool { return false }); !errors.Is(err, context.Canceled) || errors.Is(err, ErrBusy) {
		t.Errorf("interrupted: %v", err)
	}
	held.release()
	again, err := l.lock(context.Background(), "n", func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	again.release()
	if _, err := os.Stat(filepath.Join(l.dir, "n.lock")); err != nil {
		t.Errorf("the lock file is gone: %v", err)
	}
}

// A pipe in the place of a lock file is refused, and not waited for.
func TestFileLocks_aPipe(t *testing.T) {
	l := fileLocks{dir: tempDir(t), now: time.Now}
	if err := makePipe(filepath.Join(l.dir, "n.lock")); err != nil {
		t.Skip("no pipes on this system")
	}
	done := make(chan error, 1)
	go func() {
		_, err := l.lock(context.Background(), "n", func() bool { return false })
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("lock: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it waits for the pipe's other end")
	}
}

// TestRefresh_waiterOpensATokenOnce: whoever waits for the lock opens the cached token
// again only after there is another one, and leaves with that.
func TestRefresh_waiterOpensATokenOnce(t *testing.T) {
	t.Parallel()
	s := open(t, fileOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	lock, err := s.lock(t.Context(), alice.item(kindGrant))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.release()
	var opened atomic.Int32
	want := Want{Enough: func(tk Token) bool { opened.Add(1); return tk.AccessToken == "second" }}
	got := make(chan Record, 1)
	go func() {
		rec, err := s.Refresh(t.Context(), alice, want, nil) // it never gets as far as a spender
		if err != nil {
			t.Error(err)
		}
		got <- rec
	}()
	time.Sleep(700 * time.Millisecond) // some dozen tries
	if n := opened.Load(); n != 1 {
		t.Errorf("the token was opened %d times before there was news", n)
	}
	st, err := s.look(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	next := st.rec
	next.Token = sampleToken("second")
	s.keepRest(t.Context(), alice, st, next)
	select {
	case rec := <-got:
		if rec.Token.AccessToken != "second" {
			t.Errorf("it left with %+v", rec.Token)
		}
	case <-time.After(5 * time.Second):
		t.Error("it did not leave although there was news")
	}
}
