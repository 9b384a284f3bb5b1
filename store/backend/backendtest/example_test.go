package backendtest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/backend/backendtest"
)

// TestConformance is the whole test that a store of one's own needs.
func TestConformance(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend { return backendtest.NewMemory() })
}

// A save names the revision that it replaces, so that nobody's work is lost.
func Example() {
	ctx := context.Background()
	place := backendtest.NewMemory()

	first, _ := place.Save(ctx, "grant", "one", "") // nothing is there yet
	_, err := place.Save(ctx, "grant", "two", "")   // but now there is
	fmt.Println(err != nil)

	_, err = place.Save(ctx, "grant", "two", first)
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}
