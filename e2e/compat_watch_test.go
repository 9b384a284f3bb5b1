package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestCompat_besideOldWatcher: during an upgrade a `write --watch` of the old version
// runs on beside `get --fresh` of this one. No refresh token is sent twice.
func TestCompat_besideOldWatcher(t *testing.T) {
	total := time.Minute
	if testing.Short() {
		total = 10 * time.Second
	}
	for _, place := range compatPlaces()[:2] {
		t.Run(place.name, func(t *testing.T) {
			oldProgram(t) // built once, before both run at the same time
			t.Parallel()
			// The watcher renews a token after a second, and takes another process's only
			// if that is fresh enough.
			h := newCompatHome(t, place, "data.example.org", oidctest.Lifespan(2*time.Second))
			h.issuer.Inject(oidctest.Fault{
				Name: "answer late, so that requests can overlap", Endpoint: oidctest.Token, Grant: "refresh_token",
				Before: func(*oidctest.Call) *oidctest.Answer { time.Sleep(100 * time.Millisecond); return nil },
				After:  func(*oidctest.Call, *oidctest.Answer) { time.Sleep(100 * time.Millisecond) },
			})
			own, got := h.atOnce("job-4711", total)
			if n := h.wire.refused(); n != 0 {
				t.Errorf("the issuer refused %d refreshes", n)
			}
			sent := h.wire.wantEachOnce(t, 0)
			t.Logf("%d refresh tokens were sent once each; the watcher wrote %d tokens of its own, get --fresh printed %d", sent, own, got)
			if got < int(total/(2*time.Second)) || own < int(total/(10*time.Second)) {
				t.Errorf("the watcher got %d tokens of its own and get --fresh printed %d: too few to meet", own, got)
			}
		})
	}
}

// atOnce has the old version's watcher and two callers of this version's get --fresh at
// work on one account. It tells how many tokens only the watcher wrote, and how many get
// printed.
func (h *compatHome) atOnce(account string, long time.Duration) (own, got int) {
	h.t.Helper()
	h.exchange(h.old, "alice", "--account", account)
	file := filepath.Join(h.t.TempDir(), "token")
	watcher := h.old.Start(run.Cmd{
		Args: []string{"write", "--watch", "--output", file, "--account", account}, Deadline: long + time.Minute,
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			break
		}
		if time.Now().After(deadline) || !watcher.Alive() {
			h.t.Fatal("the old watcher wrote nothing")
		}
	}
	end := time.Now().Add(long)
	var callers sync.WaitGroup
	var mu sync.Mutex
	printed, written := map[string]bool{}, map[string]bool{}
	for range 2 {
		callers.Go(func() {
			for time.Now().Before(end) {
				r := h.new.Start(run.Cmd{Args: []string{"get", "--fresh", "--account", account}}).Wait()
				if r.Code != 0 {
					h.t.Errorf("beside the old watcher: %s", r)
					return
				}
				mu.Lock()
				got++
				printed[r.Stdout] = true
				mu.Unlock()
				time.Sleep(rand.N(3 * time.Second)) // so that the watcher, too, gets the lock
			}
		})
	}
	for time.Now().Before(end) {
		if b, err := os.ReadFile(file); err == nil {
			written[string(b)] = true
		}
		time.Sleep(20 * time.Millisecond)
	}
	callers.Wait()
	for token := range written {
		if !printed[token] {
			own++
		}
	}
	if !watcher.Alive() {
		h.t.Errorf("the old watcher gave up: %s", watcher.Wait())
	}
	_ = watcher.Signal(syscall.SIGTERM)
	if r := watcher.Wait(); r.Code != 0 {
		h.t.Errorf("the old watcher did not end well: %s", r)
	}
	h.new.Want(0, "get", "--fresh", "--account", account)
	return own, got
}
