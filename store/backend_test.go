package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/terradue/t2-cred/helper/secret"
)

// The conformance suite of Backend: what every place where bytes lie must do.

func TestBackend_keepsValues(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		b, ctx := open(t, o).backend, context.Background()
		const name = "grant,p,a"
		if v, err := b.Load(ctx, name); !errors.Is(err, ErrNotFound) {
			t.Fatalf("Load of nothing = %v, %v", v.Reveal(), err)
		}
		if err := b.Delete(ctx, name); err != nil {
			t.Fatalf("Delete of nothing: %v", err)
		}
		for _, value := range []string{"one", "two", "", `={"v":1}`, "#a b c", strings.Repeat("x", 3000)} {
			if err := b.Save(ctx, name, secret.Secret(value)); err != nil {
				t.Fatalf("Save(%.20q): %v", value, err)
			}
			if got, err := b.Load(ctx, name); err != nil || got.Reveal() != value {
				t.Fatalf("Load = %.20q, %v, want %.20q", got.Reveal(), err, value)
			}
		}
		if err := b.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Load(ctx, name); !errors.Is(err, ErrNotFound) {
			t.Fatalf("Load after Delete: %v", err)
		}
	})
}

func TestBackend_sizes(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		b, ctx := open(t, o).backend, context.Background()
		for _, n := range []int{2559, 2560, 16<<10 - 1, 16 << 10, 50000, maxValue, 10} {
			value := secret.Secret(strings.Repeat("0123456789", n/10+1)[:n])
			if err := b.Save(ctx, "grant,p,a", value); err != nil {
				t.Fatalf("Save of %d bytes: %v", n, err)
			}
			if got, err := b.Load(ctx, "grant,p,a"); err != nil || got != value {
				t.Fatalf("Load of %d bytes: %d bytes, %v", n, len(got), err)
			}
		}
		err := b.Save(ctx, "grant,p,a", secret.Secret(strings.Repeat("x", maxValue+1)))
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("Save of %d bytes: %v", maxValue+1, err)
		}
		if got, err := b.Load(ctx, "grant,p,a"); err != nil || len(got) != 10 {
			t.Errorf("after a refused save: %d bytes, %v", len(got), err)
		}
	})
}

func TestBackend_lists(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		b, ctx := open(t, o).backend, context.Background()
		if names, err := b.List(ctx); errors.Is(err, errors.ErrUnsupported) {
			t.Skip("cannot be listed")
		} else if err != nil || len(names) != 0 {
			t.Fatalf("List of nothing = %q, %v", names, err)
		}
		want := []string{"client,p", "grant,p,a%41", "grant,p,b"}
		for i, name := range want {
			if err := b.Save(ctx, name, secret.Secret(strings.Repeat("x", 1+i*20000))); err != nil {
				t.Fatal(err)
			}
		}
		names, err := b.List(ctx)
		if slices.Sort(names); err != nil || !slices.Equal(names, want) {
			t.Errorf("List = %q, %v, want %q", names, err, want)
		}
		for _, name := range want {
			if err := b.Delete(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		if names, err := b.List(ctx); err != nil || len(names) != 0 {
			t.Errorf("List at the end = %q, %v", names, err)
		}
	})
}

func TestBackend_readersOfAWriter(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		b, ctx := open(t, o).backend, context.Background()
		value := func(i int) secret.Secret {
			return secret.Secret(strings.Repeat(fmt.Sprintf("%04d", i), []int{10, 5000, 9000}[i%3]))
		}
		if err := b.Save(ctx, "grant,p,a", value(0)); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					got, err := b.Load(ctx, "grant,p,a")
					if err != nil || len(got) < 40 {
						t.Errorf("Load: %d bytes, %v", len(got), err)
						return
					}
					var i int
					if _, err := fmt.Sscanf(got.Reveal()[:4], "%d", &i); err != nil || got != value(i) {
						t.Errorf("Load gave a mix")
						return
					}
				}
			})
		}
		rounds := 30
		if o.Backend == "keyring" {
			rounds = 10
		}
		for i := range rounds {
			if err := b.Save(ctx, "grant,p,a", value(i)); err != nil {
				t.Error(err)
				break
			}
		}
		close(stop)
		wg.Wait()
	})
}
