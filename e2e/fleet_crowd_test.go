package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/openbao"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestFleetCrowd: 300 processes on three machines find a token expired. One of them asks
// the issuer, and all print what it got, also while the engine's servers fail.
func TestFleetCrowd(t *testing.T) { fleetCrowd(t, 3, 2) }

// TestMore_fleetCrowd is the same, more often.
func TestMore_fleetCrowd(t *testing.T) {
	parts.More(t)
	troubled := 4
	if parts.Long() {
		troubled = 10
	}
	fleetCrowd(t, 10, troubled)
}

func fleetCrowd(t *testing.T, quiet, troubled int) {
	f := newFleet(t, openbao.Options{Quick: true}) // as docs/fleet.md sets it up
	f.configure("crowd", "1h")
	f.newIssuer()
	accounts := func(name string, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%s-%d", name, i))
		}
		return all
	}
	t.Run("one refresh", func(t *testing.T) {
		all := accounts("quiet", quiet)
		f.expired(all...)
		for _, a := range all {
			f.wantOneIf(t, a, func() {}, always)
		}
	})
	t.Run("the leader is killed", func(t *testing.T) {
		spare := 1 + troubled/4 // rounds that may be repeated
		all := accounts("leader", troubled+spare)
		f.expired(all...)
		done := 0
		for n, a := range all {
			if done == troubled {
				break
			}
			leader, gap := f.bao.Leader(), make(chan time.Duration, 1)
			killed := func() {
				// At another moment in each round.
				time.Sleep(time.Duration(n%troubled) * 150 * time.Millisecond)
				leader.Kill()
				go func() { gap <- f.bao.Leaderless(enginePatience) }()
			}
			if f.wantOneIf(t, a, killed, func() bool { return <-gap < enginePatience }) {
				done++
			}
			leader.Restart()
			f.bao.Settle()
		}
		if done < troubled {
			t.Errorf("the engine found another leader in %d rounds, not in %d", done, troubled)
		}
	})
	t.Run("a standby is cut off", func(t *testing.T) {
		all := accounts("standby", troubled)
		f.expired(all...)
		for n, a := range all {
			standby := f.bao.Standby()
			f.wantOneIf(t, a, func() {
				time.Sleep(time.Duration(n) * 150 * time.Millisecond)
				standby.Partition()
			}, always)
			standby.Heal()
			f.bao.Settle()
		}
	})
}

// enginePatience is how long a call waits for an engine without a leader.
const enginePatience = 20 * time.Second

func always() bool { return true }

// wantOneIf wants a crowd to cause one refresh, and each process to print its token. Where
// the engine was away for longer than anybody waits for it, the processes may fail, and no
// more: see [openbao.Cluster.Settle]. It reports whether it was not.
func (f *fleet) wantOneIf(t *testing.T, account string, meanwhile func(), engineWasThere func() bool) bool {
	t.Helper()
	const each = 100
	f.spent.Forget()
	began := time.Now()
	tokens, failed := map[string]int{}, map[string]int{}
	for _, r := range f.crowd(account, each, meanwhile) {
		if r.Code != 0 {
			line, _, _ := strings.Cut(r.Stderr, "\n")
			if len(failed) == 0 {
				t.Logf("the first that failed: %s", r)
			}
			failed[fmt.Sprintf("exit %d: %s", r.Code, digits.ReplaceAllString(line, "N"))]++
			continue
		}
		tokens[r.Token()]++
	}
	spent, there := f.spent.All(), engineWasThere()
	f.issuer.Set(oidctest.Lifespan(5 * time.Minute))
	t.Logf("%s: %d refreshes, %d processes in %s", account, len(spent), each*len(f.machines), time.Since(began).Round(100*time.Millisecond))
	if twice := f.spent.Twice(); len(twice) != 0 || len(spent) > 1 || len(tokens) > 1 {
		t.Errorf("%s: %d refreshes, %d different tokens, %d refresh tokens were sent twice: %s", account, len(spent), len(tokens), len(twice), tell(spent))
	}
	for how, times := range failed {
		said := fmt.Sprintf("%s: %d of %d processes: %s", account, times, each*len(f.machines), how)
		if there || !strings.HasPrefix(how, "exit 5:") && !strings.HasPrefix(how, "exit 9:") {
			t.Error(said)
		} else {
			t.Logf("no server of the engine was active for %s: %s", enginePatience, said)
		}
	}
	if there && (len(spent) != 1 || len(tokens) != 1 || tokens[spent[0].Access] == 0) {
		t.Errorf("%s: %d refreshes, and %d different tokens were printed", account, len(spent), len(tokens))
	}
	return there
}
