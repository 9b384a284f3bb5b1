package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/openbao"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// pageRow is a row of docs/fleet.md's table of failures.
type pageRow struct {
	exits   []int
	message string
}

// pageRows are all of them, by what happens.
func pageRows(t *testing.T) map[string]pageRow {
	t.Helper()
	rows := map[string]pageRow{}
	line := regexp.MustCompile(`(?m)^\| ([^|]+) \| [^|]+ \| (\d(?: or \d)?) \| ?([^|]*?) ?\|$`)
	_, table, _ := strings.Cut(readTop(t, "docs/fleet.md"), "## When something fails")
	for _, m := range line.FindAllStringSubmatch(table, -1) {
		row := pageRow{message: m[3]}
		for digit := range strings.SplitSeq(m[2], " or ") {
			n, _ := strconv.Atoi(digit)
			row.exits = append(row.exits, n)
		}
		rows[m[1]] = row
	}
	if len(rows) < 15 {
		t.Fatalf("docs/fleet.md has %d rows of failures", len(rows))
	}
	return rows
}

// TestFleetTrouble: whatever is wrong with the engine, each command ends in time with the
// exit code and the words of docs/fleet.md, nothing is spent, and a cached token is served.
func TestFleetTrouble(t *testing.T) {
	f := newFleet(t, openbao.Options{Quick: true})
	f.configure("trouble", "1h")
	f.newIssuer()
	rows := pageRows(t)
	one := f.machines[0]
	user := f.issuer.UserToken("alice")
	f.expired("expired")
	one.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", "cached"}, Stdin: user})
	f.spent.Forget()
	good := readFile(t, filepath.Join(one.Dir, ".config/t2-cred/config.toml"))

	// fails wants `get` to fail as the page says, and to be good again afterwards.
	fails := func(what string, begin, end func()) {
		t.Run(what, func(t *testing.T) {
			row, ok := rows[what]
			if !ok || row.message == "" {
				t.Fatal("docs/fleet.md has no such row with a message")
			}
			begin()
			began := time.Now()
			r := one.Run("get", "--account", "expired")
			t.Logf("%s", r)
			wantFailure(t, r, row.exits[0], row.message, "")
			if took := time.Since(began); took > 35*time.Second {
				t.Errorf("it took %s", took)
			}
			if r := one.Run("get", "--account", "cached"); r.Code != 0 {
				t.Errorf("the cached token is not served: %s", r)
			}
			end()
			f.put(one, ".config/t2-cred/config.toml", good)
			if n := len(f.spent.All()); n != 0 {
				t.Errorf("%d refresh tokens were sent", n)
			}
			if r := one.Run("status", "--account", "expired"); r.Code != 0 {
				t.Errorf("afterwards: %s", r)
			}
		})
	}
	configure := func(oldnew ...string) func() {
		return func() {
			t.Helper()
			text := strings.NewReplacer(oldnew...).Replace(good)
			if text == good {
				t.Fatalf("the configuration has no %q", oldnew[0])
			}
			f.put(one, ".config/t2-cred/config.toml", text)
		}
	}
	nothing := func() {}

	fails("the machine is cut off", func() {
		one.Cut()
		// Also where the time is over before the engine is given up.
		if r := one.Run("get", "--account", "expired", "--timeout", "8s"); r.Code != 5 || r.Took > 10*time.Second {
			t.Errorf("with a timeout of 8 s: %s", r)
		}
	}, one.Heal)
	fails("the engine is sealed", func() {
		sealed := f.bao.Seal()
		for _, n := range f.bao.Nodes {
			if n != sealed {
				n.Kill()
			}
		}
	}, func() {
		for _, n := range f.bao.Nodes {
			n.Restart()
		}
		f.bao.Settle()
	})
	ended := filepath.Join(f.dir, "ended", "token")
	fails("the token of `token_file` has ended", func() {
		f.plant(one, ended, f.bao.Token("trouble", "1s"))
		time.Sleep(1500 * time.Millisecond)
		approle := good[strings.Index(good, "auth ="):]
		configure(approle, fmt.Sprintf("auth = \"token_file\"\ntoken_file = %q\n", ended))()
	}, nothing)
	fails("the policy does not permit it", func() { f.bao.SetPolicy("trouble", openbao.Policy("elsewhere")) },
		func() { f.bao.SetPolicy("trouble", openbao.Policy("trouble")) })
	secret := filepath.Join(f.dir, "node-1-trouble", "secret-id")
	was := readFile(t, secret)
	fails("the login is refused", func() {
		f.plant(one, secret, "0d7f3c1e-8f0e-4c3a-9f1d-6f0a4c8e2b11")
		f.bao.RevokeAll("auth/approle/login")
	}, func() { f.plant(one, secret, was) })
	fails("a file that `[stores.openbao]` names is missing", func() {
		if err := os.Rename(secret, secret+".away"); err != nil {
			t.Fatal(err)
		}
		f.bao.RevokeAll("auth/approle/login")
	}, func() {
		if err := os.Rename(secret+".away", secret); err != nil {
			t.Fatal(err)
		}
	})
	fails("the engine's rate limit is met", func() {
		f.bao.API(http.MethodPost, "sys/quotas/rate-limit/slow", map[string]any{"path": openbao.Mount, "rate": 0.01, "interval": "1h"}, nil)
		for n := range 5 { // each server answers one request
			one.Run("get", "--account", fmt.Sprintf("nobody-%d", n), "--timeout", "1s")
		}
	}, func() { f.bao.API(http.MethodDelete, "sys/quotas/rate-limit/slow", nil, nil) })

	t.Run("the engine's token has ended", func(t *testing.T) {
		if rows["the engine's token has ended"].exits[0] != 0 {
			t.Error("docs/fleet.md says otherwise")
		}
		// The first machine has left a claim when the engine refused to take it back, and
		// need not wait for it.
		f.bao.RevokeAll("auth/approle/login")
		for _, m := range f.machines {
			if r := m.Run("get", "--account", "expired", "--fresh"); r.Code != 0 {
				t.Errorf("%s", r)
			}
		}
	})
	t.Run("the issuer's answer is lost", func(t *testing.T) { f.lostAnswer(t, rows["the issuer's answer is lost"]) })
}

// lostAnswer: the issuer spends the refresh token and its answer is cut. The machine knows
// that nobody else has the answer, and the issuer says that the token is spent.
func (f *fleet) lostAnswer(t *testing.T, row pageRow) {
	f.expired("cut", "not-taken")
	one, two := f.machines[0], f.machines[1]
	remove := f.issuer.Inject(oidctest.FaultNamed("reset-after"))
	r := one.Run("get", "--account", "cut")
	remove()
	t.Logf("%s", r)
	if r.Code != 6 {
		t.Errorf("want exit 6: %s", r)
	}
	r = two.Run("get", "--account", "cut")
	t.Logf("%s", r)
	if r.Code != row.exits[len(row.exits)-1] {
		t.Errorf("want exit %v: %s", row.exits, r)
	}
	if n := len(f.spent.All()); n != 1 {
		t.Errorf("the refresh token was sent %d times", n)
	}
}
