// Package tb is what the helpers of e2e ask of a test, so that a command (the
// demo, `make keycloak`) can use the very same helpers.
package tb

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// T is the part of testing.TB that the helpers use.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(f func())
}

// Main is a T for a command: Fatalf prints, cleans up and exits 1. Use one a
// process, and defer its Close in main.
type Main struct {
	Name string    // how messages begin
	Err  io.Writer // where messages go

	mu       sync.Mutex
	cleanups []func()
}

// Helper does nothing: a command has no line to blame.
func (*Main) Helper() {}

// Logf prints one line.
func (m *Main) Logf(format string, args ...any) {
	_, _ = fmt.Fprintf(m.Err, m.Name+": "+format+"\n", args...)
}

// Fatalf prints one line, cleans up and ends the process.
func (m *Main) Fatalf(format string, args ...any) {
	m.Logf(format, args...)
	m.Close()
	os.Exit(1)
}

// Skipf is Fatalf: a command that cannot do its work has failed.
func (m *Main) Skipf(format string, args ...any) { m.Fatalf(format, args...) }

// Cleanup has f run at Close, last come first.
func (m *Main) Cleanup(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cleanups = append(m.cleanups, f)
}

// Close runs the clean-ups. It may be called more than once.
func (m *Main) Close() {
	for {
		m.mu.Lock()
		if len(m.cleanups) == 0 {
			m.mu.Unlock()
			return
		}
		f := m.cleanups[len(m.cleanups)-1]
		m.cleanups = m.cleanups[:len(m.cleanups)-1]
		m.mu.Unlock()
		f()
	}
}
