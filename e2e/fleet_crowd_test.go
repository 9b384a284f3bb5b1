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
	t.Run("one refresh", func(t *testing.T) {
		f.rounds(t, "quiet", quiet, func(int) (trouble, heal func()) { return func() {}, func() {} })
	})
	t.Run("the leader is killed", func(t *testing.T) {
		f.rounds(t, "leader", troubled, func(n int) (trouble, heal func()) {
			leader := f.bao.Leader()
			return func() {
				time.Sleep(time.Duration(n%troubled) * 150 * time.Millisecond) // another moment in each round
				leader.Kill()
			}, leader.Restart
		})
	})
	t.Run("a standby is cut off", func(t *testing.T) {
		f.rounds(t, "standby", troubled, func(n int) (trouble, heal func()) {
			standby := f.bao.Standby()
			return func() {
				time.Sleep(time.Duration(n%troubled) * 150 * time.Millisecond)
				standby.Partition()
			}, standby.Heal
		})
	})
}

// rounds lets a crowd find a token expired, in each round another account's, and makes
// trouble meanwhile. A round in which the engine was away for longer than anybody waits
// for it does not count, and few of them are allowed.
func (f *fleet) rounds(t *testing.T, name string, wanted int, round func(n int) (trouble, heal func())) {
	var accounts []string
	for n := range wanted + 1 + wanted/4 {
		accounts = append(accounts, fmt.Sprintf("%s-%d", name, n))
	}
	f.expired(accounts...)
	done := 0
	for n := 0; n < len(accounts) && done < wanted; n++ {
		trouble, heal := round(n)
		if f.wantOne(t, accounts[n], trouble) {
			done++
		}
		heal()
		f.bao.Settle()
	}
	if done < wanted {
		t.Errorf("the engine had a leader, or found one in time, in %d rounds, not in %d", done, wanted)
	}
}

// enginePatience is how long a call waits for an engine without a leader.
const enginePatience = 20 * time.Second

// wantOne wants a crowd to cause one refresh, and each process to print its token. Where
// the engine was away for longer than anybody waits for it, the processes may fail, and no
// more: see [openbao.Cluster.Settle]. It reports whether the engine was there.
func (f *fleet) wantOne(t *testing.T, account string, meanwhile func()) bool {
	t.Helper()
	leaderless := f.bao.Watch()
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
	spent, there := f.spent.All(), leaderless() < enginePatience
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
