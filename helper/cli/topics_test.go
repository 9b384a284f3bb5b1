package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/store"
)

func words(entries []entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.word)
	}
	slices.Sort(all)
	return all
}

// TestTopics_haveEveryKey compares the topics with the code.
func TestTopics_haveEveryKey(t *testing.T) {
	keys := func(of any) (all []string) {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			if tag, _, _ := strings.Cut(f.Tag.Get("toml"), ","); tag != "" {
				all = append(all, tag)
			}
		}
		slices.Sort(all)
		return all
	}
	if got, want := words(keysOfProfile()), keys(profileConfig{}); !slices.Equal(got, want) {
		t.Errorf("keys of a profile: %q, not %q", got, want)
	}
	if got, want := words(configurationKeys()), keys(handConfig{}); !slices.Equal(got, want) {
		t.Errorf("keys of config.toml: %q, not %q", got, want)
	}
	for _, name := range store.Backends() {
		if aboutStores()[name] == "" {
			t.Errorf("nothing is said about the store %s", name)
		}
	}
}

// TestTopics_haveEveryVariable looks for the variables that the source asks for.
func TestTopics_haveEveryVariable(t *testing.T) {
	topic := environmentTopic(Commands())
	ask := regexp.MustCompile(`"(T2_CRED_[A-Z_]+)"`)
	found := 0
	for _, dir := range []string{"../../helper", "../../store"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range ask.FindAllStringSubmatch(string(text), -1) {
				found++
				if !strings.Contains(topic, m[1]+" ") {
					t.Errorf("help environment lacks %s, which %s reads", m[1], path)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 8 {
		t.Errorf("only %d variables were found in the source", found)
	}
}

// TestHelp_hasEveryFormat compares the help of get and write with the values of --format.
func TestHelp_hasEveryFormat(t *testing.T) {
	for _, verb := range []string{"get", "write"} {
		cmd, _, err := Commands().Find([]string{verb})
		if err != nil {
			t.Fatal(err)
		}
		for name := range formats {
			if !strings.Contains(cmd.Long, "\n  --format "+name+" ") {
				t.Errorf("the help of %s does not show --format %s", verb, name)
			}
		}
	}
}

// TestHelp_lists has the topics in the list of help, and no long line in any of them.
func TestHelp_lists(t *testing.T) {
	h := newHome(t)
	if code := h.run("help"); code != exitOK || !strings.Contains(h.stdout.String(), "Additional help topics:") {
		t.Errorf("help: %d, %s", code, h.stdout.String())
	}
	for _, name := range []string{"exit-codes", "environment", "configuration", "stores"} {
		if !strings.Contains(h.stdout.String(), "t2-cred "+name) {
			t.Errorf("help does not list %s", name)
		}
	}
	for _, c := range []struct{ topic, want string }{
		{"exit-codes", "130  interrupted"}, {"environment", "T2_CRED_TIMEOUT"}, {"configuration", "client_cert_file"}, {"stores", "t2-cred store init --use"},
	} {
		if code := h.run("help", c.topic); code != exitOK || !strings.Contains(h.stdout.String(), c.want) {
			t.Errorf("help %s: %d, %s", c.topic, code, h.stdout.String())
		}
		for line := range strings.Lines(h.stdout.String()) {
			if len(line) > 101 {
				t.Errorf("help %s has a line of %d characters: %s", c.topic, len(line), line)
			}
		}
	}
}
