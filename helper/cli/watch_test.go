package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
)

// watched is a watcher whose issuer and file are the test's.
type watched struct {
	*watcher
	life   time.Duration
	down   error // what the issuer answers instead
	full   error // what the disk answers
	made   int   // tokens
	asked  int   // rounds
	cache  helper.Credential
	file   helper.Credential
	writes int
	said   []string

	slept atomic.Int64 // how long the machine was asleep, so far
	mu    sync.Mutex   // for cache and file, which others read and change
}

func newWatched(life time.Duration) *watched {
	w := &watched{life: life}
	w.watcher = &watcher{
		now: func() time.Time { return time.Now().Add(time.Duration(w.slept.Load())) }, timeout: 30 * time.Second, output: "F",
		get: w.answer,
		put: func(c helper.Credential) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.full != nil {
				return w.full
			}
			w.file = c
			w.writes++
			return nil
		},
		say:  func(line string) { w.said = append(w.said, line) },
		warn: func(msg string) { w.said = append(w.said, "warning: "+msg) }, hintFor: (&app{}).hintFor,
	}
	return w
}

// answer is Helper.Get with a cache of one token.
func (w *watched) answer(_ context.Context, r helper.Request, warn func(string)) (helper.Credential, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	least := min(helper.DefaultMinValid, w.life/2)
	if r.MinValid != nil {
		least = *r.MinValid
	}
	left := w.cache.Expiry.Sub(w.now())
	switch {
	case left > max(0, least):
		return w.cache, nil
	case w.down != nil && left > 0:
		warn(fmt.Sprintf("no new token (%v)", w.down))
		return w.cache, nil
	case w.down != nil:
		return helper.Credential{}, w.down
	}
	w.renew()
	if least >= w.life {
		warn("the issuer's tokens live shorter than asked")
	}
	return w.cache, nil
}

func (w *watched) renew() {
	w.made++
	w.cache = helper.Credential{Token: secret.Secret(fmt.Sprint("token ", w.made)), Type: "Bearer", Expiry: w.now().Add(w.life)}
}

// during watches for so long, looking at the file every tick.
func (w *watched) during(d time.Duration, look func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	done := make(chan error)
	go func() { done <- w.watch(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(d / 1000):
			if look != nil {
				synctest.Wait()
				w.mu.Lock()
				look()
				w.mu.Unlock()
			}
		}
	}
}

func (w *watched) count(words string) (n int) {
	for _, line := range w.said {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

func TestWatch_theFileIsAlwaysValid(t *testing.T) {
	for _, c := range []struct {
		life, minValid time.Duration
		most           int // tokens in ten lives
		left           time.Duration
	}{
		{life: 5 * time.Minute, most: 16, left: 100 * time.Second},
		{life: 24 * time.Hour, most: 16, left: 8 * time.Hour},
		{life: 20 * time.Second, most: 16, left: 6 * time.Second},
		{life: 5 * time.Minute, minValid: time.Minute, most: 14, left: time.Minute},
		{life: 5 * time.Minute, minValid: time.Hour, most: 23, left: 150 * time.Second},
		{life: 100 * time.Millisecond, most: 2},
	} {
		t.Run(fmt.Sprint(c.life, " ", c.minValid), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatched(c.life)
				if c.minValid > 0 {
					w.request.MinValid = &c.minValid
				}
				least := c.life
				err := w.during(10*c.life, func() { least = min(least, w.file.Expiry.Sub(w.now())) })
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				if w.made > c.most {
					t.Errorf("%d tokens in ten lives, want at most %d", w.made, c.most)
				}
				if c.left > 0 && least < c.left-c.life/100 {
					t.Errorf("the file once had only %s left, want %s", least, c.left)
				}
				if n := w.count("warning"); n > 1 {
					t.Errorf("%d warnings: %q", n, w.said)
				}
				if w.count("wrote F: a token that is valid until") != w.writes {
					t.Errorf("%d writes, said %q", w.writes, w.said)
				}
			})
		})
	}
}

