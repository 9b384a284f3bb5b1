package hint_test

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/terradue/t2-cred/helper/hint"
)

var errKind = errors.New("kind of failure")

func TestError(t *testing.T) {
	cause := errors.New("cause of it")
	for _, tt := range []struct {
		err  *hint.Error
		want string
	}{
		{&hint.Error{Kind: errKind}, "kind of failure"},
		{&hint.Error{Kind: errKind, Detail: "what was seen"}, "what was seen"},
		{&hint.Error{Kind: errKind, Err: cause}, "kind of failure: cause of it"},
		{&hint.Error{Kind: errKind, Detail: "what was seen", Err: cause}, "what was seen: cause of it"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("Error() = %q, want %q", got, tt.want)
		}
		if !errors.Is(tt.err, errKind) || tt.err.Err != nil && !errors.Is(tt.err, cause) {
			t.Errorf("%q does not unwrap to its kind and cause", tt.err)
		}
	}
}

func TestOf_takesTheFirstThatSaysSomething(t *testing.T) {
	quiet := &hint.Error{Kind: errKind}
	inner := &hint.Error{Kind: errKind, Remedy: hint.Say("the inner one")}
	for name, err := range map[string]error{
		"wrapped":                        fmt.Errorf("around: %w", inner),
		"behind one without a remedy":    &hint.Error{Kind: errKind, Err: inner},
		"joined after one without":       errors.Join(quiet, inner),
		"joined in a wrapped multierror": fmt.Errorf("%w and %w", quiet, fmt.Errorf("x: %w", inner)),
	} {
		if got := hint.Of(err).String(); got != "the inner one" {
			t.Errorf("%s: Of = %q", name, got)
		}
	}
	if got := hint.Of(errors.Join(quiet, errKind)); got != nil {
		t.Errorf("Of without a remedy = %q", got)
	}
}

type broken struct{ argv []string }

func (broken) Error() string      { return "broken" }
func (b broken) Repair() []string { return b.argv }

// A leaf says which command mends its error without knowing this package.
func TestOf_takesTheRepairOfALeaf(t *testing.T) {
	err := fmt.Errorf("around: %w", broken{[]string{"chmod", "600", "a b"}})
	if got := hint.Of(err).String(); got != "chmod 600 'a b'" {
		t.Errorf("Of = %q", got)
	}
	if got := hint.Of(broken{}); got != nil {
		t.Errorf("Of without a command = %q", got)
	}
}

func TestRemedy_isComplete(t *testing.T) {
	erase := hint.Run("erase", "--local-only").For("gep", "job-4711")
	r := hint.Do(hint.Words("forget it here: "), erase)
	for _, tt := range []struct {
		globals hint.Globals
		want    string
	}{
		{hint.Globals{}, "forget it here: t2-cred erase --local-only --profile gep --account job-4711"},
		{hint.Globals{Store: "file"}, "forget it here: t2-cred erase --local-only --profile gep --account job-4711 --store file"},
		{
			hint.Globals{Config: "/etc/my config.toml"},
			"forget it here: t2-cred erase --local-only --profile gep --account job-4711 --config '/etc/my config.toml'",
		},
	} {
		if got := r.Text(tt.globals); got != tt.want {
			t.Errorf("Text(%+v) = %q, want %q", tt.globals, got, tt.want)
		}
	}
	other := hint.Do(hint.Run("store", "move").With("--store", "keyring"), hint.Words("; "), hint.Shell("chmod", "600", "a b"))
	if got, want := other.Text(hint.Globals{Store: "file"}), "t2-cred store move --store keyring; chmod 600 'a b'"; got != want {
		t.Errorf("Text = %q, want %q", got, want)
	}
	files := hint.Do(hint.Run("store", "init", "--use")) // which chooses the store itself
	if got, want := files.Text(hint.Globals{Store: "keyring"}), "t2-cred store init --use"; got != want {
		t.Errorf("Text = %q, want %q", got, want)
	}
	if got := hint.Run("get").For("", "default").With("--fresh"); hint.Do(got).String() != "t2-cred get --fresh" {
		t.Errorf("default account and no profile: %q", hint.Do(got))
	}
}

// Commands share no memory: With on one must not change another.
func TestCommand_isAValue(t *testing.T) {
	base := hint.Run("get").For("gep", "alice")
	one, two := base.With("--fresh"), base.With("--json")
	if a, b := hint.Do(one).String(), hint.Do(two).String(); a == b {
		t.Errorf("both are %q", a)
	}
}

// The shell itself says whether a word comes through.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "plain", `x"$(touch P)"`, "it's", "a b", "-n", "~", "#", "ü", "*?[", `\`, "`id`", "$HOME", "\t", "a\nb"} {
		f.Add(s)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Skip("no sh on this system")
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range s {
			if r == 0 {
				return // no argument holds it
			}
		}
		out, err := exec.CommandContext(t.Context(), sh, "-c", "printf %s. "+hint.Quote(s)).Output()
		if err != nil || string(out) != s+"." {
			t.Errorf("Quote(%q) = %s, which sh reads as %q (%v)", s, hint.Quote(s), out, err)
		}
	})
}
