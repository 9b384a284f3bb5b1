package oidc

import (
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestRecall_survivesAPanic: what fails ahead is met again by Ready, in the goroutine of
// its caller.
func TestRecall_survivesAPanic(t *testing.T) {
	f := newCacheFront(t)
	if _, err := f.ready(t, 0); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	i := New(f.URL, Options{CacheDir: f.dir, Log: slog.New(slog.DiscardHandler), Now: func() time.Time {
		if calls.Add(1) == 1 {
			panic("a-secret-in-a-panic-Wq8Zr2")
		}
		return time.Now()
	}})
	i.Recall(t.Context())
	if err := i.Ready(t.Context()); err != nil || calls.Load() < 2 {
		t.Errorf("%v, %d calls", err, calls.Load())
	}
}

// TestRecall_asksNobody: it reads what Ready would ask for, if that is kept and
// fresh, and leaves alone what is not.
func TestRecall_asksNobody(t *testing.T) {
	server := oidctest.New()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	for _, step := range []struct {
		name   string
		later  time.Duration
		recall bool
		known  bool // after Recall
		asked  int  // by Ready
	}{
		{"nothing is kept", 0, true, false, 2},
		{"all is kept", 0, true, true, 0},
		{"all is kept, and read by Ready", 0, false, false, 0},
		{"what is kept is old", freshFor + time.Hour, true, false, 2},
		{"it is fresh again", freshFor + time.Hour, true, true, 0},
	} {
		i := New(server.URL(), Options{
			CAFile: server.CAFile(), CacheDir: dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Now: func() time.Time { return time.Now().Add(step.later) },
		})
		before := len(server.Requests())
		if step.recall {
			i.Recall(t.Context())
			i.recalling.Wait()
		}
		if asked := len(server.Requests()) - before; asked != 0 {
			t.Errorf("%s: Recall asked %d times", step.name, asked)
		}
		if known := i.meta != nil && i.keys != nil; known != step.known {
			t.Errorf("%s: after Recall it is known: %t", step.name, known)
		}
		if err := i.Ready(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if asked := len(server.Requests()) - before; asked != step.asked {
			t.Errorf("%s: Ready asked %d times, want %d", step.name, asked, step.asked)
		}
	}
}
