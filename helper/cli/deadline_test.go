package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestLazyDeadline_endsInTime(t *testing.T) {
	for _, timeout := range []time.Duration{-time.Second, 0, time.Millisecond, 30 * time.Millisecond} {
		d := newLazyDeadline(t.Context(), timeout)
		<-d.Done()
		if err := d.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", timeout, err)
		}
		d.stop()
	}
	parent, cancel := context.WithCancel(t.Context())
	d := newLazyDeadline(parent, time.Hour)
	defer d.stop()
	cancel()
	if <-d.Done(); !errors.Is(d.Err(), context.Canceled) || d.isOver() {
		t.Errorf("an interrupt: %v", d.Err())
	}
}

// A person who is asked may take longer than --timeout, which counts the rest.
func TestLazyDeadline_standsStillWhileAPersonIsAsked(t *testing.T) {
	const timeout = 100 * time.Millisecond
	d := newLazyDeadline(t.Context(), timeout)
	defer d.stop()
	child, cancel := context.WithTimeout(d, time.Hour) // derived before the question
	defer cancel()
	d.withoutClock(func(ctx context.Context) {
		time.Sleep(3 * timeout)
		if ctx.Err() != nil {
			t.Errorf("the question was ended: %v", ctx.Err())
		}
	})
	if err := child.Err(); err != nil {
		t.Fatalf("after the question: %v", err)
	}
	if end, _ := d.Deadline(); time.Until(end) > timeout {
		t.Errorf("%s are left of %s", time.Until(end), timeout)
	}
	<-child.Done()
	if err := child.Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the rest of the time: %v", err)
	}
}

// TestPrompt_hasNoClock asks a slow person, one who types Ctrl-D, and nobody.
func TestPrompt_hasNoClock(t *testing.T) {
	h := newHome(t)
	token := h.issuer.UserToken("alice")
	ask := func(answer func(context.Context) (string, error)) (int, string) {
		var out, said strings.Builder
		code := Main(t.Context(), Env{
			Args: []string{"--timeout", "2s", "exchange"}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said,
			Getenv: func(name string) string { return h.env[name] }, Now: time.Now, StdinTerminal: true,
			Prompt: func(ctx context.Context, _ string) (string, error) { return answer(ctx) },
		})
		return code, said.String()
	}
	code, said := ask(func(ctx context.Context) (string, error) {
		time.Sleep(2500 * time.Millisecond)
		return token, ctx.Err()
	})
	if code != exitOK {
		t.Errorf("a slow person: %d, %s", code, said)
	}
	code, said = ask(func(context.Context) (string, error) { return "", io.EOF })
	if code != exitUsage || !strings.Contains(said, "nothing was typed") {
		t.Errorf("Ctrl-D: %d, %s", code, said)
	}
	code, said = ask(func(context.Context) (string, error) { return "", errors.New("no such device") })
	if code != exitUsage || !strings.Contains(said, "no terminal to ask on: no such device") {
		t.Errorf("nobody there: %d, %s", code, said)
	}
}
