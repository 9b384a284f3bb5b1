package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestFaults_firstCallIsAnsweredFirst: gnome-keyring gets to know a client aside, and
// aborts when the client is quicker than that: with a second call behind the first
// one, it died after some thousand connections; with one that waits, never in
// seventy thousand.
func TestFaults_firstCallIsAnsweredFirst(t *testing.T) {
	parts.Need(t, parts.Keyring)
	issuer := oidctest.New()
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	ring := keyring.Start(t)
	ear := listenIn(t, ring)
	home := program(t).NewHome(t).Set("DBUS_SESSION_BUS_ADDRESS=" + ear.address)
	for _, c := range []run.Cmd{
		{Args: []string{"profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--client-secret-file", "-"}, Stdin: issuer.ClientSecret()},
		{Args: []string{"exchange"}, Stdin: issuer.UserToken("alice")},
		{Args: []string{"get", "--fresh"}},
		{Args: []string{"status"}},
		{Args: []string{"list"}},
		{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-"}, Stdin: issuer.ClientSecret()},
		{Args: []string{"erase"}},
		{Args: []string{"profile", "remove", "gep"}},
	} {
		home.WantDo(0, c)
		calls, hasty := ear.heard()
		if calls == 0 {
			t.Errorf("%v did not speak to the keyring", c.Args)
		}
		if len(hasty) > 0 {
			t.Errorf("%v called %q before its first call was answered", c.Args, hasty)
		}
	}
}

// An ear is a socket that leads to a bus, and hears what is said to the keyring.
type ear struct {
	address string
	mu      sync.Mutex
	calls   int
	hasty   []string // calls before the first one was answered
}

func listenIn(t *testing.T, ring *keyring.Session) *ear {
	t.Helper()
	bus := strings.TrimPrefix(ring.Address(), "unix:path=")
	socket := filepath.Join(filepath.Dir(bus), "ear")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	e := &ear{address: "unix:path=" + socket}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", bus)
			if err != nil {
				_ = client.Close()
				continue
			}
			go e.relay(client, server)
		}
	}()
	return e
}

// heard tells how many calls there were to the keyring since it was last asked,
// and which were hasty.
func (e *ear) heard() (calls int, hasty []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls, hasty = e.calls, e.hasty
	e.calls, e.hasty = 0, nil
	return calls, hasty
}

// relay passes on what the two say: the authentication line by line, and then the
// messages whole.
func (e *ear) relay(client, server net.Conn) {
	defer func() { _, _ = client.Close(), server.Close() }()
	fromClient, fromServer := bufio.NewReader(client), bufio.NewReader(server)
	for line := ""; !strings.HasPrefix(line, "BEGIN"); {
		var err error
		if line, err = fromClient.ReadString('\n'); err != nil {
			return
		}
		if _, err = io.WriteString(server, line); err != nil {
			return
		}
		if strings.HasPrefix(line, "BEGIN") {
			break
		}
		answer, err := fromServer.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(client, answer); err != nil {
			return
		}
	}
	pass := func(from io.Reader, to io.Writer, look func(*dbus.Message)) {
		for {
			var raw bytes.Buffer
			m, err := dbus.DecodeMessage(io.TeeReader(from, &raw))
			if err != nil {
				return
			}
			look(m)
			if _, err := to.Write(raw.Bytes()); err != nil {
				return
			}
		}
	}
	var first uint32
	var answered bool
	go func() {
		defer func() { _ = client.Close() }()
		pass(fromServer, client, func(m *dbus.Message) {
			serial, _ := m.Headers[dbus.FieldReplySerial].Value().(uint32)
			e.mu.Lock()
			defer e.mu.Unlock()
			if first != 0 && serial == first && !answered {
				e.mu.Unlock()
				time.Sleep(50 * time.Millisecond) // for the hasty to show themselves
				e.mu.Lock()
				answered = true
			}
		})
	}()
	pass(fromClient, server, func(m *dbus.Message) {
		if m.Type != dbus.TypeMethodCall || m.Headers[dbus.FieldDestination].Value() == "org.freedesktop.DBus" {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls++
		switch {
		case first == 0:
			first = m.Serial()
		case !answered:
			e.hasty = append(e.hasty, fmt.Sprint(m.Headers[dbus.FieldPath].Value(), " ", m.Headers[dbus.FieldMember].Value()))
		}
	})
}
