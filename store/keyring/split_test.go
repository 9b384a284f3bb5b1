package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/terradue/t2-cred/store/backend"
)

// fakeItems is a place for small values that dies after a number of changes.
type fakeItems struct {
	mu    sync.Mutex
	limit int
	m     map[string]string
	left  int // changes until the crash; negative: none
	gets  int
}

var errCrash = errors.New("crash")

func (f *fakeItems) get(_ op, name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gets++
	if v, ok := f.m[name]; ok {
		return v, nil
	}
	return "", backend.NotFound()
}

func (f *fakeItems) change() error {
	if f.left == 0 {
		return errCrash
	}
	f.left--
	return nil
}

func (f *fakeItems) set(_ op, name, value string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(value) > f.limit {
		return backend.Errorf(backend.ErrTooLarge, nil, nil, "%d bytes in one item", len(value))
	}
	if err := f.change(); err != nil {
		return err
	}
	f.m[name] = value
	return nil
}

func (f *fakeItems) del(_ op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.m[name]; !ok {
		return nil
	}
	if err := f.change(); err != nil {
		return err
	}
	delete(f.m, name)
	return nil
}

const splitLimit = 100

func newFake() *fakeItems { return &fakeItems{limit: splitLimit, m: map[string]string{}, left: -1} }

func (f *fakeItems) splitter() splitter { return splitter{items: f, limit: splitLimit} }

// write saves as keyring does; a negative size deletes.
func (f *fakeItems) write(name, value string, size int) error {
	s, ctx := f.splitter(), op{Context: context.Background()}
	if size < 0 {
		return s.remove(ctx, name)
	}
	h, err := s.readHead(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.save(ctx, name, value, h)
	return err
}

// expect fails unless the value is one of those allowed; "" is nothing stored.
func (f *fakeItems) expect(t *testing.T, allowed ...string) {
	t.Helper()
	got, _, err := f.splitter().load(op{Context: context.Background()}, "n")
	if errors.Is(err, backend.ErrNotFound) {
		got, err = "", nil
	}
	for _, want := range allowed {
		if err == nil && got == want {
			return
		}
	}
	t.Fatalf("read %.30q (%d), %v, want one of %.60q; items %.300q", got, len(got), err, allowed, fmt.Sprint(f.m))
}

func valueOf(step, size int) string {
	if size < 0 {
		return ""
	}
	return strings.Repeat(string(rune('A'+step)), size)
}

// TestSplit_crashAtEveryStep writes three values after each other, the second one
// cut off after every possible number of changes, and the third one, too.
func TestSplit_crashAtEveryStep(t *testing.T) {
	sizes := []int{-1, 1, splitLimit - 1, splitLimit, 150, 400, 650}
	points := 0
	for _, a := range sizes {
		for _, b := range sizes {
			for _, c := range sizes {
				for crash2 := 0; ; crash2++ {
					f := newFake()
					if err := f.write("n", valueOf(0, a), a); err != nil {
						t.Fatal(err)
					}
					f.left = crash2
					err2 := f.write("n", valueOf(1, b), b)
					f.left = -1
					points++
					if err2 == nil {
						f.expect(t, valueOf(1, b))
					} else if !errors.Is(err2, errCrash) {
						t.Fatal(err2)
					} else {
						f.expect(t, valueOf(0, a), valueOf(1, b))
					}
					f.crashAgain(t, []string{valueOf(0, a), valueOf(1, b)}, c)
					if err2 == nil {
						break // that many changes were all
					}
				}
			}
		}
	}
	t.Logf("%d crash points", points)
}

// crashAgain cuts the next write off, too, at every point, from the same state.
func (f *fakeItems) crashAgain(t *testing.T, before []string, size int) {
	t.Helper()
	start := f.clone()
	for crash := 0; ; crash++ {
		g := start.clone()
		g.left = crash
		err := g.write("n", valueOf(2, size), size)
		g.left = -1
		if err == nil {
			g.expect(t, valueOf(2, size))
		} else {
			g.expect(t, append(before, valueOf(2, size))...)
		}
		for _, sizes := range [][]int{{1, 1}, {150, 1}, {150, 150}, {1, -1}, {150, -1}} {
			g.clone().sweptAfter(t, sizes)
		}
		if err == nil {
			return
		}
	}
}

// sweptAfter does two clean writes, which leave nothing else behind, whatever
// happened before.
func (f *fakeItems) sweptAfter(t *testing.T, sizes []int) {
	t.Helper()
	for step, size := range sizes {
		if err := f.write("n", valueOf(3+step, size), size); err != nil {
			t.Fatal(err)
		}
		f.expect(t, valueOf(3+step, size))
	}
	want := 1
	switch sizes[1] {
	case -1:
		want = 0
	case 150:
		want = 3
	}
	if len(f.m) != want {
		t.Fatalf("after %v there are %d items: %.400q", sizes, len(f.m), fmt.Sprint(f.m))
	}
}

func (f *fakeItems) clone() *fakeItems {
	g := newFake()
	for k, v := range f.m {
		g.m[k] = v
	}
	return g
}

func TestSplit_aSmallWriteIsOneSet(t *testing.T) {
	f := newFake()
	for i, want := range []int{1, 1, 0} { // reads of the head by write, and no search
		f.gets = 0
		f.left = 1
		if err := f.write("n", strings.Repeat("x", i), i); err != nil {
			t.Fatalf("write %d took more than one change: %v", i, err)
		}
		if f.gets > 1 {
			t.Errorf("write %d: %d reads, want %d", i, f.gets, want)
		}
	}
}

func TestSplit_readersNeverSeeAMix(t *testing.T) {
	f := newFake()
	value := func(i int) string { return strings.Repeat(fmt.Sprintf("%06d.", i), 3+i%70) }
	if err := f.write("n", value(0), 1); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			s := f.splitter()
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, _, err := s.load(op{Context: context.Background()}, "n")
				if errors.Is(err, backend.ErrUnavailable) {
					continue // overtaken twenty times; not wrong
				}
				var i int
				if err != nil || len(got) < 7 {
					t.Errorf("read %d bytes, %v", len(got), err)
					return
				}
				if _, err := fmt.Sscanf(got, "%06d.", &i); err != nil || got != value(i) {
					t.Errorf("a mix: %.40q", got)
					return
				}
			}
		})
	}
	for i := range 3000 {
		if err := f.write("n", value(i), 1); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	wg.Wait()
}