// An outage of five lives: tried at most once a minute after the first, told when
// it begins and when the token has expired, and over when it is over.
func TestWatch_survivesOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(5 * time.Minute)
		if err := w.during(time.Minute, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		w.down, w.asked, w.said = &oidc.Error{Op: "refresh", Status: 503}, 0, nil
		if err := w.during(25*time.Minute, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if w.asked > 6+25*60/45 {
			t.Errorf("asked %d times in 25 minutes", w.asked)
		}
		if len(w.said) != 2 || !strings.Contains(w.said[0], "F: no new token (HTTP 503") ||
			!strings.Contains(w.said[1], "its token has expired; trying on") {
			t.Errorf("said %q", w.said)
		}
		if w.writes != 1 {
			t.Errorf("%d writes", w.writes)
		}
		w.down = nil
		if err := w.during(longestPause+time.Second, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if left := w.file.Expiry.Sub(w.now()); left < 3*time.Minute || w.trouble != 0 {
			t.Errorf("a minute after the outage the file has %s left", left)
		}
	})
}

// At the start too: a machine that boots may have no network yet.
func TestWatch_waitsForTheFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(5 * time.Minute)
		w.down = fmt.Errorf("discovery: %w", oidc.ErrUnreachable)
		_ = w.during(10*time.Minute, nil)
		if len(w.said) != 1 || !strings.Contains(w.said[0], "nothing was written yet; trying on") {
			t.Errorf("said %q", w.said)
		}
		if w.writes != 0 {
			t.Error("something was written")
		}
	})
}

func TestWatch_endsWithWhatTimeDoesNotMend(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(w *watched)
	}{
		{"the grant ended", func(w *watched) { w.down = &hint.Error{Kind: helper.ErrLoginRequired, Detail: "ended"} }},
		{"the client is refused", func(w *watched) { w.down = &oidc.Error{Op: "refresh", Status: 401, Code: "invalid_client"} }},
		{"the file cannot be made", func(w *watched) { w.full = outputError("F", errors.New("permission denied")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatched(5 * time.Minute)
				c.set(w)
				if err := w.during(time.Minute, nil); errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("it goes on: %q", w.said)
				}
				if w.asked != 1 {
					t.Errorf("asked %d times", w.asked)
				}
			})
		})
	}
}

// A disk that was writable and is full now gets room again.
func TestWatch_survivesAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(5 * time.Minute)
		_ = w.during(time.Minute, nil)
		w.full = outputError("F", errors.New("no space left on device"))
		if err := w.during(10*time.Minute, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if w.count("no space left") != 2 { // when it begins, and when the token has expired
			t.Errorf("said %q", w.said)
		}
		w.full = nil
		_ = w.during(longestPause+time.Second, nil)
		if w.writes != 2 {
			t.Errorf("%d writes", w.writes)
		}
	})
}

// A round that hangs is cut at --timeout, and does not end the watch.
func TestWatch_eachRoundHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(5 * time.Minute)
		rounds := 0
		w.get = func(ctx context.Context, _ helper.Request, _ func(string)) (helper.Credential, error) {
			rounds++
			<-ctx.Done()
			return helper.Credential{}, ctx.Err()
		}
		if err := w.during(10*time.Minute, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if rounds < 5 || rounds > 20 {
			t.Errorf("%d rounds", rounds)
		}
	})
}

// The machine slept past the token's end: seen within a minute of waking up.
func TestWatch_afterTheMachineSlept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(10 * time.Hour)
		began := time.Now()
		_ = w.during(4*time.Hour, func() {
			if time.Since(began) > time.Hour {
				w.slept.Store(int64(24 * time.Hour))
			}
		})
		if w.writes != 2 || !w.file.Expiry.After(w.now()) {
			t.Errorf("%d writes, the token is valid for %s", w.writes, w.file.Expiry.Sub(w.now()))
		}
	})
}

// What another process got is taken from the cache.
func TestWatch_sharesTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(5 * time.Minute)
		began := time.Now()
		_ = w.during(4*time.Minute, func() {
			if w.made == 1 && time.Since(began) > 3*time.Minute-time.Second {
				w.renew() // by somebody, before a third is left
			}
		})
		if w.made != 2 || w.file.Token != w.cache.Token {
			t.Errorf("%d tokens, the file has %q, the cache %q", w.made, w.file.Token.Reveal(), w.cache.Token.Reveal())
		}
	})
}
