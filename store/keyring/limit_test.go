package keyring

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// TestLimit: a caller with much time lets the keyring take more of it. Where a thousand
// processes run at once, one of them may wait for the processor for seconds.
func TestLimit(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("there a person may be asked unannounced")
	}
	k := &Keyring{}
	if got := k.limit(context.Background()); got != callLimit {
		t.Errorf("without a deadline: %s", got)
	}
	for timeout, want := range map[time.Duration]time.Duration{
		time.Second: callLimit, 30 * time.Second: callLimit, 2 * time.Minute: 15 * time.Second,
	} {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		if got := k.limit(ctx).Round(time.Second); got != want {
			t.Errorf("--timeout %s: %s", timeout, got)
		}
		cancel()
	}
}
