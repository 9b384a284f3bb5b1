package helper

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
	"github.com/terradue/t2-cred/store/backend/backendtest"
)

// A bench is a helper on a memory store, with an issuer and a clock.
type bench struct {
	*Helper
	t      *testing.T
	issuer *oidctest.Issuer
	ahead  time.Duration
	warned []string
	req    Request
}

func newBench(t *testing.T, opts ...oidctest.Option) *bench {
	t.Helper()
	b := &bench{t: t, issuer: oidctest.New(opts...)}
	t.Cleanup(b.issuer.Close)
	now := func() time.Time { return time.Now().Add(b.ahead) }
	dir := t.TempDir()
	s, err := store.With(backendtest.NewMemory(), store.Options{
		Config: dir, StateDir: dir, DataDir: dir, RuntimeDir: dir,
		Getenv: func(string) string { return "" }, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Helper = &Helper{
		Store: s, Now: now, Log: slog.New(slog.DiscardHandler), Warn: func(m string) { b.warned = append(b.warned, m) },
		Issuer: func(p Profile) *oidc.Issuer {
			return oidc.New(p.Issuer, oidc.Options{Now: now, Log: slog.New(slog.DiscardHandler)})
		},
	}
	b.req = Request{Account: "default", Profile: Profile{
		Name: "p", Issuer: b.issuer.URL(), ClientID: oidctest.ClientID, ClientAuth: "basic",
		Scopes: strings.Fields("openid email profile offline_access ellip gep"),
	}}
	if err := s.SetClientSecret(t.Context(), "p", secret.Secret(b.issuer.ClientSecret())); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) exchange(user string) (store.Record, error) {
	return b.Exchange(b.t.Context(), ExchangeRequest{Request: b.req, SubjectToken: secret.Secret(b.issuer.UserToken(user))})
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) advance(d time.Duration) {
	b.ahead += d
	b.issuer.Clock.Advance(d)
}

func (b *bench) stored() store.Record {
	b.t.Helper()
	rec, err := b.Store.Load(b.t.Context(), b.req.key())
	b.must(err)
	return rec
}

// TestRefresh_keepsARotatedTokenThatCameWithATokenNotYetValid: our clock is
// behind, the access token is refused, and the grant lives.
func TestRefresh_keepsARotatedTokenThatCameWithATokenNotYetValid(t *testing.T) {
	b := newBench(t, oidctest.Refresh(oidctest.Revoke))
	_, err := b.exchange("alice")
	b.must(err)
	before := b.stored()
	b.issuer.Clock.Advance(time.Hour)
	fresh := b.req
	fresh.Fresh = true
	_, err = b.Get(t.Context(), fresh)
	var refused *oidc.VerifyError
	if !errors.As(err, &refused) || refused.Identity {
		t.Fatalf("a token from the future: %v", err)
	}
	if !strings.Contains(refused.Remedy.String(), "clock") {
		t.Errorf("the remedy does not speak of the clock: %q", refused.Remedy)
	}
	if after := b.stored(); after.RefreshToken == before.RefreshToken || after.Grant != before.Grant {
		t.Error("the rotated refresh token was not kept")
	}
	b.ahead = time.Hour // the clock is set
	_, err = b.Get(t.Context(), fresh)
	b.must(err)
}

// TestRefresh_dropsAllOfAnotherUsersAnswer: neither the access token nor the
// refresh token beside it is this user's, whatever they say.
func TestRefresh_dropsAllOfAnotherUsersAnswer(t *testing.T) {
	b := newBench(t)
	_, err := b.exchange("alice")
	b.must(err)
	before := b.stored()
	b.advance(time.Hour)
	b.issuer.Inject(oidctest.FaultNamed("sub-changed"))
	_, err = b.Get(t.Context(), b.req)
	var refused *oidc.VerifyError
	if !errors.As(err, &refused) || !refused.Identity {
		t.Fatalf("another user's token: %v", err)
	}
	if after := b.stored(); after.RefreshToken != before.RefreshToken || after.Token.AccessToken != "" {
		t.Error("something of it was kept")
	}
}

// TestExchange_takesABareRefreshToken is RFC 8693 §2.2.1 to the letter: what was
// issued is in access_token, and is a refresh token.
func TestExchange_takesABareRefreshToken(t *testing.T) {
	b := newBench(t, oidctest.OpaqueRefreshTokens())
	b.issuer.Inject(oidctest.Fault{
		Name: "bare", Endpoint: oidctest.Token, Grant: "token-exchange",
		Edit: func(_ *oidctest.Call, answer map[string]any) {
			answer["access_token"], answer["issued_token_type"], answer["token_type"] = answer["refresh_token"], oidc.TypeRefreshToken, "N_A"
			delete(answer, "refresh_token")
			delete(answer, "id_token")
		},
	})
	rec, err := b.exchange("alice")
	b.must(err)
	if rec.Token.AccessToken == rec.RefreshToken || b.issuer.Refreshes() != 1 || rec.Subject != b.issuer.Sub("alice") {
		t.Errorf("%d refreshes, subject %q", b.issuer.Refreshes(), rec.Subject)
	}
}

func TestExchange_saysWhomItReplaces(t *testing.T) {
	b := newBench(t)
	_, err := b.exchange("alice")
	b.must(err)
	_, err = b.exchange("alice")
	b.must(err)
	if len(b.warned) != 0 {
		t.Errorf("a user's own token is replaced with a warning: %q", b.warned)
	}
	if _, err = b.exchange("bob"); !errors.Is(err, ErrOtherUser) || b.issuer.Count("token-exchange") != 2 {
		t.Errorf("another user's grant, without a question: %v, %d exchanges", err, b.issuer.Count("token-exchange"))
	}
	var asked string
	b.req.MayReplace = func(old, now string) bool { asked = old + " " + now; return false }
	if _, err = b.exchange("bob"); !errors.Is(err, ErrOtherUser) || asked != "alice bob" {
		t.Errorf("after a no to %q: %v", asked, err)
	}
	b.req.MayReplace, b.req.Replace = nil, true
	_, err = b.exchange("bob")
	b.must(err)
	if len(b.warned) != 1 || !strings.Contains(b.warned[0], "another user (alice") {
		t.Errorf("%q", b.warned)
	}
}

func TestGet_dropsACachedTokenOfAnotherConfiguration(t *testing.T) {
	b := newBench(t)
	_, err := b.exchange("alice")
	b.must(err)
	first, err := b.Get(t.Context(), b.req)
	b.must(err)
	b.req.Profile.Scopes = []string{"openid"}
	second, err := b.Get(t.Context(), b.req)
	b.must(err)
	if first.Token == second.Token || b.issuer.Refreshes() != 1 {
		t.Error("a token that was asked for with other scopes was served")
	}
	b.req.Profile.ClientID = "another"
	if _, err := b.Get(t.Context(), b.req); !errors.Is(err, ErrLoginRequired) {
		t.Errorf("another client's grant: %v", err)
	}
}

func TestReject_forgetsThatTokenAndNoOther(t *testing.T) {
	b := newBench(t)
	_, err := b.exchange("alice")
	b.must(err)
	first, err := b.Get(t.Context(), b.req)
	b.must(err)
	b.must(b.Reject(t.Context(), b.req, "something else"))
	again, err := b.Get(t.Context(), b.req)
	b.must(err)
	if again.Token != first.Token {
		t.Error("the token was dropped for another's sake")
	}
	b.must(b.Reject(t.Context(), b.req, first.Token))
	next, err := b.Get(t.Context(), b.req)
	b.must(err)
	if next.Token == first.Token {
		t.Error("a refused token is served again")
	}
}

func TestRequest_minValid(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	asked := 2 * time.Minute
	for _, tt := range []struct {
		name       string
		life, left time.Duration
		min        *time.Duration
		prefer     time.Duration
		want       bool
	}{
		{"plenty", 5 * time.Minute, 4 * time.Minute, nil, 0, true},
		{"the default is 30 s", 5 * time.Minute, 29 * time.Second, nil, 0, false},
		{"but half of a short life", 20 * time.Second, 11 * time.Second, nil, 0, true},
		{"and no less", 20 * time.Second, 9 * time.Second, nil, 0, false},
		{"asked for more than it lives", time.Minute, time.Minute, &asked, 0, false},
		{"ten minutes are preferred", time.Hour, 11 * time.Minute, nil, 10 * time.Minute, true},
		{"and nine are not enough", time.Hour, 9 * time.Minute, nil, 10 * time.Minute, false},
		{"of a short life a half is", 5 * time.Minute, 151 * time.Second, nil, 10 * time.Minute, true},
		{"and no less than a half", 5 * time.Minute, 149 * time.Second, nil, 10 * time.Minute, false},
		{"what is asked for goes before", time.Hour, 3 * time.Minute, &asked, 10 * time.Minute, true},
		{"less than the default is not preferred", 5 * time.Minute, 29 * time.Second, nil, time.Second, false},
		{"expired", 5 * time.Minute, -time.Second, nil, 0, false},
		{"ends now", 0, 0, nil, 0, false},
	} {
		token := store.Token{Obtained: now.Add(tt.left - tt.life), Expiry: now.Add(tt.left)}
		if got := (Request{MinValid: tt.min, Prefer: tt.prefer}).serves(token, now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestLockTime_leavesTimeToReadTheAnswer: whoever gets the lock at the last
// moment still has half of a short deadline.
func TestLockTime_leavesTimeToReadTheAnswer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	wait, stop := lockTime(ctx, 0)
	defer stop()
	end, _ := ctx.Deadline()
	lock, ok := wait.Deadline()
	if left := end.Sub(lock); !ok || left < 1900*time.Millisecond || left > 2*time.Second {
		t.Errorf("%s are left", left)
	}
}

// TestGet_freshAsksOnceMoreAboutADeadGrant, and many who ask at once ask it once.
func TestGet_freshAsksOnceMoreAboutADeadGrant(t *testing.T) {
	b := newBench(t)
	_, err := b.exchange("alice")
	b.must(err)
	fresh := b.req
	fresh.Fresh = true
	all := func() (failed int) {
		before := b.issuer.Count("refresh_token")
		errs := make(chan error, 8)
		for range cap(errs) {
			go func() { _, err := b.Get(t.Context(), fresh); errs <- err }()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				failed++
				if !errors.Is(err, ErrLoginRequired) {
					t.Error(err)
				}
			}
		}
		if asked := b.issuer.Count("refresh_token") - before; asked != 1 {
			t.Errorf("the issuer was asked %d times", asked)
		}
		return failed
	}
	b.issuer.Inject(oidctest.Slow(300 * time.Millisecond).On(oidctest.Token))
	b.issuer.Disable("alice")
	if failed := all(); failed != 8 || b.stored().RevokedBy == "" {
		t.Errorf("%d of 8 failed; dead: %q", failed, b.stored().RevokedBy)
	}
	if failed := all(); failed != 8 {
		t.Errorf("asked about a dead grant, %d of 8 failed", failed)
	}
	b.issuer.Enable("alice")
	if failed := all(); failed != 0 || b.stored().RevokedBy != "" {
		t.Errorf("with the user enabled again, %d of 8 failed; dead: %q", failed, b.stored().RevokedBy)
	}
}
