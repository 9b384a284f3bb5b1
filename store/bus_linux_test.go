package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/keyring"
)

// privateBus is a D-Bus daemon of the test's own, without service activation:
// with it a crashed gnome-keyring is replaced by a second, locked one, and a test
// fails far from the cause.
type privateBus struct {
	dir     string // home, run and data directories
	address string
	bus     *exec.Cmd
	keyring *exec.Cmd
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir=%s</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// needKeyring skips a test of the real keyring where that is not installed, and
// fails it where it must be.
func needKeyring(t testing.TB) {
	t.Helper()
	for _, program := range []string{"dbus-daemon", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("T2_CRED_E2E") == "1" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("no test of the real keyring: %s is not installed (apt install dbus gnome-keyring)", program)
		}
	}
}

// newPrivateBus starts a bus with nothing on it; it ends with the test, or with us.
func newPrivateBus(t testing.TB) *privateBus {
	t.Helper()
	b := startBus(t)
	t.Cleanup(b.close)
	return b
}

func (b *privateBus) close() {
	b.stop(b.keyring)
	b.stop(b.bus)
	_ = os.RemoveAll(b.dir)
}

// theBus is the bus of the tests in this process: godbus keeps one connection a
// process. Tests that do harm to their bus use it from processes of their own.
var theBus struct {
	once sync.Once
	*privateBus
}

func sharedBus(t testing.TB) *privateBus {
	t.Helper()
	needKeyring(t)
	theBus.once.Do(func() {
		theBus.privateBus = startBus(t)
		if os.Getenv(providerVariable) == "kwalletd5" {
			theBus.startKWallet(t)
			return
		}
		theBus.startKeyring(t, "test")
	})
	if theBus.privateBus == nil {
		t.Fatal("the private bus did not start")
	}
	return theBus.privateBus
}

func closeSharedBus() {
	if theBus.privateBus != nil {
		theBus.close()
	}
}

// keyringOptions are for a store in this process.
func keyringOptions(t testing.TB) Options {
	t.Helper()
	b := sharedBus(t)
	o := testOptions(t, "keyring")
	o.Getenv = b.getenv
	return o
}

func (b *privateBus) getenv(name string) string {
	for _, e := range b.environ() {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

func startBus(t testing.TB) *privateBus {
	t.Helper()
	needKeyring(t)
	dir, err := os.MkdirTemp("", "t2bus") // short: socket paths are limited
	if err != nil {
		t.Fatal(err)
	}
	b := &privateBus{dir: dir}
	for _, d := range []string{"home", "run", "data"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, busConfig, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b.bus = b.command("dbus-daemon", "--config-file="+conf, "--nofork", "--nopidfile", "--print-address=3")
	b.bus.ExtraFiles = []*os.File{w}
	if err := b.bus.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	line := make([]byte, 1024)
	n, err := r.Read(line)
	if err != nil {
		t.Fatalf("dbus-daemon did not start: %v", err)
	}
	b.address = strings.TrimSpace(string(line[:n]))
	return b
}

// newKeyringBus starts a bus with an unlocked gnome-keyring.
func newKeyringBus(t testing.TB) *privateBus {
	t.Helper()
	b := newPrivateBus(t)
	b.startKeyring(t, "test")
	return b
}

// startKeyring starts gnome-keyring; a password makes and unlocks the keyring
// login, none leaves it without one.
func (b *privateBus) startKeyring(t testing.TB, password string) {
	t.Helper()
	b.keyring = b.command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets",
		"--control-directory="+filepath.Join(b.dir, "run", "keyring"))
	b.keyring.Stdin = strings.NewReader(password)
	if err := b.keyring.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.Connect(b.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 200 {
		var has bool
		if err := conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, secretsName).Store(&has); err == nil && has {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("gnome-keyring did not start")
}

// lock locks the keyring login.
func (b *privateBus) lock(t testing.TB) { t.Helper(); b.lockCollection(t, loginCollection) }

func (b *privateBus) lockCollection(t testing.TB, collection dbus.ObjectPath) {
	t.Helper()
	conn := b.dial(t)
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	err := conn.Object(secretsName, secretsPath).Call(ifaceService+".Lock", 0, []dbus.ObjectPath{collection}).Store(&locked, &prompt)
	if err != nil || len(locked) != 1 {
		t.Fatalf("cannot lock the keyring: %v %v", locked, err)
	}
}

// internal is gnome-keyring's own interface, which its PAM module uses.
const internal = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"

// unlock unlocks it in place.
func (b *privateBus) unlock(t testing.TB, password string) {
	t.Helper()
	conn, session := b.session(t)
	err := conn.Object(secretsName, secretsPath).Call(internal+".UnlockWithMasterPassword", 0, loginCollection, master(session, password)).Err
	if err != nil {
		t.Fatal(err)
	}
}

// makeDefault makes another keyring, unlocked, and the default one.
func (b *privateBus) makeDefault(t testing.TB, label string) (path dbus.ObjectPath) {
	t.Helper()
	conn, session := b.session(t)
	service := conn.Object(secretsName, secretsPath)
	properties := map[string]dbus.Variant{ifaceCollection + ".Label": dbus.MakeVariant(label)}
	if err := service.Call(internal+".CreateWithMasterPassword", 0, properties, master(session, "test")).Store(&path); err != nil {
		t.Fatal(err)
	}
	if err := service.Call(ifaceService+".SetAlias", 0, "default", path).Err; err != nil {
		t.Fatal(err)
	}
	return path
}

func master(session dbus.ObjectPath, password string) fakeSecret {
	return fakeSecret{session, []byte{}, []byte(password), "text/plain"}
}

// session opens a session with the provider, which knows this client by then.
func (b *privateBus) session(t testing.TB) (*dbus.Conn, dbus.ObjectPath) {
	t.Helper()
	conn := b.dial(t)
	service := conn.Object(secretsName, secretsPath)
	if err := service.Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Fatal(err)
	}
	var disregard dbus.Variant
	var session dbus.ObjectPath
	if err := service.Call(ifaceService+".OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&disregard, &session); err != nil {
		t.Fatal(err)
	}
	return conn, session
}

func (b *privateBus) dial(t testing.TB) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Connect(b.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// alive says whether gnome-keyring still runs and still is unlocked.
func (b *privateBus) alive(t testing.TB) bool {
	t.Helper()
	if b.keyring.Process.Signal(syscall.Signal(0)) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.keyring.Process.Pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

func (b *privateBus) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = b.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (b *privateBus) environ() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(b.dir, "home"),
		"XDG_RUNTIME_DIR=" + filepath.Join(b.dir, "run"),
		"XDG_DATA_HOME=" + filepath.Join(b.dir, "data"),
		"DBUS_SESSION_BUS_ADDRESS=" + b.address,
	}
}

func (b *privateBus) stop(cmd *exec.Cmd) {
	if cmd == nil || cmd.Process == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGCONT)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// keyringAlive says whether the shared gnome-keyring is alive and unlocked.
func keyringAlive(t testing.TB) bool {
	t.Helper()
	b := sharedBus(t)
	k, err := keyring.Open(backend.Options{Namespace: "alive", Getenv: b.getenv, Warn: func(msg string) { t.Log(msg) }})
	if err == nil {
		_, _, err = k.Load(context.Background(), "nothing")
	}
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	if err != nil {
		t.Log(err)
	}
	return b.alive(t) && err == nil
}
