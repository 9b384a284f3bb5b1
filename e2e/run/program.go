// Package run runs the program under test, the real binary, in a home of its own,
// and tells the ledger all that it printed and left behind.
package run

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/parts"
)

// Program is the binary under test.
type Program struct {
	Path   string
	Ledger *ledger.Ledger // may be nil
}

// Build builds the t2-cred of this checkout into dir as go install builds it, which is a
// release with HTTP/2, or takes the one that T2_CRED_BIN names.
func Build(ctx context.Context, dir string, l *ledger.Ledger) (*Program, error) {
	if path := os.Getenv("T2_CRED_BIN"); path != "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(abs); err != nil {
			return nil, fmt.Errorf("T2_CRED_BIN: %w", err)
		}
		return &Program{abs, l}, nil
	}
	top, err := parts.Checkout()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	path := filepath.Join(dir, "t2-cred")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, ".")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build in %s: %w\n%s", top, err, out)
	}
	return &Program{path, l}, nil
}
