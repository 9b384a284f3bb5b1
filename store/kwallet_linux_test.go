package store

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// needProvider skips a test of another Secret Service than gnome-keyring where that
// is not installed, and fails it where it must be.
func needProvider(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("T2_CRED_E2E") == "1" {
			t.Fatalf("%s is not installed: run e2e/setup.d/providers.sh", program)
		}
		t.Skipf("no test of %s: it is not installed (e2e/setup.d/providers.sh)", program)
	}
}

const kwalletCollection = dbus.ObjectPath("/org/freedesktop/secrets/collection/kdewallet")

// startKWallet starts kwalletd5 with an open wallet, kdewallet, as KDE's PAM module
// does: without a dialog. The first start makes the wallet, and only a start that
// finds one makes it known.
func (b *privateBus) startKWallet(t testing.TB) {
	t.Helper()
	needProvider(t, "kwalletd5")
	dir := filepath.Join(b.dir, "data", "kwalletd")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	salt := make([]byte, 56)
	_, _ = rand.Read(salt)
	if err := os.WriteFile(filepath.Join(dir, "kdewallet.salt"), salt, 0o600); err != nil {
		t.Fatal(err)
	}
	hash, err := pbkdf2.Key(sha512.New, "test", salt, 50000, 56)
	if err != nil {
		t.Fatal(err)
	}
	b.runKWallet(t, hash)
	b.wait(t, "kwalletd5 to make a wallet", func() bool {
		info, err := os.Stat(filepath.Join(dir, "kdewallet.kwl"))
		return err == nil && info.Size() > 0
	})
	b.stop(b.keyring)
	b.runKWallet(t, hash)
	// It calls the wallet locked until it is unlocked over this interface: see
	// joinKWallet, which is tested by leaving it so.
	wallet := b.dial(t).Object(secretsName, "/modules/kwalletd5")
	b.wait(t, "kwalletd5 to open its wallet", func() bool {
		var open bool
		return wallet.Call("org.kde.KWallet.isOpen", 0, "kdewallet").Store(&open) == nil && open
	})
}

// runKWallet hands kwalletd5 the hash of the password over one descriptor and its
// environment over a socket at another.
func (b *privateBus) runKWallet(t testing.TB, hash []byte) {
	t.Helper()
	socket := filepath.Join(b.dir, "run", "kwallet5.socket")
	_ = os.Remove(socket)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	listener, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b.keyring = b.command("kwalletd5", "--pam-login", "3", "4")
	b.keyring.Env = append(b.keyring.Env, "QT_QPA_PLATFORM=offscreen", "LANG=C.UTF-8",
		"XDG_CONFIG_HOME="+filepath.Join(b.dir, "home", ".config"), "PAM_KWALLET5_LOGIN="+socket)
	b.keyring.ExtraFiles = []*os.File{r, listener}
	if err := b.keyring.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(hash); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(strings.Join(b.keyring.Env, "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
}

func (b *privateBus) wait(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for range 1000 {
		if ready() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// providerVariable has the shared bus carry another Secret Service.
const providerVariable = "T2_STORE_PROVIDER"

// TestKWallet_conforms runs the conformance suite again, in a process whose keyring
// is KWallet.
func TestKWallet_conforms(t *testing.T) {
	needKeyring(t)
	needProvider(t, "kwalletd5")
	if os.Getenv(providerVariable) != "" {
		t.Skip("this is that process")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const tests = "TestBackend|TestUpdate|TestRefresh|TestSecondary|TestToken_[a-b]|TestAccounts|TestLoad"
	cmd := exec.Command(exe, "-test.v", "-test.short", "-test.run", "("+tests+")/keyring", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), providerVariable+"=kwalletd5")
	dieWithParent(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{
		"TestBackend_conforms",
		"TestRefresh_hundredProcessesSpendOneToken", "TestUpdate_aKilledHolderBlocksNobody",
	} {
		if !bytes.Contains(out, []byte("--- PASS: "+name+"/keyring ")) {
			t.Errorf("%s did not pass, or did not run", name)
		}
	}
}

// TestKWallet_faults: locked with nobody to unlock it, and gone in the middle.
func TestKWallet_faults(t *testing.T) {
	t.Parallel()
	b := newPrivateBus(t)
	b.startKWallet(t)
	c := keyringChild(t)
	for _, mode := range []string{"writable", "update", "load", "rotate", "client secret", "renew"} {
		if got := runOutcome(t, b.child(t, mode, c)); got.Kind != "ok" {
			t.Fatalf("%s: %+v", mode, got)
		}
	}
	t.Run("killed in mid-call", func(t *testing.T) {
		c := c
		c.Millis = 5000
		c.Account = "busy"
		drop(t, open(t, testOptionsOf(t, c)), c.key(), Key{"gep", "shared"})
		cmd := b.child(t, "churn", c)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		killed := time.Now()
		b.stop(b.keyring)
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		got := lastOutcome(t, out.Bytes())
		got.Millis = int(time.Since(killed).Milliseconds())
		ends(t, got, ErrUnavailable, 4*time.Second, "")
	})
	b = newPrivateBus(t)
	b.startKWallet(t)
	if got := runOutcome(t, b.child(t, "update", c)); got.Kind != "ok" {
		t.Fatalf("%+v", got)
	}
	b.lockCollection(t, kwalletCollection)
	t.Run("locked", func(t *testing.T) {
		for _, mode := range []string{"load", "update", "writable"} {
			for _, got := range several(t, 4, func() *exec.Cmd { return b.child(t, mode, c) }) {
				ends(t, got, ErrLocked, quickly, "")
			}
		}
	})
	t.Run("locked, and nobody at the dialog", func(t *testing.T) {
		c := c
		c.Attended, c.Millis = true, 3000
		for _, got := range several(t, 4, func() *exec.Cmd { return b.child(t, "load", c) }) {
			ends(t, got, ErrLocked, 5*time.Second, "")
		}
	})
}
