package store

import (
	"context"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// panicking is a backend that fails where nobody expects it.
type panicking struct{ backend.Backend }

func (panicking) Load(context.Context, string) (secret.Secret, backend.Revision, error) {
	panic("a-secret-in-a-panic-Wq8Zr2")
}

// TestPrefetch_survivesAPanic: what is loaded ahead is loaded again, where the caller
// waits for it.
func TestPrefetch_survivesAPanic(t *testing.T) {
	s := open(t, testOptions(t, "memory"))
	if err := s.SetClientSecret(t.Context(), "gep", "client-secret-Kd3Vb7"); err != nil {
		t.Fatal(err)
	}
	s.is.Slow, s.quiet = true, panicking{s.quiet}
	defer s.begin(t.Context(), itemName(kindClient, "gep"))()
	if got, err := s.ClientSecret(t.Context(), "gep"); err != nil || got != "client-secret-Kd3Vb7" {
		t.Errorf("%v", err)
	}
}

// TestCaught_showsNoValue names the kind of a panic alone.
func TestCaught_showsNoValue(t *testing.T) {
	err := func() (err error) {
		defer caught(&err)
		panic("a-secret-in-a-panic-Wq8Zr2")
	}()
	if err == nil || strings.Contains(err.Error(), "Wq8Zr2") || !strings.Contains(err.Error(), "internal error (string)") {
		t.Errorf("%v", err)
	}
}
