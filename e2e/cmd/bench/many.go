package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/e2e/tb"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/backend/backendtest"
)

// manyLimit ends a command about all accounts that hangs.
const manyLimit = 20 * time.Minute

// ratioOfTen is what ten times the accounts may cost: they are worked on one by one, and
// a fifth more is for larger directories.
const ratioOfTen = 12

// manyCommands measures the commands that go through all accounts, with a tenth of the
// accounts and with all of them, on the file store and the built-in issuer. The issuer
// takes processor time too, and the same for each account.
func (b *bench) manyCommands(r *report) error {
	few, many := b.size.many/10, b.size.many
	t := table{
		title: "All accounts", head: []string{"", fmt.Sprintf("%d accounts", few), fmt.Sprintf("%d accounts", many), "ratio"},
		text: "A command that goes through all accounts, file store, built-in issuer, once each (store move: the fastest of three): its time, and the processor time that it used. " +
			"The ratio is of processor time, as a disk that others write to decides the rest. keepalive has no limit of its rate. " +
			"For store move, what it does for each account is timed, out of the file store into memory: gnome-keyring, the other store, rewrites all items at each write.",
	}
	took := map[int]map[string]cost{}
	for _, n := range []int{few, many} {
		one, err := b.throughAll(n)
		if err != nil {
			return err
		}
		took[n] = one
	}
	for _, what := range manyOrder {
		ratio := float64(took[many][what].processor) / float64(took[few][what].processor)
		t.rows = append(t.rows, []string{what, took[few][what].String(), took[many][what].String(), fmt.Sprintf("%.1f ×", ratio)})
		r.judge(fmt.Sprintf("%s, %d / %d accounts", what, many, few), ratioOfTen, ratio, "×")
	}
	r.add(t)
	return nil
}

var manyOrder = []string{"list", "keepalive", "store move", "erase --all"}

// moves is how often store move is timed. It runs in this process, whose collector takes a
// share of its time that differs from run to run.
const moves = 3

// throughAll times each command over n accounts: once, and store move a few times.
func (b *bench) throughAll(n int) (map[string]cost, error) {
	issuer, err := oidctest.Start(oidctest.OpaqueRefreshTokens())
	if err != nil {
		return nil, err
	}
	defer issuer.Close()
	h := b.program.NewHome(b.t).Set("T2_CRED_STORE=file")
	h.InClear() // nobody looks for secrets here
	h.Want(0, "store", "init")
	h.WantDo(0, run.Cmd{Stdin: issuer.ClientSecret(), Args: []string{
		"profile", "add", "bench", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--client-secret-file", "-",
	}})
	if err := fillAccounts(b.ctx, h, issuer, n); err != nil {
		return nil, err
	}
	if err := wantAccounts(h, n); err != nil {
		return nil, err
	}
	took := map[string]cost{}
	for _, c := range []struct {
		what string
		args []string
	}{
		{"list", []string{"list"}},
		{"keepalive", []string{"keepalive", "--older-than", "0s", "--rate", "100000", "--timeout", "20m"}},
		{"erase --all", []string{"erase", "--all", "--timeout", "20m"}},
	} {
		if took[c.what], err = b.timed(h, c.args...); err != nil {
			return nil, err
		}
	}
	if left := issuer.Grants("alice"); left != 0 {
		return nil, fmt.Errorf("%d grants are left after erase --all", left)
	}
	for range moves {
		if err := fillAccounts(b.ctx, h, issuer, n); err != nil {
			return nil, err
		}
		move, err := b.timedMove(h, n)
		if err != nil {
			return nil, err
		}
		if least, ok := took["store move"]; !ok || move.processor < least.processor {
			took["store move"] = move
		}
	}
	return took, nil
}

// timed runs a command once.
func (b *bench) timed(h *run.Home, args ...string) (cost, error) {
	ctx, cancel := context.WithTimeout(b.ctx, manyLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.program.Path, args...)
	cmd.Env = h.Env()
	var said strings.Builder
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		words := said.String()
		return cost{}, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, words[max(0, len(words)-2000):])
	}
	return cost{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// A cost is what a command took.
type cost struct{ time, processor time.Duration }

func (c cost) String() string {
	return fmt.Sprintf("%s, %s", c.time.Round(time.Millisecond), c.processor.Round(time.Millisecond))
}

// processor is the processor time that this thread has used. The process has the issuer's
// accounts too, and the collector goes through them.
func processor() (time.Duration, error) {
	var used syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_THREAD, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), err
}

// A place is a store that is not of files, and costs next to nothing.
type place struct{ *backendtest.Memory }

// Describe implements backend.Backend.
func (place) Describe() backend.Description {
	return backend.Description{Name: "place", Where: "in memory", Proves: true}
}

// timedMove times store.Move for all accounts, as store move calls it.
func (b *bench) timedMove(h *run.Home, n int) (cost, error) {
	from, err := openFiles(h)
	if err != nil {
		return cost{}, err
	}
	options := optionsOf(h)
	to, err := store.With(place{backendtest.NewMemory()}, options)
	if err != nil {
		return cost{}, err
	}
	accounts, err := from.Accounts(b.ctx)
	if err != nil {
		return cost{}, err
	}
	if len(accounts) != n {
		return cost{}, fmt.Errorf("%d accounts, not %d", len(accounts), n)
	}
	runtime.GC()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	before, err := processor()
	if err != nil {
		return cost{}, err
	}
	for _, a := range accounts {
		if err := store.Move(b.ctx, from, to, a.Key); err != nil {
			return cost{}, err
		}
	}
	after, err := processor()
	return cost{time.Since(began), after - before}, err
}

func optionsOf(h *run.Home) store.Options {
	return store.Options{
		Backend: "file", Config: filepath.Join(h.Dir, ".config/t2-cred/config.toml"),
		StateDir: filepath.Join(h.Dir, ".local/state/t2-cred"), DataDir: filepath.Join(h.Dir, ".local/share/t2-cred"),
		RuntimeDir: filepath.Join(h.Dir, ".local/state/t2-cred"), Getenv: func(string) string { return "" }, Now: time.Now,
	}
}

func openFiles(h *run.Home) (*store.Store, error) { return store.Open(optionsOf(h)) }

// fillAccounts makes n accounts of one user, last used ten days ago.
func fillAccounts(ctx context.Context, h *run.Home, issuer *oidctest.Issuer, n int) error {
	s, err := openFiles(h)
	if err != nil {
		return err
	}
	for i := range n {
		token := issuer.UserToken("alice", oidctest.AsOfflineToken(), oidctest.IssuedTo(oidctest.ClientID))
		k := store.Key{Profile: "bench", Account: fmt.Sprintf("job-%05d", i)}
		_, err := s.Update(ctx, k, func(store.Record) (store.Record, error) {
			return store.Record{
				GrantInfo: store.GrantInfo{
					Grant: fmt.Sprintf("grant-%05d", i), Issuer: issuer.URL(), ClientID: oidctest.ClientID, Subject: issuer.Sub("alice"),
					Offline: true, Created: time.Now().Add(-240 * time.Hour),
				},
				RefreshToken: secret.Secret(token),
			}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// measureAccounts measures these commands alone. It needs no keyring and no Keycloak.
func measureAccounts(ctx context.Context, t tb.T, size size) (*report, error) {
	dir, err := os.MkdirTemp("", "t2-bench-")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &bench{ctx: ctx, t: t, size: size, dir: dir}
	if b.program, err = run.Build(ctx, dir, nil); err != nil {
		return nil, err
	}
	r := &report{began: time.Now()}
	err = b.manyCommands(r)
	r.took = time.Since(r.began)
	return r, err
}
