package store

import (
	"testing"
	"time"
)

// TestShared_lastRefresh: each machine tells when any of them refreshed last, also when the
// token of it has expired. The item carries that, so it costs no further write.
func TestShared_lastRefresh(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	for name, at := range map[string]time.Time{"valid": time.Now().Add(-time.Minute), "expired": time.Now().Add(-2 * time.Hour)} {
		at = at.UTC().Truncate(time.Second)
		f.must(f.get(b, nil)) // b has a note of an earlier refresh
		f.engine.ResetCalls()
		m := &member{f: f, token: func(token *Token) {
			token.Obtained = at
			if name == "expired" {
				token.Expiry = at.Add(time.Hour)
			}
		}}
		if _, err := a.Refresh(t.Context(), alice, Want{}, m); err != nil {
			t.Fatal(err)
		}
		if n := f.engine.Calls("POST data"); n != 2 {
			t.Errorf("%s: %d writes", name, n)
		}
		for which, s := range map[string]*Store{"the one that refreshed": a, "another": b, "a new one": f.machine()} {
			account, err := s.Account(t.Context(), alice)
			if err != nil || account.Err != nil || !account.Refreshed.Equal(at) {
				t.Errorf("%s, %s: last refresh %v, not %v: %v, %v", name, which, account.Refreshed, at, err, account.Err)
			}
			if account.TokenExpiry.IsZero() != (name == "expired") {
				t.Errorf("%s, %s: the token ends %v", name, which, account.TokenExpiry)
			}
		}
	}
}
