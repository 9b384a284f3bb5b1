package store

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// startKeePassXC starts KeePassXC with an open database of which it gives out all,
// with or without asking.
func (b *privateBus) startKeePassXC(t testing.TB, asks bool) {
	t.Helper()
	needProvider(t, "keepassxc")
	home := filepath.Join(b.dir, "home")
	database := filepath.Join(home, "db.kdbx")
	id := []byte("t2-cred-is-tried")
	text := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<KeePassFile>
 <Meta><CustomData><Item><Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{%x-%x-%x-%x-%x}</Value></Item></CustomData></Meta>
 <Root><Group><UUID>%s</UUID><Name>Root</Name></Group></Root>
</KeePassFile>`, id[:4], id[4:6], id[6:8], id[8:10], id[10:], base64.StdEncoding.EncodeToString(id))
	settings := fmt.Sprintf("[FdoSecrets]\nEnabled=true\nConfirmAccessItem=%t\nConfirmDeleteItem=false\n"+
		"[General]\nConfigVersion=2\nUpdateCheckMessageShown=true\n[GUI]\nCheckForUpdates=false\n", asks)
	for path, content := range map[string]string{"db.xml": text, ".config/keepassxc/keepassxc.ini": settings} {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// By what lies in TMPDIR it would find another that runs, and end.
	quiet := []string{"QT_QPA_PLATFORM=offscreen", "LANG=C.UTF-8", "TMPDIR=" + home,
		"XDG_CONFIG_HOME=" + filepath.Join(home, ".config"), "XDG_CACHE_HOME=" + filepath.Join(home, ".cache")}
	create := b.command("keepassxc-cli", "import", "-q", "-p", filepath.Join(home, "db.xml"), database)
	create.Env = append(create.Env, quiet...)
	create.Stdin = strings.NewReader("test\ntest\n")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("keepassxc-cli: %v\n%s", err, out)
	}
	b.keyring = b.command("keepassxc", "--pw-stdin", database)
	b.keyring.Env = append(b.keyring.Env, quiet...)
	b.keyring.Stdin = strings.NewReader("test")
	if err := b.keyring.Start(); err != nil {
		t.Fatal(err)
	}
	collection := b.dial(t).Object(secretsName, secretsPath+"/collection/db")
	b.wait(t, "KeePassXC to open its database", func() bool {
		var locked dbus.Variant
		err := collection.Call(getProperty, 0, ifaceCollection, "Locked").Store(&locked)
		return err == nil && locked.Value() == false
	})
}

// TestKeePassXC keeps, changes and reads a record in KeePassXC, which is told not to
// ask, and then finds it gone.
func TestKeePassXC(t *testing.T) {
	t.Parallel()
	b := newPrivateBus(t)
	b.startKeePassXC(t, false)
	c := keyringChild(t)
	for _, mode := range []string{"writable", "update", "load", "rotate", "client secret", "renew"} {
		if got := runOutcome(t, b.child(t, mode, c)); got.Kind != "ok" {
			t.Fatalf("%s: %+v", mode, got)
		}
	}
	if got := runOutcome(t, b.child(t, "load", c)); !strings.HasSuffix(got.Refresh, "'") {
		t.Errorf("the renewed token was not kept: %+v", got)
	}
	b.stop(b.keyring)
	ends(t, runOutcome(t, b.child(t, "load", c)), ErrUnavailable, quickly, "no keyring service")
}

// TestKeePassXC_asks: it asks before it gives an item, nobody answers, and each call
// ends in its time. Who is there is told what is waited for.
func TestKeePassXC_asks(t *testing.T) {
	t.Parallel()
	b := newPrivateBus(t)
	b.startKeePassXC(t, true)
	c := keyringChild(t)
	if got := runOutcome(t, b.child(t, "update", c)); got.Kind == ErrLocked.Error() {
		t.Fatalf("%+v", got)
	}
	c.Millis = 2500
	for _, attended := range []bool{false, true} {
		c.Attended = attended
		for _, mode := range []string{"load", "rotate"} {
			cmd := b.child(t, mode, c)
			var stderr, out bytes.Buffer
			cmd.Stderr, cmd.Stdout = &stderr, &out
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			ends(t, lastOutcome(t, out.Bytes()), ErrUnavailable, 2500*time.Millisecond+quickly, "nobody answered the keyring's dialog")
			want := 0
			if attended {
				want = 1
			}
			if n := strings.Count(stderr.String(), "waiting for the keyring's dialog"); n != want {
				t.Errorf("%s, attended %t: said %d times that it waits: %q", mode, attended, n, stderr.String())
			}
		}
	}
}
