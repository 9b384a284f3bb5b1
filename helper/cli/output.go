package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// printJSON writes one value, indented, to standard output.
func (a *app) printJSON(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = a.Stdout.Write(b)
	return err
}

// printTable writes a table to standard output.
func (a *app) printTable(t table) error {
	_, err := a.Stdout.Write([]byte(t.text(a.look())))
	return err
}

// people is standard output for people.
func (a *app) people() io.Writer { return printable{to: a.Stdout} }

// marshal is JSON as people and grep like it: indented, without \u003c, and with
// escapes for unprintable characters.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return printableJSON(b.Bytes()), err
}

// jsonTime is a time for JSON: RFC 3339 in UTC, or null for none.
func jsonTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

// ago and ahead put a time into words for people.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if t.Sub(now) > time.Second { // two clocks may differ a little
		return "in " + span(t.Sub(now)) + " (a time to come)"
	}
	return span(now.Sub(t)) + " ago"
}

func ahead(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "end unknown"
	case t.After(now):
		return "ends in " + span(t.Sub(now))
	}
	return "expired " + span(now.Sub(t)) + " ago"
}

// span is a duration by its largest unit or two: 45s, 12m, 5h 10m, 3d 4h.
func span(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
}

// secretFrom reads a secret from a file, or from standard input when file is
// "-". One line end at its end is not part of it.
func (a *app) secretFrom(ctx context.Context, file string) (secret.Secret, error) {
	const most = 1 << 20
	b, err := waitFor(ctx, func() ([]byte, error) {
		in := a.Stdin
		if file != "-" {
			f, err := os.Open(file) // not by safefile: it may be a pipe, as of <(command)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			in = f
		}
		return io.ReadAll(io.LimitReader(in, most+1))
	})
	switch {
	case errors.Is(err, context.Canceled):
		return "", err
	case errors.Is(err, context.DeadlineExceeded):
		if file == "-" {
			file = "standard input"
		}
		return "", usageError(fmt.Errorf("%s did not end within --timeout", shownWord(file)))
	case errors.Is(err, fs.ErrPermission):
		return "", &hint.Error{Kind: errUsage, Detail: err.Error(), Remedy: hint.Do(hint.Words("see who may read it: "), hint.Shell("ls", "-l", file))}
	case errors.Is(err, fs.ErrNotExist):
		// What was typed may be the secret itself.
		return "", usageError(errors.New("there is no file of the name that was typed (not shown: it may be the secret itself)"))
	case err != nil:
		return "", usageError(err)
	}
	if len(b) > most {
		return "", usageError(errors.New("the input is larger than 1 MiB; that is not one secret"))
	}
	return secret.Secret(strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")), nil
}

// waitFor gives up waiting, when ctx ends, for a read that nothing can interrupt.
func waitFor[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := guarded(read)
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// widthOf is the number of columns of a terminal; 0 where it does not tell.
func widthOf(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// errNobody says that there is no terminal, so nobody to ask.
var errNobody = errors.New("no terminal to ask on")

// errPromptEnded says that a person ended a prompt with Ctrl-D.
var errPromptEnded = fmt.Errorf("%w: ended at a prompt", errUsage)

// ask asks a person for a secret. No deadline runs meanwhile; Ctrl-D ends it.
func (a *app) ask(label string) (secret.Secret, error) {
	var (
		typed string
		err   error
	)
	a.deadline.withoutClock(func(ctx context.Context) { typed, err = a.Prompt(ctx, label) })
	switch {
	case errors.Is(err, context.Canceled):
		return "", err
	case errors.Is(err, io.EOF):
		return "", &hint.Error{Kind: errPromptEnded, Detail: "nothing was typed at the prompt"}
	case err != nil:
		return "", fmt.Errorf("%w: %w", errNobody, err)
	}
	return secret.Secret(typed), nil
}

// askLine asks a person for a line that is no secret. An empty one is the preset.
func (a *app) askLine(label, preset string) (string, error) {
	if a.Ask == nil {
		return "", errNobody
	}
	switch {
	case holdsSecret(preset): // some issuers make such client ids, and some people mistake the question
		label += " [as typed before]"
	case preset != "":
		label += " [" + clean(preset) + "]"
	}
	var (
		typed string
		err   error
	)
	a.deadline.withoutClock(func(ctx context.Context) { typed, err = a.Ask(ctx, label+": ") })
	switch {
	case errors.Is(err, context.Canceled):
		return "", err
	case errors.Is(err, io.EOF):
		return "", &hint.Error{Kind: errPromptEnded, Detail: "nothing was typed at the prompt"}
	case err != nil:
		return "", fmt.Errorf("%w: %w", errNobody, err)
	}
	typed = strings.TrimSpace(typed)
	// No message shows a word of it that looks like a secret.
	a.answers = append(a.answers, strings.FieldsFunc(typed, isAroundSecret)...)
	return or(typed, preset), nil
}

// askTerminal asks on the terminal itself for one line, which the terminal shows.
func askTerminal(ctx context.Context, label string) (string, error) {
	tty, err := openTerminal()
	if err != nil {
		return "", err
	}
	defer tty.Close()
	fmt.Fprint(os.Stderr, label)
	line, err := waitFor(ctx, func() (string, error) { return readLine(tty) })
	if err != nil {
		fmt.Fprintln(os.Stderr) // nobody typed the end of the line
	}
	return line, err
}

// readLine reads one line, byte by byte: what follows it is the answer to the next
// question. A line that the end cuts off is none.
func readLine(r io.Reader) (string, error) {
	const most = 4096
	var line []byte
	for one := make([]byte, 1); len(line) < most; {
		n, err := r.Read(one)
		switch {
		case n == 1 && one[0] == '\n':
			return string(line), nil
		case n == 1 && one[0] == endOfInput: // typed ahead while a hidden answer was read
			return "", io.EOF
		case n == 1:
			line = append(line, one[0])
		case err != nil:
			return "", err
		}
	}
	return "", errors.New("the line is longer than 4096 bytes")
}

// endOfInput is what Ctrl-D sends to a terminal that is not in line mode.
const endOfInput = 4

// readHidden reads one line from a terminal that is not in line mode, so it edits the line
// itself: Backspace, and Ctrl-U for the whole line. Ctrl-D ends it without a line.
func readHidden(r io.Reader) (string, error) {
	const most, backspace, del, kill = 64 << 10, 8, 0x7f, 0x15
	var line []byte
	for one := make([]byte, 1); len(line) < most; {
		n, err := r.Read(one)
		switch {
		case n == 0 && err != nil:
			return "", err
		case n == 0:
		case one[0] == '\n', one[0] == '\r':
			return string(line), nil
		case one[0] == endOfInput, one[0] == 0: // Linux keeps one that was typed ahead as a 0
			return "", io.EOF
		case one[0] == kill:
			line = line[:0]
		case one[0] == backspace, one[0] == del:
			_, size := utf8.DecodeLastRune(line)
			line = line[:len(line)-size]
		default:
			line = append(line, one[0])
		}
	}
	return "", errors.New("the line is longer than 64 KiB")
}

// prompt asks on the terminal itself, wherever standard input and output go. The
// terminal shows again what is typed, however it ends.
func prompt(ctx context.Context, label string) (string, error) {
	tty, err := openTerminal()
	if err != nil {
		return "", err
	}
	defer tty.Close()
	state, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(int(tty.Fd()), state) }()
	fmt.Fprint(os.Stderr, label)
	line, err := waitFor(ctx, func() (string, error) { return hiddenLine(tty) })
	fmt.Fprintln(os.Stderr)
	return strings.TrimSpace(line), err
}
