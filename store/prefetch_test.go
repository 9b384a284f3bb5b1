package store

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// TestShared_loadsAhead: what a refresh wants next is asked for while the engine writes the
// claim, one after the other: each that is asked beside another needs a connection of its
// own. A process that finds a good token asks for nothing more.
func TestShared_loadsAhead(t *testing.T) {
	f := newFleet(t, 1)
	s := f.machine()
	if _, err := s.recipient(context.Background()); err != nil { // made once for all
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked, claims := map[string]int{}, 0
	client, seal := make(chan bool, 10), make(chan bool, 10)
	var loads atomic.Int32
	load := func(loaded chan<- bool) {
		if loads.Add(1) > 1 {
			t.Error("two items are asked for at once")
		}
		time.Sleep(20 * time.Millisecond)
		loads.Add(-1)
		loaded <- true
	}
	f.engine.Set(func(faults *baotest.Faults) {
		faults.Before = func(method, path string) {
			mu.Lock()
			asked[method+" "+path]++
			claim := method == "POST" && strings.HasSuffix(path, aliceItem) && claims == 0
			if claim {
				claims++
			}
			mu.Unlock()
			switch {
			case method == "GET" && strings.HasSuffix(path, "/"+itemName(kindClient, alice.Profile)):
				load(client)
			case method == "GET" && strings.HasSuffix(path, "/"+kindSeal):
				load(seal)
			case claim:
				for _, loaded := range []chan bool{client, seal} {
					select {
					case <-loaded:
					case <-time.After(10 * time.Second):
						t.Error("it is not loaded while the claim is written")
					}
				}
			}
		}
	})
	f.must(f.get(s, nil))
	mu.Lock()
	clear(asked)
	mu.Unlock()
	f.must(f.machine().Refresh(context.Background(), alice, Want{Enough: notExpired}, &member{f: f}))
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 1 || claims != 1 {
		t.Errorf("for a token that is there the engine was asked %v; %d claims", asked, claims)
	}
}
