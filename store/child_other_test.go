//go:build !linux

package store

import (
	"os"
	"os/exec"
	"testing"
)

func dieWithParent(*exec.Cmd) {}

func detachSession() {}

func closeSharedBus() {}

// keyringOptions are for the system's own keyring, which a test touches only
// when told to.
func keyringOptions(t testing.TB) Options {
	t.Helper()
	if os.Getenv("T2_CRED_E2E") != "1" {
		t.Skip("no test of the real keyring unless T2_CRED_E2E=1")
	}
	return testOptions(t, "keyring")
}

func keyringAlive(testing.TB) bool { return true }
