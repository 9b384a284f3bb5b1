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
			f.wantOne(t, a, func() {})
		}
	})
	t.Run("the leader is killed", func(t *testing.T) {
		all := accounts("leader", troubled)
		f.expired(all...)
		for n, a := range all {
			leader := f.bao.Leader()
			f.wantOne(t, a, func() {
				// At another moment in each round.
				time.Sleep(time.Duration(n) * 150 * time.Millisecond)
				leader.Kill()
			})
			leader.Restart()
			f.bao.Settle()
		}
	})
	t.Run("a standby is cut off", func(t *testing.T) {
		all := accounts("standby", troubled)
		f.expired(all...)
		for n, a := range all {
			standby := f.bao.Standby()
			f.wantOne(t, a, func() {
				time.Sleep(time.Duration(n) * 150 * time.Millisecond)
				standby.Partition()
			})
			standby.Heal()
			f.bao.Settle()
		}
	})
}

// wantOne wants a crowd to cause one refresh, and each process to print its token.
func (f *fleet) wantOne(t *testing.T, account string, meanwhile func()) {
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
	spent := f.spent.All()
	t.Logf("%s: %d refreshes, %d processes in %s", account, len(spent), each*len(f.machines), time.Since(began).Round(100*time.Millisecond))
	for how, times := range failed {
		t.Errorf("%s: %d of %d processes: %s", account, times, each*len(f.machines), how)
	}
	if len(spent) != 1 {
		t.Errorf("%s: %d refreshes: %s", account, len(spent), tell(spent))
	}
	if len(tokens) != 1 || len(spent) > 0 && tokens[spent[0].Access] == 0 {
		t.Errorf("%s: %d different tokens were printed", account, len(tokens))
	}
	if twice := f.spent.Twice(); len(twice) != 0 {
		t.Errorf("%s: %d refresh tokens were sent twice", account, len(twice))
	}
	f.issuer.Set(oidctest.Lifespan(5 * time.Minute))
}
