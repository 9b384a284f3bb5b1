package keyring

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/tb"
)

// startTimeout covers bus and daemon, which take 40 ms on an idle machine.
const startTimeout = 20 * time.Second

// callTimeout covers one call over the bus.
const callTimeout = 10 * time.Second

// password of the login collection. Nothing of value is ever in it.
const password = "test"

// Session is a session bus, and mostly a gnome-keyring on it. Its methods fail the
// test that it was started for.
type Session struct {
	t       tb.T
	dir     string
	address string
	bus     *proc.Process
	daemon  *proc.Process // nil without a provider
	conn    *dbus.Conn    // our own, so that Lock and the like find a known client
}

// Start starts a bus and a daemon with an unlocked login collection.
func Start(t tb.T) *Session {
	t.Helper()
	parts.Need(t, parts.Keyring)
	s := newSession(t)
	s.must("start a bus", s.startBus())
	s.must("start gnome-keyring", s.startDaemon(password))
	return s
}

// NoProvider starts a bus on which nobody provides org.freedesktop.secrets.
func NoProvider(t tb.T) *Session {
	t.Helper()
	parts.Need(t, parts.Keyring)
	s := newSession(t)
	s.must("start a bus", s.startBus())
	return s
}

// NoDefaultCollection starts a bus and a daemon as a bus would activate it in a
// fresh home: there is no login collection, and no default one.
func NoDefaultCollection(t tb.T) *Session {
	t.Helper()
	parts.Need(t, parts.Keyring)
	s := newSession(t)
	s.must("start a bus", s.startBus())
	s.must("start gnome-keyring", s.startDaemon(""))
	return s
}

// newSession makes the home that bus and daemon live in.
func newSession(t tb.T) *Session {
	t.Helper()
	// Not the test's own temporary directory: the names of sockets must be short.
	dir, err := os.MkdirTemp("", "t2-ring-")
	if err != nil {
		t.Fatalf("keyring: %v", err)
	}
	s := &Session{t: t, dir: dir}
	t.Cleanup(s.Close)
	for _, d := range homeDirs() {
		s.must("make a home", os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	return s
}

// homeDirs are the directories of a session's home, by their variables.
func homeDirs() map[string]string {
	return map[string]string{
		"HOME": "home", "XDG_RUNTIME_DIR": "run", "XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config",
		"XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state",
	}
}

// Env is what a process needs to live in this session: the bus, and a home with
// all its XDG directories.
func (s *Session) Env() []string {
	env := []string{s.Bus()}
	for name, d := range homeDirs() {
		env = append(env, name+"="+filepath.Join(s.dir, d))
	}
	return env
}

// Bus is the one variable that names the bus, DBUS_SESSION_BUS_ADDRESS=….
func (s *Session) Bus() string { return "DBUS_SESSION_BUS_ADDRESS=" + s.address }

// Address is the address of the bus.
func (s *Session) Address() string { return s.address }

// Close ends daemon and bus, and removes their home.
func (s *Session) Close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	for _, p := range []*proc.Process{s.daemon, s.bus} {
		if p != nil {
			p.Kill()
		}
	}
	_ = os.RemoveAll(s.dir)
}

// Pause stops the daemon with SIGSTOP: calls to it are not answered.
func (s *Session) Pause() { s.t.Helper(); s.signal(syscall.SIGSTOP) }

// Resume lets a paused daemon go on.
func (s *Session) Resume() { s.t.Helper(); s.signal(syscall.SIGCONT) }

func (s *Session) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.daemon == nil || !s.daemon.Alive() {
		s.t.Fatalf("keyring: no daemon to send %s to", sig)
	}
	s.must("send "+sig.String(), s.daemon.Signal(sig))
}

// Kill kills the daemon. The bus stays, without a provider.
func (s *Session) Kill() {
	s.t.Helper()
	if s.daemon != nil {
		s.daemon.Kill()
	}
}

