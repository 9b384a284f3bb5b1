package lab

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// on runs a program on a machine.
func on(t *testing.T, m *Machine, name string, args ...string) (string, error) {
	t.Helper()
	out, err := m.On(exec.CommandContext(t.Context(), name, args...)).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestNet(t *testing.T) {
	n := New(t)
	a, b := n.Machine("one"), n.Machine("two")
	if name, err := on(t, a, "hostname"); err != nil || name != "one" {
		t.Errorf("host name %q, %v", name, err)
	}
	ofA, _ := on(t, a, "cat", "/etc/machine-id")
	ofB, _ := on(t, b, "cat", "/etc/machine-id")
	if ofA == ofB || len(ofA) != 32 {
		t.Errorf("machine ids %q and %q", ofA, ofB)
	}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	curl := []string{"--silent", "--show-error", "--max-time", "2", server.URL}
	if out, err := on(t, a, "curl", curl...); err == nil {
		t.Errorf("a machine has the computer's loopback: %s", out)
	}
	a.Relay(server.URL)
	if out, err := on(t, a, "curl", curl...); err != nil {
		t.Errorf("relay: %v: %s", err, out)
	}
}

func TestMachine_cut(t *testing.T) {
	n := New(t)
	a, b := n.Machine("one"), n.Machine("two")
	reach := func(from, to *Machine) bool {
		// A refusal is an answer, too: exit 7 is that, and 28 is none in time.
		_, err := on(t, from, "curl", "--silent", "--connect-timeout", "2", "http://"+to.Address+":9/")
		var exit *exec.ExitError
		return errors.As(err, &exit) && exit.ExitCode() == 7
	}
	if !reach(a, b) || !reach(b, a) {
		t.Fatal("two machines do not see each other")
	}
	b.Cut()
	if reach(a, b) || reach(b, a) {
		t.Error("a machine that is cut off is reached")
	}
	b.Heal()
	if !reach(a, b) || !reach(b, a) {
		t.Error("a machine that was healed is not reached")
	}
}

// TestRelay_unread: a relay knows whether the client has read the answer.
func TestRelay_unread(t *testing.T) {
	n := New(t)
	m := n.Machine("one")
	late := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			<-late
		}
		_, _ = w.Write([]byte("an answer"))
	}))
	defer server.Close()
	relay := m.Relay(server.URL)
	if out, err := on(t, m, "curl", "--silent", server.URL+"/read"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// It connects and sends, and ends before or after the answer is there.
	ask := "exec 3<>/dev/tcp/$1; printf 'GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' $2 >&3; sleep $3"
	for path, pause := range map[string]string{"/ignored": "0.5", "/late": "0"} {
		address := strings.ReplaceAll(server.Listener.Addr().String(), ":", "/")
		if out, err := on(t, m, "bash", "-c", ask, "bash", address, path, pause); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	time.Sleep(100 * time.Millisecond)
	close(late)
	if !relay.Wait(10 * time.Second) {
		t.Error("a connection does not end")
	}
	for path, want := range map[string]bool{"/read": false, "/ignored": true, "/late": true} {
		all := relay.Since(0, "GET "+path+" ")
		if len(all) != 1 || !all[0].Answered || all[0].Unread != want {
			t.Errorf("%s: %+v, want unread %v", path, all, want)
		}
	}
}
