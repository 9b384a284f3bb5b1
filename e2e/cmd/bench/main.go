// Command bench measures t2-cred against its budgets and its peers, all in one
// run on one machine, on a private gnome-keyring and a real Keycloak, and writes
// docs/benchmarks.md.
//
// It expects the binary in T2_CRED_BIN, built as a release is built, and what
// e2e/setup.sh installs; make bench sees to both. With -quick it takes 20 seconds
// and the built-in issuer, to see that it works; what it then prints means little,
// and is not written.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/e2e/tb"
)

func main() {
	quick := flag.Bool("quick", false, "few rounds, on the built-in issuer, without writing the page")
	only := flag.Bool("accounts", false, "only the commands that go through all accounts, without writing the page")
	page := flag.String("o", filepath.Join("..", "docs", "benchmarks.md"), "the page to write")
	flag.Parse()
	t := &tb.Main{Name: "bench", Err: os.Stderr}
	defer t.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	size := full
	if *quick {
		size = small
	}
	do := measure
	if *only {
		do = measureAccounts
	}
	r, err := do(ctx, t, size)
	if err == nil {
		err = r.write(os.Stdout)
	}
	if err == nil && !*quick && !*only {
		err = r.save(*page)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// measure measures everything.
func measure(ctx context.Context, t tb.T, size size) (*report, error) {
	began := time.Now()
	b, err := newBench(ctx, t, size)
	if err != nil {
		return nil, err
	}
	r := &report{began: began, machine: b.machine()}
	for _, part := range []func(*report) error{b.cached, b.refresh, b.memory, b.accounts, b.manyCommands, b.profiles, b.flow, b.fleet} {
		if err := part(r); err != nil {
			return nil, err
		}
		t.Logf("after %s: %s", time.Since(began).Round(time.Second), r.tables[len(r.tables)-1].title)
	}
	r.took = time.Since(began)
	return r, nil
}

// A size is how much is measured.
type size struct {
	keycloak, engine              bool
	cached, refresh, memory, flow int // rounds
	many                          int // accounts, and profiles
}

var (
	full  = size{keycloak: true, engine: true, cached: 400, refresh: 200, memory: 5, flow: 20, many: 10_000}
	small = size{cached: 10, refresh: 5, memory: 1, flow: 2, many: 1000}
)

// A bench is the world that is measured in.
type bench struct {
	ctx     context.Context
	t       tb.T
	size    size
	dir     string // of files that come and go
	program *run.Program
	issuer  *issuer
	ring    *keyring.Session
	empty   command // the Go program that does nothing
	peak    string  // the program that tells another's memory
	// The users of each store, with one account.
	keyring, file *run.Home
}

func newBench(ctx context.Context, t tb.T, size size) (*bench, error) {
	parts.Need(t, parts.Keyring, parts.Bench)
	dir, err := os.MkdirTemp("", "t2-bench-")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &bench{ctx: ctx, t: t, size: size, dir: dir}
	if b.program, err = run.Build(ctx, dir, nil); err != nil {
		return nil, err
	}
	if b.program.Path, err = b.install(b.program.Path); err != nil {
		return nil, err
	}
	empty, err := b.build("empty")
	if err != nil {
		return nil, err
	}
	b.empty = command{argv: []string{empty}}
	if b.peak, err = b.build("peak"); err != nil {
		return nil, err
	}
	if b.issuer, err = b.startIssuer(); err != nil {
		return nil, err
	}
	b.ring = keyring.Start(t)
	b.keyring, b.file = b.newHome("keyring"), b.newHome("file")
	return b, nil
}

// path is the path of a file that comes and goes.
func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// put writes such a file, which may be a secret of the issuer's.
func (b *bench) put(name, text string) (path string, err error) {
	return b.path(name), os.WriteFile(b.path(name), []byte(text), 0o600)
}
