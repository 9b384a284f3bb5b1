package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/openbao"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestFleetSoak: three machines ask for many accounts all the time, the tokens live for a
// minute, and one server of the engine after the other is restarted. No refresh token is
// sent twice, no grant is lost, and there are no more refreshes than the tokens' lives ask
// for.
func TestFleetSoak(t *testing.T) { fleetSoak(t, 40, 80*time.Second) }

// TestMore_fleetSoak is the same for 200 accounts and 4 minutes, or 10 in a long run.
func TestMore_fleetSoak(t *testing.T) {
	parts.More(t)
	duration := 4 * time.Minute
	if parts.Long() {
		duration = 10 * time.Minute
	}
	fleetSoak(t, 200, duration)
}

func fleetSoak(t *testing.T, accounts int, duration time.Duration) {
	const life, minValid, workers = time.Minute, 10 * time.Second, 2
	f := newFleet(t, openbao.Options{Quick: true}) // as docs/fleet.md sets it up
	f.configure("soak", "1m")                      // the machines' own tokens are renewed, too
	f.newIssuer(oidctest.Lifespan(life))
	user := f.issuer.UserToken("alice")
	name := func(i int) string { return fmt.Sprintf("user-%d", i) }
	for i := range accounts {
		f.machines[i%3].WantDo(0, run.Cmd{Args: []string{"exchange", "--account", name(i)}, Stdin: user})
	}
	f.spent.Forget()

	began := time.Now()
	over := func() bool { return time.Since(began) >= duration }
	var mu sync.Mutex
	asked, failed := 0, map[string]int{}
	var all sync.WaitGroup
	for _, m := range f.machines {
		for range workers {
			all.Go(func() {
				for !over() {
					r := m.Do(run.Cmd{Args: []string{"get", "--account", name(rand.IntN(accounts)), "--min-valid", minValid.String()}, Deadline: 2 * time.Minute})
					mu.Lock()
					asked++
					if r.Code != 0 {
						line, _, _ := strings.Cut(r.Stderr, "\n")
						failed[fmt.Sprintf("exit %d: %s", r.Code, digits.ReplaceAllString(line, "N"))]++
					}
					mu.Unlock()
				}
			})
		}
	}
	restarts := 0
	for ; !over(); restarts++ {
		f.bao.Nodes[restarts%3].Restart()
		f.bao.Settle()
		time.Sleep(15 * time.Second)
	}
	all.Wait()
	took := time.Since(began)
	spent := f.spent.All()
	bound := 1.05 * float64(accounts) * float64(took) / float64(life-minValid)
	t.Logf("%d gets in %s, %d restarts, %d refreshes (at most %.0f)", asked, took.Round(time.Second), restarts, len(spent), bound)
	for _, how := range slices.Sorted(maps.Keys(failed)) {
		t.Logf("%d callers of %d: %s", failed[how], asked, how)
		if !strings.HasPrefix(how, "exit 5:") && !strings.HasPrefix(how, "exit 9:") {
			t.Errorf("a caller saw %s", how)
		}
	}
	if float64(len(spent)) > bound || len(spent) < accounts {
		t.Errorf("%d refreshes of %d accounts, at most %.0f are needed", len(spent), accounts, bound)
	}
	if twice := f.spent.Twice(); len(twice) != 0 {
		t.Errorf("%d refresh tokens were sent twice", len(twice))
	}
	for i := range accounts {
		if r := f.machines[rand.IntN(3)].Run("get", "--account", name(i), "--min-valid", "55s"); r.Code != 0 {
			t.Errorf("a grant is lost: %s", r)
		}
	}
}
