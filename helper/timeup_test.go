package helper

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/store"
)

// TestRefresh_timeUpBeforeItWasSent: the words of a context are not for people.
func TestRefresh_timeUpBeforeItWasSent(t *testing.T) {
	b := newBench(t, oidctest.Refresh(oidctest.Revoke))
	_, err := b.exchange("alice")
	b.must(err)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	f := &refresher{h: b.Helper, request: b.req, issuer: b.Issuer(b.req.Profile)}
	b.must(f.issuer.Ready(t.Context())) // its documents are at hand
	_, err = f.Prepare(ctx, store.Found{Record: b.stored()})
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "context") ||
		!strings.Contains(err.Error(), "nothing was spent") || !strings.Contains(hint.Of(err).String(), "--timeout") {
		t.Errorf("Prepare: %v, hint: %s", err, hint.Of(err))
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err = f.Prepare(gone, store.Found{Record: b.stored()}); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt: %v", err)
	}
}
