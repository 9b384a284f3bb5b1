//go:build unix

package secret

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFromCommand(t *testing.T) {
	script := filepath.Join(t.TempDir(), "tell")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+`case $1 in
plain) printf 'hunter2\n' ;;
windows) printf 'hunter2\r\n' ;;
stays) sleep 20 & echo hunter2 ;;
master) (sleep 20 >/dev/null) & echo hunter2 ;;
traced) set -x; p=hunter2; echo "$p"; echo sealed >&2; exit 3 ;;
repeats) echo hunter2; echo "cannot check 'hunter2'" >&2; echo sealed >&2; exit 3 ;;
lines) printf 'one\ntwo\n\n' ;;
fails) echo hunter2; echo 'the vault is sealed' >&2; exit 3 ;;
much) head -c 70000 /dev/zero ;;
hangs) sleep 60 ;;
*) printf '%s' "$1" ;;
esac
`), 0o700); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{"plain": "hunter2", "stays": "hunter2", "master": "hunter2", "windows": "hunter2", "lines": "one\ntwo\n", "$HOME; echo x": "$HOME; echo x"} {
		if got, err := FromCommand(context.Background(), []string{script, arg}); err != nil || got.Reveal() != want {
			t.Errorf("%s: %q, %v", arg, got.Reveal(), err)
		}
	}
	short, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	for arg, want := range map[string]string{"fails": "exit status 3", "traced": `3: "sealed"`, "repeats": `3: "sealed"`, "much": "more than 65536 bytes", "hangs": "no answer in time"} {
		ctx := context.Background()
		if arg == "hangs" {
			ctx = short
		}
		began := time.Now()
		_, err := FromCommand(ctx, []string{script, arg})
		e, ok := errors.AsType[*CommandError](err)
		if !ok || !strings.Contains(e.Error(), want) || strings.Contains(e.Error(), "hunter2") {
			t.Errorf("%s: %v", arg, err)
		}
		if arg == "fails" && e.Said != "the vault is sealed" {
			t.Errorf("it said %q", e.Said)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", arg, took)
		}
	}
	cancelled, stop := context.WithCancel(context.Background())
	stop()
	if _, err := FromCommand(cancelled, []string{script, "plain"}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := FromCommand(context.Background(), []string{filepath.Join(t.TempDir(), "gone")}); err == nil {
		t.Error("a program that is not there told a secret")
	}
}
