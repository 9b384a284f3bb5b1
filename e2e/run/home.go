package run

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/terradue/t2-cred/e2e/tb"
)

// Home is a user's home directory, and with it a configuration, a cache, and
// everything else that belongs to one user on one machine. When the test ends, the
// ledger is told what lies in it in clear, so a test keeps its own secrets, such
// as a token file, elsewhere.
type Home struct {
	Dir string

	t tb.T
	p *Program

	mu  sync.Mutex
	env []string
	// inClear says that the test made the program keep a secret in clear.
	inClear bool
}

// NewHome makes an empty home, without a session bus, without a configuration.
func (p *Program) NewHome(t tb.T) *Home {
	t.Helper()
	// Not the test's own temporary directory: sockets in it would have too long names.
	dir, err := os.MkdirTemp("", "t2-home-")
	if err != nil {
		t.Fatalf("make a home: %v", err)
	}
	h := &Home{Dir: dir, t: t, p: p}
	h.Set("PATH="+os.Getenv("PATH"), "HOME="+dir, "LANG=C.UTF-8", "TERM=dumb")
	for name, sub := range map[string]string{
		"XDG_CONFIG_HOME": ".config", "XDG_CACHE_HOME": ".cache", "XDG_DATA_HOME": ".local/share",
		"XDG_STATE_HOME": ".local/state", "XDG_RUNTIME_DIR": "run", "TMPDIR": "tmp",
	} {
		d := filepath.Join(dir, sub)
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatalf("make a home: %v", err)
		}
		h.Set(name + "=" + d)
	}
	t.Cleanup(func() {
		if !h.inClear {
			if err := p.Ledger.Tree("home", dir); err != nil {
				t.Logf("look through %s: %v", dir, err)
			}
		}
		_ = os.RemoveAll(dir)
	})
	return h
}

// As is the same home for another program, such as an earlier version. The environment
// is copied as it is now.
func (h *Home) As(p *Program) *Home {
	return &Home{Dir: h.Dir, t: h.t, p: p, env: h.Env(), inClear: h.inClear}
}

// Set sets variables of the environment, each K=V. It returns the home.
func (h *Home) Set(kv ...string) *Home {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range kv {
		k, _, _ := strings.Cut(s, "=")
		h.env = append(without(h.env, k), s)
	}
	return h
}

// Unset takes variables out of the environment. It returns the home.
func (h *Home) Unset(keys ...string) *Home {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		h.env = without(h.env, k)
	}
	return h
}

// InClear says that this test makes the program keep a secret in clear, so that
// the files are not searched for any.
func (h *Home) InClear() { h.inClear = true }

// Env is the environment that the program gets.
func (h *Home) Env() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.env)
}

func without(env []string, key string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(s string) bool { return strings.HasPrefix(s, key+"=") })
}
