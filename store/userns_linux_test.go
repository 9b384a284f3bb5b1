package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestRoom_inAUserNamespace: the kernel's keyring of a user namespace ends with it, as
// with a rootless container. It is no room for a new refresh token: without disk nothing
// is sent. Outside of one it is such a room.
func TestRoom_inAUserNamespace(t *testing.T) {
	if os.Getenv("T2_STORE_NAMESPACE") != "" {
		fmt.Println("kernel works:", kernelRing{}.put("t2-cred:test-namespace", "x", 0) == nil)
		fmt.Println("sent:", refreshWithoutDisk(t))
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestRoom_inAUserNamespace$", "-test.v")
	cmd.Env = append(os.Environ(), "T2_STORE_NAMESPACE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	said, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		if os.Getenv("T2_CRED_E2E") == "1" {
			t.Fatalf("no user namespace can be made: %v", err)
		}
		t.Skipf("no test in a user namespace: none can be made: %v", err)
	}
	if err != nil || !strings.Contains(string(said), "sent: false") {
		t.Errorf("%v: %s", err, said)
	}
	if !strings.Contains(string(said), "kernel works: true") {
		t.Logf("the kernel's keyring does not work there in any case: %s", said)
	}
	works := kernelRing{}.put("t2-cred:test-namespace", "x", 0) == nil
	kernelRing{}.remove("t2-cred:test-namespace")
	if sent := refreshWithoutDisk(t); sent != (works && kernelOutlives()) {
		t.Errorf("outside: sent %t, and the kernel's keyring works: %t", sent, works)
	}
}

// refreshWithoutDisk reports whether a refresh is sent where no copy can be a file.
func refreshWithoutDisk(t *testing.T) (sent bool) {
	s := open(t, fileOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	if err := errors.Join(os.RemoveAll(s.copyDir()), os.WriteFile(s.copyDir(), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := refresh(context.Background(), s, alice, nil, func(old Record) (Record, error) {
		sent = true
		old.RefreshToken = second
		return old, nil
	})
	if sent != (err == nil) || !sent && !errors.Is(err, ErrUnavailable) {
		t.Errorf("sent %t: %v", sent, err)
	}
	return sent
}
