package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// A fleet is machines that share an engine, and an issuer where a refresh token serves
// once.
type fleet struct {
	t      *testing.T
	engine *baotest.Engine

	mu      sync.Mutex
	current secret.Secret // the refresh token that is not spent
	sent    map[secret.Secret]int
	ahead   time.Duration // of the machines' boot-time clocks
}

const aliceItem = "t2-cred/test/grant,gep,alice"

func newFleet(t *testing.T, nodes int) *fleet {
	f := &fleet{t: t, engine: baotest.New(t, nodes), sent: map[secret.Secret]int{}}
	s := f.machine()
	rec := sampleRecord("g1")
	rec.Token.Expiry = time.Now().Add(-time.Minute)
	f.current = rec.RefreshToken
	put(t, s, alice, rec)
	return f
}

// machine is one with its own directories and a short lease.
func (f *fleet) machine() *Store {
	o := engineOptions(f.t, f.engine)
	return f.reopen(o)
}

func (f *fleet) reopen(o Options) *Store {
	if len(o.OpenBao.Address) > 1 { // the standbys come first
		o.OpenBao.Address = append(o.OpenBao.Address[1:len(o.OpenBao.Address):len(o.OpenBao.Address)], o.OpenBao.Address[0])
	}
	s := open(f.t, o)
	drop(f.t, s, alice)
	s.terms.Lease, s.sendTime, s.saveTime = 4*time.Second, time.Second, time.Second
	s.node = func() string { return "node-" + shortHash(o.StateDir)[:4] }
	clock := s.boot
	s.boot = func() time.Duration {
		f.mu.Lock()
		defer f.mu.Unlock()
		return clock() + f.ahead
	}
	return s
}

// pass lets time pass, also for whoever is stopped.
func (f *fleet) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead += d
}

func (f *fleet) active(token secret.Secret) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return token == f.current
}

// spend is the issuer's answer to a refresh token.
func (f *fleet) spend(token secret.Secret) (secret.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[token]++
	if token != f.current {
		return "", errors.New("invalid_grant")
	}
	f.current = secret.Secret(fmt.Sprintf("rotated-%d-%s", len(f.sent), strings.Repeat("x", 40)))
	return f.current, nil
}

// once fails when a refresh token was sent twice, or not so many were sent.
func (f *fleet) once(want int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for token, n := range f.sent {
		if n > 1 {
			f.t.Errorf("the token %s was sent %d times", token.Reveal(), n)
		}
	}
	if len(f.sent) != want {
		f.t.Errorf("%d refreshes, not %d", len(f.sent), want)
	}
}

// item is what the engine has.
func (f *fleet) item() item {
	f.t.Helper()
	i, err := decodeItem(secret.Secret(f.engine.Value(aliceItem)))
	if err != nil {
		f.t.Fatal(err)
	}
	return i
}

// settled fails unless the item has the current refresh token, no claim and no doubt.
func (f *fleet) settled() {
	f.t.Helper()
	i := f.item()
	rec, err := decodeFor(alice, secret.Secret(i.Record))
	if err != nil || rec.RefreshToken != f.current || i.Claim != nil || i.Doubt != nil {
		f.t.Errorf("the item is not settled: claim %v, doubt %v, current %v, %v", i.Claim, i.Doubt, rec.RefreshToken == f.current, err)
	}
}

var errDoubtful = errors.New("in doubt")

// A member is the issuer's side of one refresh of the fleet.
type member struct {
	f        *fleet
	found    Found
	prepares func(context.Context) error
	sending  func() // before the last check
	answered func() // before the answer is kept
	slow     time.Duration
	deaf     bool // the answer is lost
	lost     bool // an inactive token means a lost grant
	token    func(*Token)
}

func (m *member) Prepare(ctx context.Context, found Found) (Record, error) {
	m.found = found
	if m.prepares != nil {
		if err := m.prepares(ctx); err != nil {
			return Record{}, err
		}
	}
	if found.Grant == "" {
		return Record{}, backend.NotFound()
	}
	if found.Doubt != nil && !m.f.active(found.RefreshToken) {
		m.lost = found.Doubt.Lost
		return Record{}, fmt.Errorf("%w: %s", errDoubtful, found.Doubt.Node)
	}
	return found.Record, nil
}

func (m *member) Send(_ context.Context, ready func() error) (Record, Verdict, error) {
	if m.sending != nil {
		m.sending()
	}
	if err := ready(); err != nil {
		return Record{}, NotSent, err
	}
	next, err := m.f.spend(m.found.RefreshToken)
	if m.deaf {
		return Record{}, Unanswered, errors.New("no answer")
	}
	if err != nil {
		return Record{}, Refused, err
	}
	if m.answered != nil {
		m.answered()
	}
	rec := m.found.Record
	rec.RefreshToken = next
	return rec, Granted, nil
}

func (m *member) Verify(_ context.Context, stored Record) (Record, error) {
	time.Sleep(m.slow)
	stored.Token = sampleToken("token-of-" + stored.RefreshToken.Reveal())
	if m.token != nil {
		m.token(&stored.Token)
	}
	return stored, nil
}

func notExpired(t Token) bool { return t.Expiry.After(time.Now()) }

func (f *fleet) get(s *Store, m *member) (Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if t, err := s.Token(ctx, alice); err == nil && notExpired(t) {
		return Record{Token: t}, nil
	}
	if m == nil {
		m = &member{}
	}
	m.f = f
	return s.Refresh(ctx, alice, Want{Enough: notExpired}, m)
}

func (f *fleet) must(rec Record, err error) Record {
	f.t.Helper()
	if err != nil || !notExpired(rec.Token) {
		f.t.Fatalf("no token: %v", err)
	}
	return rec
}

// takeOver has another machine see a claim, and come back when it has run out.
func (f *fleet) takeOver(s *Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Refresh(ctx, alice, Want{Enough: notExpired}, &member{f: f}); !errors.Is(err, ErrBusy) {
		f.t.Errorf("while the claim counts: %v", err)
	}
	f.pass(6 * time.Second)
	_, err := f.get(s, nil)
	return err
}
