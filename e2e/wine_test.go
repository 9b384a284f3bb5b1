package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// wine is a fresh Windows user on Wine, whose name and whose program's directory
// have a space and letters beyond ASCII.
type wine struct {
	*run.Home
	t      *testing.T
	prefix string
	bin    string // where the programs are
}

// startWine builds the program for Windows and makes a Wine of the test's own.
func startWine(t *testing.T) *wine {
	t.Helper()
	wine64 := needTool(t, "wine", "wine/wine64")
	needTool(t, "wine", "wine/wineserver")
	prng := needTool(t, "wine", "wine/bcryptprimitives.dll")
	w := &wine{t: t, prefix: filepath.Join(t.TempDir(), "prefix")}
	w.Home = (&run.Program{Path: wine64, Ledger: shared.ledger}).NewHome(t)
	// What XDG says goes before what Windows says; a Windows user has none of it.
	w.Unset("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "TMPDIR")
	w.Set("WINEPREFIX="+w.prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "USER=Zoë Öz")
	if err := os.Mkdir(w.prefix, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.wine("wineserver", "-k") })
	w.start()
	w.bin = filepath.Join(w.prefix, "drive_c", "Program Files", "T2 Öl")
	if err := os.MkdirAll(w.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, prng, filepath.Join(w.prefix, "drive_c", "windows", "system32", "bcryptprimitives.dll"))
	exe := filepath.Join(w.bin, "t2-cred.exe")
	w.build(exe, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w")
	for _, name := range []string{"docker-credential-t2.exe", "git-credential-t2.exe"} {
		copyFile(t, exe, filepath.Join(w.bin, name))
	}
	return w
}

// start starts Wine's server and services, which would otherwise start with the
// first program and hold its output open.
func (w *wine) start() {
	w.t.Helper()
	w.wine("wineserver", "-p")
	w.wine("wine64", "wineboot")
}

// wine runs a program of Wine's own.
func (w *wine) wine(name string, args ...string) {
	w.t.Helper()
	path, err := parts.Find("wine/" + name)
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = w.Env()
	if err := cmd.Run(); err != nil && args[0] != "-k" { // which ends with 1 when there is none
		w.t.Fatalf("%s: %v", cmd, err)
	}
}

// build cross-builds from the checkout.
func (w *wine) build(out string, args ...string) {
	w.t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		w.t.Fatal(err)
	}
	target := "."
	if args[0] == "test" {
		target = "./store"
	}
	cmd := exec.Command("go", append(args, "-o", out, target)...)
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// exe is a command of the program by the name that it is installed under.
func (w *wine) exe(name, stdin string, args ...string) run.Cmd {
	return run.Cmd{Name: "wine64", Args: append([]string{filepath.Join(w.bin, name+".exe")}, args...), Stdin: stdin}
}

// t2 runs t2-cred.exe and wants its exit code.
func (w *wine) t2(code int, stdin string, args ...string) run.Result {
	w.t.Helper()
	return w.WantDo(code, w.exe("t2-cred", stdin, args...))
}

// user is a path in the Windows user's home.
func (w *wine) user(path ...string) string {
	return filepath.Join(append([]string{w.prefix, "drive_c", "users", "Zoë Öz"}, path...)...)
}

// items are the sizes of what the Windows credential store has of t2-cred, by name.
// Wine keeps it in the user's registry, each value as long as it was given.
func (w *wine) items() map[string]int {
	w.t.Helper()
	w.wine("wineserver", "-k") // which writes it down
	w.wine("wineserver", "-w")
	defer w.start()
	b, err := os.ReadFile(filepath.Join(w.prefix, "user.reg"))
	if err != nil {
		w.t.Fatal(err)
	}
	found := map[string]int{}
	for _, section := range strings.Split(string(b), "\n[")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		_, name, ok := strings.Cut(name, `Credential Manager\\Generic: t2-cred-`)
		if !ok {
			continue
		}
		_, name, _ = strings.Cut(name, ":")
		name, _, _ = strings.Cut(name, "]")
		_, value, _ := strings.Cut(body, `"Password"=hex:`)
		value = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(value, "")
		value, _, _ = strings.Cut(value, "\n")
		found[name] = len(strings.Split(value, ","))
	}
	return found
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err2 := out.Close(); err == nil {
		err = err2
	}
	if err != nil {
		t.Fatal(err)
	}
}
