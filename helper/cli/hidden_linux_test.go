package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// pseudoTerminal is a terminal and the side at which its person types.
func pseudoTerminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	person = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return person, tty
}

// TestHiddenLine types at a real terminal: a token that is longer than a line of a
// terminal in line mode, Ctrl-D, and both of them ahead of the question.
func TestHiddenLine(t *testing.T) {
	long := strings.Repeat("kZ7qW2mXx9RbT4nYc8Ld", 400) // 8,000 bytes
	for _, tt := range []struct {
		name, typed, want string
		ahead             bool
		err               error
	}{
		{"a long token", long + "\r", long, false, nil},
		{"a mistake", "wrong\x15rigth\x7f\x7fht\r", "right", false, nil},
		{"Ctrl-D", "\x04", "", false, io.EOF},
		{"Ctrl-D after some letters", "half\x04", "", false, io.EOF},
		{"typed ahead", "early\r", "early", true, nil},
		{"Ctrl-D ahead", "\x04", "", true, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			person, tty := pseudoTerminal(t)
			before, err := term.GetState(int(tty.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			write := func() {
				for rest := tt.typed; rest != ""; { // as a terminal pastes
					n := min(len(rest), 512)
					_, _ = person.WriteString(rest[:n])
					rest = rest[n:]
					time.Sleep(2 * time.Millisecond)
				}
			}
			if tt.ahead {
				write()
			}
			type answer struct {
				line string
				err  error
			}
			got := make(chan answer, 1)
			go func() {
				line, err := hiddenLine(tty)
				got <- answer{line, err}
			}()
			if !tt.ahead {
				waitUntilHidden(t, tty)
				write()
			}
			select {
			case a := <-got:
				if a.line != tt.want || !errors.Is(a.err, tt.err) {
					t.Errorf("%.30q (%d bytes), %v", a.line, len(a.line), a.err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on reading")
			}
			if err := term.Restore(int(tty.Fd()), before); err != nil {
				t.Fatal(err)
			}
			shown := make([]byte, 1<<14)
			_ = person.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = tty.WriteString("|")
			n, _ := person.Read(shown)
			if text := string(shown[:n]); !tt.ahead && text != "|" {
				t.Errorf("the terminal showed %.40q", text)
			}
		})
	}
}

func waitUntilHidden(t *testing.T, tty *os.File) {
	t.Helper()
	for range 500 {
		if mode, err := unix.IoctlGetTermios(int(tty.Fd()), getMode); err == nil && mode.Lflag&(unix.ECHO|unix.ICANON) == 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal("the terminal goes on showing what is typed")
}
