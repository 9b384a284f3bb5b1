package keyring

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/store/backend"
)

// FuzzHead reads any item of the keyring. What is no head of ours is damage, and the
// error does not show it.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{"", "=value", "~value", "!", "#a 0123456789abcdef 2 4000 sum", "#b 0123456789abcdef 99999999999999999999 1 s", "#c x 1 1 s", "hunter2-hunter2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		h, err := parseHead(raw)
		if err != nil {
			if !errors.Is(err, backend.ErrCorrupt) || h.kind != headBad || len(raw) > 60 && strings.Contains(err.Error(), raw) {
				t.Errorf("%q: %v, kind %q", raw, err, h.kind)
			}
			return
		}
		switch h.kind {
		case headWhole, headUnswept:
			if h.value != raw[1:] {
				t.Errorf("%q has the value %q", raw, h.value)
			}
		case headSplit:
			if h.count < 1 || h.count > backend.MaxValue || h.length > backend.MaxValue || h.slot != "a" && h.slot != "b" {
				t.Errorf("%q: %+v", raw, h)
			}
		case headGone:
		default:
			t.Errorf("%q is of kind %q", raw, h.kind)
		}
		if rev := string(h.revision()); rev == "" || len(raw) > 40 && strings.Contains(rev, raw) {
			t.Errorf("%q has the revision %q", raw, rev)
		}
	})
}
