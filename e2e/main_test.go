package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// shared is what all tests of a run share. It is made here, in TestMain, and torn
// down here.
var shared struct {
	ledger     *ledger.Ledger
	keycloak   func() (*keycloak.Server, error)
	keycloak18 func() (*keycloak.Server, error)
	program    func() (*run.Program, error)
	release    func() (*release, error)
}

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "t2-cred-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()

	shared.ledger = ledger.New()
	var started []*keycloak.Server
	start := func(v keycloak.Version) func() (*keycloak.Server, error) {
		return sync.OnceValues(func() (*keycloak.Server, error) {
			s, err := keycloak.Start(ctx, keycloak.Options{Version: v, Ledger: shared.ledger})
			if err == nil {
				started = append(started, s)
			}
			return s, err
		})
	}
	shared.keycloak, shared.keycloak18 = start(keycloak.Version26), start(keycloak.Version18)
	shared.program = sync.OnceValues(func() (*run.Program, error) {
		return run.Build(ctx, dir, shared.ledger)
	})
	shared.release = sync.OnceValues(func() (*release, error) {
		return makeRelease(ctx, place{dir: filepath.Join(dir, "release"), umask: "022"})
	})
	defer func() {
		for _, s := range started {
			s.Stop()
		}
	}()

	code := m.Run()
	secrets, outputs := shared.ledger.Size()
	if leaks := shared.ledger.Leaks(); len(leaks) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: secrets were seen where they do not belong (%d looked for in %d pieces of output):\n", secrets, outputs)
		for _, l := range leaks {
			fmt.Fprintln(os.Stderr, "  "+l)
		}
		return 1
	}
	if secrets > 0 {
		fmt.Fprintf(os.Stderr, "no secret out of place (%d forms looked for in %d pieces of output)\n", secrets, outputs)
	}
	return code
}

// server is the Keycloak of this run, started when the first test asks for it.
func server(t *testing.T) *keycloak.Server {
	t.Helper()
	return alive(t, keycloak.Version26, shared.keycloak)
}

// server18 is the Keycloak 18 of this run.
func server18(t *testing.T) *keycloak.Server {
	t.Helper()
	return alive(t, keycloak.Version18, shared.keycloak18)
}

func alive(t *testing.T, v keycloak.Version, start func() (*keycloak.Server, error)) *keycloak.Server {
	t.Helper()
	parts.Need(t, v.Part())
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	if !s.Alive() {
		t.Fatalf("keycloak died:\n%s", s.LogTail())
	}
	return s
}

// program is the binary under test, built when the first test asks for it.
func program(t *testing.T) *run.Program {
	t.Helper()
	p, err := shared.program()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
