package helper

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/store"
)

// TestRefresh_doubtOfAnotherMachine: what the issuer says decides, and nothing is sent
// before it does.
func TestRefresh_doubtOfAnotherMachine(t *testing.T) {
	spend := func(b *bench) {
		fresh := b.req
		fresh.Fresh = true
		_, err := b.Get(b.t.Context(), fresh)
		b.must(err)
	}
	for name, tt := range map[string]struct {
		issuer  oidctest.Introspection
		spent   bool
		doubt   store.Doubt
		age     time.Duration
		kind    error // nil where the token may be sent
		revoked bool  // the record says that the grant is gone
		words   string
	}{
		"active":              {doubt: store.Doubt{Ask: true}},
		"spent, may return":   {spent: true, doubt: store.Doubt{Ask: true}, kind: ErrInDoubt, words: "machine node-7 may have sent"},
		"spent, for long":     {spent: true, doubt: store.Doubt{Ask: true}, age: 11 * time.Minute, kind: ErrLoginRequired, words: "machine node-7 may have sent"},
		"spent, answer lost":  {spent: true, doubt: store.Doubt{Ask: true, Lost: true}, kind: ErrLoginRequired, revoked: true, words: "the refresh token is spent: the refresh of"},
		"not told":            {issuer: oidctest.IntrospectionNone, doubt: store.Doubt{Ask: true}, kind: ErrInDoubt, words: "does not tell"},
		"not told, for long":  {issuer: oidctest.IntrospectionNone, doubt: store.Doubt{Ask: true, Lost: true}, age: time.Hour, kind: ErrLoginRequired, words: "does not tell"},
		"refused":             {issuer: oidctest.IntrospectionRefused, doubt: store.Doubt{Ask: true}, kind: ErrInDoubt, words: "does not tell"},
		"never taken over":    {doubt: store.Doubt{}, kind: ErrInDoubt, words: "takeover is never"},
		"a clock set forward": {spent: true, doubt: store.Doubt{Ask: true}, age: -time.Hour, kind: ErrInDoubt, words: "node-7"}, // the store knows better as soon as it has watched the doubt
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, oidctest.Refresh(oidctest.Revoke))
			_, err := b.exchange("alice")
			b.must(err)
			rec := b.stored()
			if !rec.Introspects {
				t.Fatal("the issuer was not asked about the new grant")
			}
			if tt.spent {
				spend(b)
			}
			b.issuer.Set(oidctest.Introspects(tt.issuer))
			tt.doubt.Node, tt.doubt.Since, tt.doubt.Age = "node-7", b.Now(), tt.age
			asked := b.issuer.Count("refresh_token")
			f := &refresher{h: b.Helper, request: b.req, issuer: b.Issuer(b.req.Profile)}
			got, err := f.Prepare(t.Context(), store.Found{Record: rec, Doubt: &tt.doubt})
			if !errors.Is(err, tt.kind) || (err == nil) != (tt.kind == nil) {
				t.Fatalf("Prepare: %v", err)
			}
			if err == nil && got.RefreshToken != rec.RefreshToken {
				t.Error("another record is to be sent")
			}
			if err != nil && (!strings.Contains(err.Error(), tt.words) || strings.Contains(err.Error(), rec.RefreshToken.Reveal())) {
				t.Errorf("%v", err)
			}
			if errors.Is(err, ErrLoginRequired) && tt.spent && strings.Contains(hint.Of(err).String(), "store release") {
				t.Errorf("a hint sends a spent token: %s", hint.Of(err))
			}
			if revoked := got.RevokedBy != ""; revoked != tt.revoked {
				t.Errorf("the record is said to be revoked: %v", revoked)
			}
			if n := b.issuer.Count("refresh_token"); n != asked {
				t.Errorf("%d refresh tokens were sent", n-asked)
			}
		})
	}
}