// Restart starts the daemon again after Kill or a crash, locked, as a desktop's
// bus would.
func (s *Session) Restart() {
	s.t.Helper()
	if s.Alive() {
		s.t.Fatalf("keyring: the daemon is still alive")
	}
	s.must("start gnome-keyring", s.startDaemon(""))
}

// Alive tells whether the daemon has not ended.
func (s *Session) Alive() bool { return s.daemon != nil && s.daemon.Alive() }

// StopBus kills the bus, and the daemon with it.
func (s *Session) StopBus() {
	s.t.Helper()
	s.bus.Kill()
}

func (s *Session) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("keyring: %s: %v", what, err)
	}
}

// startBus starts the bus and connects to it.
func (s *Session) startBus() error {
	socket := filepath.Join(s.dir, "bus")
	s.address = "unix:path=" + socket
	conf := filepath.Join(s.dir, "bus.conf")
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(busConf, "SOCKET", socket)), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+conf, "--nofork", "--nopidfile", "--nosyslog") //nolint:noctx // ended by Close
	cmd.Env = append(os.Environ(), s.Env()...)
	var err error
	if s.bus, err = s.start(cmd, "bus.log"); err != nil {
		return err
	}
	return s.poll(s.bus, "bus.log", func() error {
		s.conn, err = dbus.Connect(s.address)
		return err
	})
}

// busConf is the session's configuration less its service directories.
const busConf = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_message_size">1000000000</limit>
  <limit name="max_completed_connections">100000</limit>
  <limit name="max_connections_per_user">100000</limit>
  <limit name="max_match_rules_per_connection">50000</limit>
  <limit name="max_replies_per_connection">50000</limit>
</busconfig>
`

// startDaemon starts the daemon. A password makes the login collection, or
// unlocks it; without one it stays locked, or is not there at all.
func (s *Session) startDaemon(password string) error {
	args := []string{"--foreground", "--components=secrets", "--control-directory=" + filepath.Join(s.dir, "run", "keyring")}
	if password != "" {
		args = append(args, "--unlock")
	}
	cmd := exec.Command("gnome-keyring-daemon", args...) //nolint:noctx // ended by Close
	cmd.Env = append(os.Environ(), s.Env()...)
	// The password ends with the input; a line feed would be a part of it.
	cmd.Stdin = strings.NewReader(password)
	var err error
	if s.daemon, err = s.start(cmd, "daemon.log"); err != nil {
		return err
	}
	return s.poll(s.daemon, "daemon.log", func() error {
		var owned bool
		if err := s.call(s.conn.BusObject(), "org.freedesktop.DBus.NameHasOwner", []any{service}, &owned); err != nil {
			return err
		}
		if !owned {
			return errors.New(service + " has no owner")
		}
		if password == "" {
			return nil
		}
		// The name is there before the collection is. The ping comes first for the
		// same reason as in open.
		if err := s.call(s.object(root), "org.freedesktop.DBus.Peer.Ping", nil); err != nil {
			return err
		}
		locked, err := s.locked()
		if err == nil && locked {
			err = errors.New("the login collection is still locked")
		}
		return err
	})
}

// start starts cmd with its output in a file of the session.
func (s *Session) start(cmd *exec.Cmd, log string) (*proc.Process, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, log), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	cmd.Stdout, cmd.Stderr = f, f
	return proc.Start(cmd)
}

// poll waits until ready returns nil, the process ends, or time is up.
func (s *Session) poll(p *proc.Process, log string, ready func() error) error {
	deadline := time.After(startTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
			continue
		case <-p.Done():
			err = fmt.Errorf("it ended: %w", err)
		case <-deadline:
			err = fmt.Errorf("not ready after %s: %w", startTimeout, err)
		}
		said, _ := os.ReadFile(filepath.Join(s.dir, log))
		return fmt.Errorf("%w; it said:\n%s", err, said)
	}
}
