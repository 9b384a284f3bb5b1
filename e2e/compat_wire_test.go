package e2e

import (
	"sync"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A wire counts how often each refresh token was sent to an issuer, for whatever
// reason and with whatever result.
type wire struct {
	issuer *oidctest.Issuer
	mu     sync.Mutex
	sent   map[string]int
}

func listenOnWire(issuer *oidctest.Issuer) *wire {
	w := &wire{issuer: issuer, sent: map[string]int{}}
	issuer.Inject(oidctest.Fault{
		Name: "count refresh tokens", Endpoint: oidctest.Token, Grant: "refresh_token",
		Before: func(c *oidctest.Call) *oidctest.Answer {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sent[c.Form.Get("refresh_token")]++
			return nil
		},
	})
	return w
}

// posts are the requests that could change something at the issuer.
func (w *wire) posts() int { return w.issuer.Count("token") + w.issuer.Count("revocation") }

// wantEachOnce wants no refresh token to have been sent twice but for those that the
// issuer refused on purpose, and tells how many there were.
func (w *wire) wantEachOnce(t *testing.T, allowedTwice int) int {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	twice := 0
	for _, n := range w.sent {
		if n > 1 {
			twice++
		}
	}
	if twice > allowedTwice {
		t.Errorf("%d of %d refresh tokens were sent more than once, want at most %d", twice, len(w.sent), allowedTwice)
	}
	return len(w.sent)
}

// refused is how many refreshes the issuer refused.
func (w *wire) refused() (n int) {
	for _, r := range w.issuer.Requests() {
		if r.Grant == "refresh_token" && r.Status != 200 {
			n++
		}
	}
	return n
}
