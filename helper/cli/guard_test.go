package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestWaitFor_survivesAPanic: a panic in what is waited for is an internal error of
// the command, and its value is not printed.
func TestWaitFor_survivesAPanic(t *testing.T) {
	const value = "pQ7vN2xLs9RtK4mZc8WbY1dFh6GjT3aE"
	_, err := waitFor(context.Background(), func() (int, error) { panic(value) })
	var said bytes.Buffer
	a := &app{Env: Env{Stderr: &said, Getenv: func(string) string { return "" }}}
	if code := a.report(a.root(), err); code != exitUnexpected {
		t.Errorf("exit code %d", code)
	}
	if text := said.String(); !strings.HasPrefix(text, "t2-cred: internal error (string)") || !strings.Contains(text, "guard_test.go") || strings.Contains(text, value) {
		t.Errorf("it says %s", text)
	}
}
