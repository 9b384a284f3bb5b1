package cli

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCountDown: on a terminal one line that counts and goes; in a log nothing.
func TestCountDown(t *testing.T) {
	for attended, want := range map[bool][]string{
		true:  {"waiting for the login, 1:30 left", "waiting for the login, 1:29 left", "waiting for the login, 1:28 left"},
		false: nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			var said bytes.Buffer
			a := &app{Env: Env{Now: time.Now, Attended: attended}, terminal: &said}
			done := a.countDown(time.Now().Add(90 * time.Second))
			time.Sleep(2500 * time.Millisecond)
			done()
			if strings.Contains(said.String(), "\n") {
				t.Errorf("more than one line: %q", said.String())
			}
			var got []string
			for _, part := range strings.Split(said.String(), "\r") {
				if part = strings.TrimSpace(part); part != "" {
					got = append(got, part)
				}
			}
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("attended %v: %q, want %q", attended, got, want)
			}
			if attended && !strings.HasSuffix(said.String(), "\r"+strings.Repeat(" ", 40)+"\r") {
				t.Errorf("the line is still there: %q", said.String())
			}
		})
	}
}
