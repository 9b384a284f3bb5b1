package hook

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is not ours and has no keyring to go to is a miss.
func wantMiss(t *testing.T, args ...string) {
	t.Helper()
	g := &toolGetter{hosts: []string{"tool.example.org", "*.wild.example.org"}}
	stdout, stderr, err := runTool(keyring, g, args, nil, "")
	if stdout != "" || stderr != "" || !errors.Is(err, Exit(1)) {
		t.Errorf("%.80q: %q, %q, %v", args, stdout, stderr, err)
	}
}

func TestKeyring_lookalikes(t *testing.T) {
	for _, host := range lookalikes {
		wantMiss(t, "get", host, "alice")
		if !strings.Contains(host, "/tool.example.org") && !strings.ContainsAny(host, "#?/") {
			wantMiss(t, "get", "https://"+host+"/simple/", "alice")
		}
		wantMiss(t, "--mode=creds", "--output=json", "get", host)
		wantMiss(t, "set", host, "alice")
	}
	for _, service := range []string{
		"http://tool.example.org/", "ftp://tool.example.org/", "https:tool.example.org", "//tool.example.org", "https://u@tool.example.org/", "https://u:p@tool.example.org/",
		"https://evil.org/https://tool.example.org/", "https://evil.org?https://tool.example.org/", "://tool.example.org", "login", "my program", "tool.example.org/simple",
	} {
		wantMiss(t, "get", service, "alice")
	}
}

// Calls that are not for us, whatever service they name.
func TestKeyring_otherCalls(t *testing.T) {
	for _, args := range [][]string{
		nil, {"diagnose"}, {"--list-backends"}, {"--disable"}, {"--version"}, {"--print-completion", "bash"}, {"get"}, {"get", "tool.example.org", "a", "b"},
		{"-b", "keyring.backends.null.Keyring", "get", "tool.example.org", "a"}, {"--keyring-backend=x", "get", "tool.example.org", "a"},
		{"get", "tool.example.org", "a", "--mode"}, {"--mode=both", "get", "tool.example.org", "a"}, {"--output", "xml", "get", "tool.example.org", "a"},
		{"GET", "tool.example.org", "a"}, {"get", "tool.example.org", "a\nb"}, {"get", "tool.example.org", "a\x00"}, {"get", strings.Repeat("tool.example.org", 10000), "a"},
	} {
		wantMiss(t, args...)
	}
}

func TestNextKeyring(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("programs are made of #!")
	}
	us, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"us", "none", "plain", "one", "two"} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(path, "keyring")
		err := error(nil)
		switch name {
		case "us":
			err = os.Symlink(us, path)
		case "plain":
			err = os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600)
		case "one", "two":
			err = os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(dir, "one"))
	in := func(names ...string) string {
		for n, name := range names {
			if name != "" && name != "." {
				names[n] = filepath.Join(dir, name)
			}
		}
		return strings.Join(names, ":")
	}
	for _, c := range []struct{ path, tried, want string }{
		{in("us", "one", "two"), "", "one"},
		{in("two", "us", "one"), "", "two"},
		{in("us", "none", "plain"), "", ""},
		{in("us", ".", "", "none"), "", ""},
		{in("us"), "", ""},
		{"", "", ""},
		{in("us", "one", "two"), in("one/keyring"), "two"},
		{in("us", "one", "two"), in("one/keyring", "two/keyring"), ""},
		{in("us", "one"), strings.Repeat("/x:", 40), ""},
	} {
		err := nextKeyring(&Call{Args: []string{"get", "a", "b"}, Getenv: func(name string) string {
			return map[string]string{"PATH": c.path, "T2_CRED_KEYRING_TRIED": c.tried}[name]
		}})
		var next *Next
		switch {
		case c.want == "" && errors.Is(err, Exit(1)):
		case c.want != "" && errors.As(err, &next):
			path := filepath.Join(dir, c.want, "keyring")
			if next.Path != path || !slices.Equal(next.Argv, []string{"keyring", "get", "a", "b"}) || !strings.HasSuffix(next.Value, us+":"+path) {
				t.Errorf("%q, %q: %+v", c.path, c.tried, next)
			}
		default:
			t.Errorf("%q, %q: %v, not %q", c.path, c.tried, err, c.want)
		}
	}
}

// FuzzKeyring: whatever the command line, the answer is the token for our host, a
// refusal, or nothing; a password never leaves by another user's name.
func FuzzKeyring(f *testing.F) {
	f.Add("get\nhttps://tool.example.org/simple/\nalice")
	f.Add("--mode=creds\n--output=json\nget\ntool.example.org")
	f.Add("set\nhttps://tool.example.org.evil.org/\nalice")
	f.Add("--output\nplain\nget\nhttps://u@tool.example.org")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\n")
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, stderr, err := runTool(keyring, g, args, nil, "")
		if g.rejected > 0 || stderr != "" || err != nil && stdout != "" {
			t.Fatalf("%q: %q, %q, %v", args, stdout, stderr, err)
		}
		if err == nil && (!strings.Contains(stdout, "token-1") || strings.Count(stdout, "\n") > 2) {
			t.Fatalf("%q: %q", args, stdout)
		}
		if err != nil && !errors.Is(err, ErrUsage) && !errors.Is(err, Exit(1)) {
			t.Fatalf("%q: %v", args, err)
		}
		if stdout != "" && !strings.Contains(strings.ToLower(line), "tool.example.org") {
			t.Fatalf("%q: a token out of nowhere", args)
		}
	})
}

func keyringWays() []way {
	return []way{
		{name: "keyring get URL", protocol: keyring, call: toArgs("get", "TEXT", "alice"), says: asURL, notMineErr: Exit(1)},
		{name: "keyring get HOST", protocol: keyring, call: toArgs("--mode=creds", "get", "TEXT"), says: asHost, tls: true, notMineErr: Exit(1)},
		{name: "keyring set URL", protocol: keyring, call: toArgs("set", "TEXT", "alice"), says: asURL, notMineErr: Exit(1)},
	}
}
