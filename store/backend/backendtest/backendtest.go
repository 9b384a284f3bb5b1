// Package backendtest is the conformance suite of package backend, and a backend in
// memory for tests. Run checks a backend in one line.
//
// The package's Go API is internal to t2-cred and may change at any time.
package backendtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// Run checks what every backend must do. open returns an empty backend; it is called
// once for each check.
func Run(t *testing.T, open func(t *testing.T) backend.Backend) {
	for name, check := range map[string]func(*testing.T, backend.Backend){
		"keeps values":        keepsValues,
		"checks the revision": checksTheRevision,
		"sizes":               sizes,
		"lists":               lists,
		"readers of a writer": readersOfAWriter,
		"describes itself":    describes,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

const name = "grant,p,a"

// put saves over whatever is there. A shared backend may load what was there before, and
// then refuses the save.
func put(t *testing.T, b backend.Backend, name, value string) backend.Revision {
	t.Helper()
	for tries := 1; ; tries++ {
		_, rev, err := b.Load(t.Context(), name)
		if err != nil && !errors.Is(err, backend.ErrNotFound) {
			t.Fatalf("Load before a Save: %v", err)
		}
		rev, err = b.Save(t.Context(), name, secret.Secret(value), rev)
		switch {
		case err == nil:
			return rev
		case tries < 50 && b.Describe().Shared && errors.Is(err, backend.ErrConflict):
			time.Sleep(10 * time.Millisecond)
		default:
			t.Fatalf("Save of %d bytes: %v", len(value), err)
		}
	}
}

func keepsValues(t *testing.T, b backend.Backend) {
	ctx := t.Context()
	if v, rev, err := b.Load(ctx, name); !errors.Is(err, backend.ErrNotFound) || rev != "" {
		t.Fatalf("Load of nothing = %v, %q, %v", v.Reveal(), rev, err)
	}
	if err := b.Delete(ctx, name); err != nil {
		t.Fatalf("Delete of nothing: %v", err)
	}
	for _, value := range []string{"one", "two", "", `={"v":1}`, "#a b c", strings.Repeat("x", 3000)} {
		saved := put(t, b, name, value)
		got, rev, err := b.Load(ctx, name)
		if err != nil || got.Reveal() != value || rev != saved {
			t.Fatalf("Load = %.20q, %q, %v, want %.20q, %q", got.Reveal(), rev, err, value, saved)
		}
	}
	if err := b.Delete(ctx, name); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Load(ctx, name); !errors.Is(err, backend.ErrNotFound) {
		t.Fatalf("Load after Delete: %v", err)
	}
}

func checksTheRevision(t *testing.T, b backend.Backend) {
	ctx := t.Context()
	first := put(t, b, name, "first value")
	second := put(t, b, name, "second value")
	if first == second || second == "" {
		t.Errorf("two values have the revisions %q and %q", first, second)
	}
	for _, stale := range []backend.Revision{first, ""} {
		if _, err := b.Save(ctx, name, "third value", stale); !errors.Is(err, backend.ErrConflict) {
			t.Errorf("Save over the revision %q: %v", stale, err)
		}
	}
	if got, rev, err := b.Load(ctx, name); err != nil || got != "second value" || rev != second {
		t.Errorf("after refused saves: %q, %q, %v", got.Reveal(), rev, err)
	}
	if _, err := b.Save(ctx, "grant,p,other", "value", second); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("Save of a missing item over a revision: %v", err)
	}
}

func sizes(t *testing.T, b backend.Backend) {
	ctx := t.Context()
	for _, n := range []int{2559, 2560, 16<<10 - 1, 16 << 10, 50000, backend.MaxValue, 10} {
		value := strings.Repeat("0123456789", n/10+1)[:n]
		put(t, b, name, value)
		if got, _, err := b.Load(ctx, name); err != nil || got.Reveal() != value {
			t.Fatalf("Load of %d bytes: %d bytes, %v", n, len(got), err)
		}
	}
	_, rev, _ := b.Load(ctx, name)
	_, err := b.Save(ctx, name, secret.Secret(strings.Repeat("x", backend.MaxValue+1)), rev)
	if !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("Save of %d bytes: %v", backend.MaxValue+1, err)
	}
	if got, _, err := b.Load(ctx, name); err != nil || len(got) != 10 {
		t.Errorf("after a refused save: %d bytes, %v", len(got), err)
	}
}

// all lists all pages.
func all(t *testing.T, b backend.Backend) (names []string) {
	t.Helper()
	for after := ""; ; {
		page, err := b.List(t.Context(), after)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("this backend cannot be listed")
		}
		if err != nil {
			t.Fatalf("List after %q: %v", after, err)
		}
		if len(page) == 0 {
			return names
		}
		names, after = append(names, page...), page[len(page)-1]
	}
}

func lists(t *testing.T, b backend.Backend) {
	if names := all(t, b); len(names) != 0 {
		t.Fatalf("List of nothing = %q", names)
	}
	want := []string{"client,p", "grant,p,a%41", "grant,p,b"}
	for i, name := range want {
		put(t, b, name, strings.Repeat("x", 1+i*20000))
	}
	if names := all(t, b); !slices.Equal(names, want) {
		t.Errorf("List = %q, want %q", names, want)
	}
	for _, name := range want {
		if err := b.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if names := all(t, b); len(names) != 0 {
		t.Errorf("List at the end = %q", names)
	}
}

func readersOfAWriter(t *testing.T, b backend.Backend) {
	ctx := t.Context()
	value := func(i int) string {
		return strings.Repeat(fmt.Sprintf("%04d", i), []int{10, 5000, 9000}[i%3])
	}
	put(t, b, name, value(0))
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
				got, _, err := b.Load(ctx, name)
				if err != nil || len(got) < 40 {
					t.Errorf("Load: %d bytes, %v", len(got), err)
					return
				}
				var i int
				if _, err := fmt.Sscanf(got.Reveal()[:4], "%d", &i); err != nil || got.Reveal() != value(i) {
					t.Error("Load gave a mix of two values")
					return
				}
			}
		})
	}
	for i := range 12 {
		put(t, b, name, value(i))
	}
	close(stop)
	wg.Wait()
}

func describes(t *testing.T, b backend.Backend) {
	is := b.Describe()
	if is.Name == "" || is.Where == "" {
		t.Errorf("Describe = %+v", is)
	}
	if is != b.Describe() {
		t.Error("it describes itself in two ways")
	}
	if asker, ok := b.(backend.Asker); ok && asker.Unattended().Describe() != is {
		t.Error("unattended it is another backend")
	}
}
