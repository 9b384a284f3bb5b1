package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	// commandTime is how long a command may take to tell a secret: other
	// processes may be waiting for the caller.
	commandTime = 10 * time.Second
	// MaxSize bounds what is taken for one secret, in bytes.
	MaxSize = 64 << 10
)

// A CommandError is of a program that was to print a secret. It quotes nothing that
// the program printed on standard output.
type CommandError struct {
	Name string // of the program
	Why  string
	Said string // on standard error, by a stranger; may be empty
}

func (e *CommandError) Error() string {
	if e.Said == "" {
		return e.Name + ": " + e.Why
	}
	return fmt.Sprintf("%s: %s: %.500q", e.Name, e.Why, e.Said)
}

// FromCommand runs a program, without a shell, and takes what it prints, less one
// line end, for a secret. The program has ten seconds. What it leaves running, such as the
// master connection of ssh, may hold its output open, and is waited for one second more.
// The error is a *CommandError, or that of a cancelled context.
func FromCommand(asked context.Context, argv []string) (Secret, error) {
	ctx, cancel := context.WithTimeout(asked, commandTime)
	defer cancel()
	var out, said capped
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	why := ""
	switch {
	case errors.Is(asked.Err(), context.Canceled):
		return "", asked.Err()
	case ctx.Err() != nil:
		why = fmt.Sprintf("no answer in time (%s at most)", commandTime)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // that one is of a program that ended well
		why = err.Error()
	case out.over:
		why = fmt.Sprintf("it printed more than %d bytes; that is not one secret", MaxSize)
	default:
		return WithoutLineEnd(out.b), nil
	}
	return "", &CommandError{Name: argv[0], Why: why, Said: withoutSecret(string(said.b), string(out.b))}
}

// withoutSecret is what a program said, for it may fail after it has printed the secret.
// Lines of a tracing shell (sh -x) are left out. So are lines with a word of the output.
func withoutSecret(said, out string) string {
	words := strings.Fields(out)
	var kept []string
	for line := range strings.Lines(said) {
		shows := strings.HasPrefix(line, "+") || slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, word) })
		if !shows {
			kept = append(kept, line)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ""))
}

// WithoutLineEnd takes off the one line end that an editor or echo leaves.
func WithoutLineEnd(b []byte) Secret {
	return Secret(bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r")))
}

// capped keeps the first MaxSize bytes that are written to it, and takes the rest
// so that the writer can end.
type capped struct {
	b    []byte
	over bool
}

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	room := MaxSize - len(c.b)
	c.over = c.over || len(p) > room
	c.b = append(c.b, p[:min(len(p), room)]...)
	return len(p), nil
}
