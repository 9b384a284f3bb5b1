package store

import (
	"context"
	"sync"

	"github.com/terradue/t2-cred/helper/secret"
)

// A prefetch holds items that are being loaded while a record is, as a refresh wants
// them next: a keyring that is asked two things at once answers sooner than one that
// is asked twice. A shared store is asked one after the other, while it writes a claim.
type prefetch struct{ m sync.Map } // item name to chan secret.Secret

// begin starts to load items, and returns what forgets those that nobody took. It
// never asks a person.
func (s *Store) begin(ctx context.Context, names ...string) (forget func()) {
	if !s.is.Slow {
		return func() {}
	}
	started := map[string]chan secret.Secret{}
	var one sync.Mutex
	for _, name := range names {
		c := make(chan secret.Secret, 1)
		if _, taken := s.ahead.m.LoadOrStore(name, c); taken {
			continue
		}
		started[name] = c
		go func() {
			defer close(c)
			defer func() { _ = recover() }() // loadAhead meets it again, where a panic is reported without its value
			// One connection beside the claim's will do: a TLS handshake costs more than waiting.
			if s.shared() {
				one.Lock()
				defer one.Unlock()
			}
			if value, _, err := s.quiet.Load(ctx, name); err == nil {
				c <- value
			}
		}()
	}
	return func() {
		for name, c := range started {
			s.ahead.m.CompareAndDelete(name, c)
		}
	}
}

// loadAhead returns what was loaded ahead, or loads it now.
func (s *Store) loadAhead(ctx context.Context, name string) (secret.Secret, error) {
	if c, ok := s.ahead.m.LoadAndDelete(name); ok {
		if value, ok := <-c.(chan secret.Secret); ok {
			return value, nil
		}
	}
	value, _, err := s.backend.Load(ctx, name)
	return value, err
}

// loadAhead begins what a refresh wants after the record. What it began to load before, for
// a claim that was refused, may be old by now.
func (r *spending) loadAhead(ctx context.Context) {
	if r.forget != nil {
		r.forget()
	}
	r.needs.beginPlace(r.s, r.k)
	r.forget = r.s.begin(ctx, itemName(kindClient, r.k.Profile), kindSeal)
}

// forgetAhead forgets what was loaded and not taken.
func (r *spending) forgetAhead() {
	r.needs.drop()
	if r.forget != nil {
		r.forget()
	}
}
