package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// scriptTB lets a script own an engine, whose servers end with the script.
type scriptTB struct {
	testing.TB
	stop func(func())
}

func (t scriptTB) Cleanup(f func()) { t.stop(f) }

// cmdEngine starts an engine and writes its table into config.toml: engine N. Its faults
// are changed by engine WORD…, and engine none clears them.
func cmdEngine(ts *testscript.TestScript, _ bool, args []string) {
	w := here(ts)
	if n, err := strconv.Atoi(args[0]); err == nil {
		w.engine = baotest.New(scriptTB{stop: w.stop}, n)
		ts.Check(os.WriteFile(ts.MkAbs("engine.secret"), []byte(baotest.RootToken+"\n"), 0o600))
		ts.Setenv("T2_CRED_STORE", "openbao")
		path := filepath.Join(ts.Getenv("XDG_CONFIG_HOME"), "t2-cred", "config.toml")
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
		addresses := `"` + strings.Join(w.engine.Addresses(), `", "`) + `"`
		ts.Check(os.WriteFile(path, fmt.Appendf(nil, "[stores.openbao]\naddress = [%s]\nmount = %q\nprefix = \"t2-cred/gep\"\nauth = \"token_file\"\ntoken_file = %q\n",
			addresses, baotest.Mount, ts.MkAbs("engine.secret")), 0o600))
		return
	}
	for _, word := range args {
		w.engine.Set(func(f *baotest.Faults) {
			switch word {
			case "none":
				*f = baotest.Faults{}
			case "sealed":
				f.Sealed = true
			case "deny":
				f.Deny = true
			case "busy":
				f.Busy = 1000
			case "away":
				f.Away = true
			case "stale":
				f.Stale = true
			case "ahead":
				f.Clock = 11 * time.Minute
			case "hang":
				f.Hang = 1000
			case "vault":
				f.NoPages = true
			default:
				ts.Fatalf("an engine cannot be %q", word)
			}
		})
	}
}

// cmdMachine goes on as another machine, with directories of its own and the same
// configuration: machine NAME.
func cmdMachine(ts *testscript.TestScript, _ bool, args []string) {
	home := filepath.Join(here(ts).dir, "machine-"+args[0])
	for name, dir := range map[string]string{"XDG_STATE_HOME": "state", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache", "XDG_RUNTIME_DIR": "run"} {
		ts.Setenv(name, filepath.Join(home, dir))
	}
}

// cmdWrites compares what the engine was asked, and forgets it: writes WHAT N.
func cmdWrites(ts *testscript.TestScript, _ bool, args []string) {
	e := here(ts).engine
	got := e.Total()
	if what := strings.ReplaceAll(args[0], "_", " "); what != "all" {
		got = e.Calls(what)
	}
	if strconv.Itoa(got) != args[1] {
		ts.Fatalf("the engine was asked %d times for %s, not %s", got, args[0], args[1])
	}
	e.ResetCalls()
}

// TestConfig_openbao: what is wrong in the table is said with its line.
func TestConfig_openbao(t *testing.T) {
	const head = "[stores.openbao]\naddress = \"https://bao.example:8200\"\nmount = \"kv\"\nprefix = \"t2-cred/gep\"\nauth = \"kubernetes\"\nrole = \"node\"\n"
	for text, words := range map[string]string{
		"":                          "",
		"lease = \"90s\"\n":         "",
		"lease = \"10s\"\n":         "config.toml:7: stores.openbao.lease is 10s; it must be from 50s",
		"lease = \"soon\"\n":        "config.toml:7: stores.openbao.lease is not a duration",
		"takeover = \"spend\"\n":    `config.toml:7: stores.openbao.takeover is "spend"`,
		"token_file = \"/run/t\"\n": "config.toml:7: stores.openbao.token_file is not for auth kubernetes",
		"secret_id = \"s\"\n":       `line 7: unknown key stores.openbao.secret_id`,
		"jwt_file = \"t2-cred-openbao-secret-id\"\n":            "",
		"jwt_file = \"4f7a1c52-9be0-4d3b-8a61-7c2e5d90f3ab\"\n": "config.toml:7: stores.openbao.jwt_file looks like a secret",
		"token_file = \"hvs.CAESIJ8vN2rTq5WxYb3LkZ0mPd7u\"\n":   "config.toml:7: stores.openbao.token_file looks like a secret",
		"rol = \"node\"\n":                  "role",
		"namespace = 5\n":                   "line 7: stores.openbao.namespace must be a string in quotes",
		"[stores.vault]\naddress = \"x\"\n": "line 7: unknown key",
	} {
		c, err := parseByHand("config.toml", []byte(head+text))
		switch {
		case words == "" && (err != nil || c.openbao == nil || len(c.openbao.Address) != 1):
			t.Errorf("%q: %v", text, err)
		case words != "" && (err == nil || !strings.Contains(err.Error(), words)):
			t.Errorf("%q: %v", text, err)
		}
	}
	c, err := parseByHand("config.toml", []byte(strings.Replace(head, `"https://bao.example:8200"`, `["https://a.example", "https://b.example"]`, 1)+"lease = \"2m\"\n"))
	if err != nil || len(c.openbao.Address) != 2 || c.openbao.Lease != 2*time.Minute {
		t.Errorf("a list of addresses: %+v, %v", c.openbao, err)
	}
	if _, err := parseByHand("config.toml", []byte(strings.Replace(head, `"https://bao.example:8200"`, `5`, 1))); err == nil || !strings.Contains(err.Error(), "config.toml:2") {
		t.Errorf("a number as address: %v", err)
	}
}