func TestSplit_damageIsFound(t *testing.T) {
	ctx := op{Context: context.Background()}
	for name, spoil := range map[string]func(m map[string]string){
		"a chunk is missing":       func(m map[string]string) { delete(m, "n/a/2") },
		"a chunk of another write": func(m map[string]string) { m["n/a/2"] = strings.Repeat("0", 16) + m["n/a/2"][16:] },
		"a chunk has changed":      func(m map[string]string) { m["n/a/2"] += "x" },
		"chunks are exchanged":     func(m map[string]string) { m["n/a/1"], m["n/a/2"] = m["n/a/2"], m["n/a/1"] },
		"the head is cut":          func(m map[string]string) { m["n"] = m["n"][:20] },
		"the head is empty":        func(m map[string]string) { m["n"] = "" },
		"the head is not ours":     func(m map[string]string) { m["n"] = "hunter2" },
		"the head counts wildly":   func(m map[string]string) { m["n"] = "#a 0123456789abcdef 99999999 10 x" },
	} {
		f := newFake()
		value := strings.Repeat("0123456789", 30)
		if err := f.write("n", value, 1); err != nil {
			t.Fatal(err)
		}
		spoil(f.m)
		if got, _, err := f.splitter().load(ctx, "n"); !errors.Is(err, backend.ErrCorrupt) {
			t.Errorf("%s: read %.20q, %v", name, got, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows it: %v", name, err)
		}
		// And it can be got rid of.
		if err := f.splitter().remove(ctx, "n"); err != nil || len(f.m) > 0 {
			t.Errorf("%s: remove: %v, left %.200q", name, err, fmt.Sprint(f.m))
		}
	}
}

func TestSplit_limits(t *testing.T) {
	for _, goos := range []string{"windows", "darwin", "linux"} {
		f := newFake()
		f.limit = itemLimit(goos)
		s := splitter{items: f, limit: f.limit}
		for _, n := range []int{f.limit - 1, f.limit, 3 * f.limit, backend.MaxValue} {
			value := strings.Repeat("x", n)
			if _, err := s.save(op{Context: context.Background()}, "n", value, head{}); err != nil {
				t.Errorf("%s: %d bytes: %v", goos, n, err)
			}
			f.m = map[string]string{}
		}
	}
	// The line that go-keyring pipes into macOS' security.
	name := chunkName("secondary,"+strings.Repeat("x", 110), "a", 64) // the longest of package store has 120
	line := fmt.Sprintf("add-generic-password -U -s 't2-cred-%s' -a '%s' -w 'go-keyring-base64:%s'\n",
		strings.Repeat("x", 16), name, strings.Repeat("x", (itemLimit("darwin")+2)/3*4))
	if len(line) >= 4095 {
		t.Errorf("macOS: a line of %d bytes", len(line))
	}
}
