package cli

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdTogether starts N processes of t2-cred at once and demands that all
// succeed and print the same: together N ARG….
func cmdTogether(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	outs := make([]bytes.Buffer, n)
	errs := make([]bytes.Buffer, n)
	fails := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		cmd := exec.Command("t2-cred", args[1:]...)
		cmd.Path = lookIn(ts, "t2-cred")
		cmd.Err = nil
		cmd.Env = scriptEnviron(ts)
		cmd.Stdout, cmd.Stderr = &outs[i], &errs[i]
		wg.Go(func() { fails[i] = cmd.Run() })
	}
	wg.Wait()
	for i := range n {
		if fails[i] != nil {
			ts.Fatalf("process %d of %d: %v\n%s", i, n, fails[i], errs[i].String())
		}
		if outs[i].String() != outs[0].String() || outs[i].Len() == 0 {
			ts.Fatalf("processes 0 and %d printed different things", i)
		}
	}
}

// lookIn finds a command on the script's PATH.
func lookIn(ts *testscript.TestScript, name string) string {
	old := os.Getenv("PATH")
	defer os.Setenv("PATH", old)
	os.Setenv("PATH", ts.Getenv("PATH"))
	path, err := exec.LookPath(name)
	ts.Check(err)
	return path
}

// scriptEnviron is the environment that the script's own commands get.
func scriptEnviron(ts *testscript.TestScript) (env []string) {
	for _, name := range []string{
		"PATH", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
		"DBUS_SESSION_BUS_ADDRESS", "T2_CRED_STORE", "T2_CRED_IDENTITY_FILE", "TEST_CLOCK", "TEST_LEDGER", "T2_CRED_PROFILE",
		"TESTSCRIPT_COMMAND", "SYSTEMROOT", "TMPDIR", "GOCOVERDIR",
	} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}
