package helper

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A watchingLog calls a function for each line.
type watchingLog struct {
	slog.Handler
	line func(text string)
}

func (w watchingLog) Enabled(context.Context, slog.Level) bool { return true }
func (w watchingLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	w.line(text)
	return nil
}

// TestRefresh_isStoredWhileStandardErrorBlocks, as a full pipe does, or a terminal after
// Ctrl-S. A line that held up the new refresh token would have a kill lose it.
func TestRefresh_isStoredWhileStandardErrorBlocks(t *testing.T) {
	b := newBench(t, oidctest.Refresh(oidctest.Revoke), oidctest.OpaqueRefreshTokens())
	_, err := b.exchange("alice")
	b.must(err)
	old, said := b.stored().RefreshToken, 0
	look := func(text string) {
		if !strings.Contains(text, "method=POST") && !strings.Contains(text, "online") {
			return
		}
		said++
		for began := time.Now(); b.stored().RefreshToken == old; time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > 3*time.Second {
				t.Errorf("the new refresh token is not stored while this line blocks: %s", text)
				return
			}
		}
	}
	log := slog.New(watchingLog{slog.DiscardHandler, look})
	b.Log, b.Warn = log, look
	b.Issuer = func(p Profile) *oidc.Issuer { return oidc.New(p.Issuer, oidc.Options{Now: b.Now, Log: log}) }
	b.issuer.Inject(oidctest.Fault{ // the token that was offline is no longer
		Name: "online", Endpoint: oidctest.Token, Grant: "refresh_token",
		Edit: func(_ *oidctest.Call, answer map[string]any) {
			answer["scope"], answer["refresh_expires_in"] = "openid email profile ellip gep", 1800
		},
	})
	fresh := b.req
	fresh.Fresh = true
	_, err = b.Get(t.Context(), fresh)
	b.must(err)
	if said != 2 { // the request, and the warning
		t.Errorf("%d lines were said", said)
	}
	old, said = "", 0
	b.issuer.Clear()
	_, err = b.Import(t.Context(), ImportRequest{Request: b.req, RefreshToken: b.stored().RefreshToken, AllowOnline: true})
	b.must(err)
	if said == 0 {
		t.Error("nothing is said of an import's request")
	}
}
