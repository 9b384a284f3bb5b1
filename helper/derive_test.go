package helper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// anSTS counts what it made, and of whom.
type anSTS struct {
	made  int
	of    []string
	fails error
	life  time.Duration
}

func (s *anSTS) derivation(b *bench, name string) Derivation {
	return Derivation{Name: name, MinValid: 16 * time.Minute, Make: func(_ context.Context, c Credential) (Derived, error) {
		if s.fails != nil {
			return Derived{}, s.fails
		}
		s.made++
		s.of = append(s.of, c.Subject)
		return Derived{Value: Secret(fmt.Sprintf("keys-%d", s.made)), Obtained: b.Now(), Expiry: b.Now().Add(s.life)}, nil
	}}
}

func (b *bench) wantKeys(s *anSTS, r Request, name, want string) {
	b.t.Helper()
	d, err := b.Derive(b.t.Context(), r, s.derivation(b, name))
	if err != nil || d.Value.Reveal() != want {
		b.t.Errorf("%s: %q, %v; want %q", name, d.Value.Reveal(), err, want)
	}
}

func TestDerive_keepsUntilNearTheEnd(t *testing.T) {
	b, s := newBench(t), &anSTS{life: time.Hour}
	_, err := b.exchange("alice")
	b.must(err)
	b.wantKeys(s, b.req, "minio", "keys-1")
	b.wantKeys(s, b.req, "minio", "keys-1")
	b.wantKeys(s, b.req, "aws", "keys-2")
	b.wantKeys(s, b.req, "minio", "keys-1")

	// The access token ends before, and that is nothing to the keys.
	b.advance(43 * time.Minute)
	before := b.issuer.Count("refresh_token")
	b.wantKeys(s, b.req, "minio", "keys-1")
	if n := b.issuer.Count("refresh_token"); n != before {
		t.Error("the issuer was asked for keys that were kept")
	}
	b.advance(2 * time.Minute)
	b.wantKeys(s, b.req, "minio", "keys-3")

	fresh := b.req
	fresh.Fresh = true
	b.wantKeys(s, fresh, "minio", "keys-4")
	b.wantKeys(s, b.req, "minio", "keys-4")

	// Of short-lived ones a half of their life is used.
	s.life = 15 * time.Minute
	b.wantKeys(s, b.req, "ceph", "keys-5")
	b.advance(7 * time.Minute)
	b.wantKeys(s, b.req, "ceph", "keys-5")
	b.advance(time.Minute)
	b.wantKeys(s, b.req, "ceph", "keys-6")
}

func TestDerive_isBoundToGrantAndConfiguration(t *testing.T) {
	b, s := newBench(t), &anSTS{life: time.Hour}
	_, err := b.exchange("alice")
	b.must(err)
	b.wantKeys(s, b.req, "minio", "keys-1")

	other := b.req
	other.Profile.Scopes = strings.Fields("openid profile offline_access")
	b.wantKeys(s, other, "minio", "keys-2")

	b.req.Replace = true
	_, err = b.exchange("bob")
	b.must(err)
	b.wantKeys(s, b.req, "minio", "keys-3")
	if s.of[2] != b.issuer.Sub("bob") {
		t.Errorf("made of %v, not of bob", s.of)
	}
	_, err = b.Erase(t.Context(), b.req, false)
	b.must(err)
	if _, err := b.Derive(t.Context(), b.req, s.derivation(b, "minio")); !errors.Is(err, ErrLoginRequired) {
		t.Errorf("after erasing: %v", err)
	}

	// Were the account given to another user while the keys are made, they would be
	// kept for neither.
	_, err = b.exchange("alice")
	b.must(err)
	d := s.derivation(b, "minio")
	slow := d
	slow.Make = func(ctx context.Context, c Credential) (Derived, error) {
		_, err := b.exchange("bob")
		b.must(err)
		return d.Make(ctx, c)
	}
	_, err = b.Derive(t.Context(), b.req, slow)
	b.must(err)
	b.wantKeys(s, b.req, "minio", "keys-5")
	if s.of[3] != b.issuer.Sub("alice") || s.of[4] != b.issuer.Sub("bob") {
		t.Errorf("made of %v", s.of)
	}
}

// TestDerive_inTrouble: silence changes nothing, and what is still valid serves; a
// refusal is final.
func TestDerive_inTrouble(t *testing.T) {
	b, s := newBench(t), &anSTS{life: time.Hour}
	_, err := b.exchange("alice")
	b.must(err)
	b.wantKeys(s, b.req, "minio", "keys-1")
	b.advance(50 * time.Minute)
	s.fails = &hint.Error{Kind: ErrUnreachable, Detail: "STS x: no answer in time"}
	b.wantKeys(s, b.req, "minio", "keys-1")
	if len(b.warned) != 1 || !strings.Contains(b.warned[0], "no answer in time") || !strings.Contains(b.warned[0], "valid for 10m0s more") {
		t.Errorf("warned: %q", b.warned)
	}
	b.issuer.Inject(oidctest.FaultNamed("status-503"))
	b.wantKeys(s, b.req, "minio", "keys-1")
	b.issuer.Clear()
	s.fails = &hint.Error{Kind: ErrNotGranted, Detail: "STS x: AccessDenied"}
	if _, err := b.Derive(t.Context(), b.req, s.derivation(b, "minio")); !errors.Is(err, ErrNotGranted) {
		t.Errorf("a refusal: %v", err)
	}
	s.fails = &hint.Error{Kind: ErrUnreachable, Detail: "STS x: no answer in time"}
	b.advance(11 * time.Minute)
	if _, err := b.Derive(t.Context(), b.req, s.derivation(b, "minio")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nothing valid is left: %v", err)
	}
}
