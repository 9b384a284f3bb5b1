package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/front"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestSpendingFront_http2: however a front with HTTP/2 drains or refuses, one POST
// leaves for a refresh, and no refresh token is sent twice.
func TestSpendingFront_http2(t *testing.T) {
	var f *front.HTTP2
	var ca string
	r := func() *rig {
		dir, err := os.MkdirTemp("", "t2-ca-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		ca = filepath.Join(dir, "ca.pem")
		return newRig(t, "file", rigOptions{profile: []string{"--ca-file", ca}, front: func(i *oidctest.Issuer) {
			if f, err = front.NewHTTP2(i); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(f.Close)
			if err := os.WriteFile(ca, f.CA, 0o644); err != nil {
				t.Fatal(err)
			}
			i.Behind(f.Base)
		}})
	}()
	for _, test := range []struct {
		name   string
		manner front.Manner
	}{
		{"good", front.Good}, {"GOAWAY before", front.GoAway}, {"GOAWAY after the first", front.GoAwayAfter},
		{"REFUSED_STREAM", front.Refuse}, {"REFUSED_STREAM after the first", front.RefuseAfter},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.t = t
			r.restore()
			f.Forget()
			f.Treat(test.manner)
			e := r.get(nil, "--timeout", "5s")
			posts := f.POSTs()
			f.Treat(front.Good)
			next := r.get(nil)
			if len(posts) != 1 || e.Code != 0 {
				t.Errorf("%d POSTs arrived, want 1 and a token: %s", len(posts), e)
			}
			if next.Code != 0 || len(r.spent.Twice()) > 0 {
				t.Errorf("spent %s, next: %s", tell(r.spent.All()), next)
			}
			if len(posts) > 0 && posts[0].Proto != "HTTP/1.1" {
				t.Errorf("it spoke %s", posts[0].Proto)
			}
		})
	}
}

// cutterRig has small tokens, so that every byte can be a place to cut.
func cutterRig(t *testing.T) (*rig, *front.Cutter) {
	t.Helper()
	var f *front.Cutter
	r := newRig(t, "file", rigOptions{
		issuer: []oidctest.Option{oidctest.AccessTokens(oidctest.Opaque), oidctest.OpaqueRefreshTokens()}, scope: "offline_access",
		front: func(i *oidctest.Issuer) {
			var err error
			if f, err = front.NewCutter(i); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(f.Close)
			i.Behind(f.Base)
		},
	})
	return r, f
}

// TestSpendingFront_everyByte closes the connection after each byte of the request and
// of the answer. One POST leaves. A request that did not arrive whole costs nothing; of
// an answer that did not, the token may be tried once more, and the program says so.
func TestSpendingFront_everyByte(t *testing.T) {
	for _, answer := range []bool{false, true} {
		for _, reset := range []bool{false, true} {
			name := map[bool]string{false: "request", true: "answer"}[answer] + map[bool]string{false: " closed", true: " reset"}[reset]
			t.Run(name, func(t *testing.T) {
				r, f := cutterRig(t)
				f.Forget()
				if e := r.get(nil); e.Code != 0 || len(f.POSTs()) != 1 {
					t.Fatalf("uncut, %d POSTs: %s", len(f.POSTs()), e)
				}
				size := f.POSTs()[0].Bytes
				if answer {
					size = f.AnswerSize()
				}
				step := 1
				if reset {
					step = 7 // a close is seen at each byte
				}
				wrong := map[string][]int{}
				for k := 0; k <= size; k += step {
					for _, words := range cutAt(r, f, front.Cut{Answer: answer, After: k, Reset: reset}, answer && k == size) {
						wrong[words] = append(wrong[words], k)
					}
				}
				t.Logf("%d bytes", size)
				for _, words := range slices.Sorted(maps.Keys(wrong)) {
					t.Errorf("%s: after %d of %d cuts, as after byte %d and %d", words, len(wrong[words]), size/step+1, wrong[words][0], wrong[words][len(wrong[words])-1])
				}
				if size < 300 {
					t.Errorf("%d bytes are too few for a POST or its answer", size)
				}
			})
		}
	}
}

// cutAt does one cut, and says what is wrong then.
func cutAt(r *rig, f *front.Cutter, cut front.Cut, whole bool) (wrong []string) {
	r.restore()
	f.Forget()
	f.Set(&cut)
	e := r.get(nil, "--timeout", "5s")
	f.Set(nil)
	posts, spent := f.POSTs(), r.spent.All()
	next := r.get(nil)
	twice := len(r.spent.Twice())
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if len(posts) != 1 {
		say("%d POSTs arrived", len(posts))
	}
	// Cut behind the refresh token, the answer has no good access token (7), and the
	// refresh token is kept.
	kept := e.Code == 7 && cut.Answer && next.Code == 0 && twice == 0
	switch {
	case e.Hung || e.Signal != 0 || e.Code != 0 && e.Code != 6 && !kept || e.Code != 0 && e.Stdout != "":
		say("exit %d, stdout %q", e.Code, e.Stdout)
	case e.Code != 0 && len(posts) > 0 && (strings.Contains(e.Stderr, "nothing stored was touched") || strings.Contains(e.Stderr, "othing was spent")):
		say("it says that nothing was spent, though bytes left")
	}
	arrived := len(spent) > 0
	switch {
	case !arrived && next.Code != 0:
		say("the issuer got no whole request, and the next get ends with %d", next.Code)
	case arrived && whole && (e.Code != 0 || next.Code != 0 || twice > 0):
		say("all arrived, and get ends with %d, the next with %d, %d tokens sent twice", e.Code, next.Code, twice)
	case arrived && len(r.spent.All()) > 2:
		say("the issuer got %d requests: %s", len(r.spent.All()), tell(r.spent.All()))
	case next.Code != 0 && next.Code != 4 && next.Code != 6:
		say("the next get ends with %d", next.Code)
	}
	return wrong
}

// TestSpendingFront_refused: where no byte of the request left, it may be sent again.
func TestSpendingFront_refused(t *testing.T) {
	r, f := cutterRig(t)
	r.restore()
	f.Forget()
	f.Shut()
	time.AfterFunc(700*time.Millisecond, func() {
		if err := f.Open(); err != nil {
			t.Error(err)
		}
	})
	e := r.get(nil, "--timeout", "5s")
	posts := len(f.POSTs())
	switch {
	case e.Code == 0 && posts == 1:
	case e.Code == 6 && posts == 0:
	default:
		t.Errorf("%d POSTs arrived: %s", posts, e)
	}
	time.Sleep(800 * time.Millisecond)
	if next := r.get(nil); next.Code != 0 || len(r.spent.Twice()) > 0 {
		t.Errorf("spent %s, next: %s", tell(r.spent.All()), next)
	}
	t.Logf("exit %d after %s, %d POSTs", e.Code, e.Took.Round(time.Millisecond), posts)
}
