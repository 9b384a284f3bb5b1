package e2e

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestRelease_sameBytesAgain: another directory, umask, time zone, home and language
// change no byte of what is released, all of it compiled again.
func TestRelease_sameBytesAgain(t *testing.T) {
	first := released(t)
	goEnv := func(name string) string {
		return name + "=" + strings.TrimSpace(outputOf(t, exec.Command("go", "env", name)))
	}
	dir := filepath.Join(t.TempDir(), "quite another", "place")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	second, err := makeRelease(context.Background(), place{from: first.tree, dir: dir, umask: "077", env: []string{
		goEnv("GOMODCACHE"), goEnv("GOPROXY"), "HOME=" + t.TempDir(), "GOCACHE=" + t.TempDir(), "TZ=Pacific/Auckland", "LANG=tr_TR.UTF-8", "USER=somebody",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want, got := first.sums(t), second.sums(t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is another one", name)
		}
	}
	if len(want) != len(got) || len(want) < 10 {
		t.Errorf("%d files, and %d the second time", len(want), len(got))
	}
}

// outputOf is what a command prints; it must succeed.
func outputOf(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", cmd, err, exit.Stderr)
		}
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(out)
}

// installDeb installs the package into a root of its own, and gives its path.
func installDeb(t *testing.T, r *release) string {
	t.Helper()
	root := t.TempDir()
	deb := r.artifact(t, "_linux_amd64.deb")
	if os.Getuid() != 0 {
		outputOf(t, exec.Command("dpkg-deb", "-x", deb, root))
		return root
	}
	for _, dir := range []string{"updates", "info", "triggers"} {
		if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outputOf(t, exec.Command("dpkg", "--root="+root, "--log=/dev/null", "-i", deb))
	if out := outputOf(t, exec.Command("dpkg", "--root="+root, "-s", "t2-cred")); !strings.Contains(out, "Status: install ok installed\n") {
		t.Errorf("dpkg -s: %s", out)
	}
	return root
}

// TestRelease_deb: what the package installs, and that it works from there.
func TestRelease_deb(t *testing.T) {
	r := released(t)
	root := installDeb(t, r)
	usr := filepath.Join(root, "usr")
	for file, want := range map[string]string{
		"share/bash-completion/completions/t2-cred":    "__start_t2-cred",
		"share/zsh/vendor-completions/_t2-cred":        "#compdef t2-cred",
		"share/fish/vendor_completions.d/t2-cred.fish": "complete -c t2-cred",
		"share/doc/t2-cred/copyright":                  "github.com/lestrrat-go/jwx/v2",
	} {
		b, err := os.ReadFile(filepath.Join(usr, file))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, or it lacks %q", file, err, want)
		}
	}
	wantModes(t, usr)

	// By each name that a tool calls; keyring is another package's.
	hooks := unpacked(t, filepath.Join(usr, "share/man/man7/t2-cred-hooks.7.gz"))
	aliases := regexp.MustCompile(`Also called as \\fB(\S+)\\fR`).FindAllStringSubmatch(hooks, -1)
	if len(aliases) < 5 {
		t.Errorf("the manual names %q", aliases)
	}
	for _, alias := range aliases {
		name := strings.ReplaceAll(alias[1], `\-`, "-")
		link, err := os.Readlink(filepath.Join(usr, "bin", name))
		if name == "keyring" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Error("there is a /usr/bin/keyring")
			}
			continue
		}
		if err != nil || link != "t2-cred" {
			t.Errorf("/usr/bin/%s leads to %q, %v", name, link, err)
		}
		unpacked(t, filepath.Join(usr, "share/man/man1", name+".1.gz"))
	}
	wantStatic(t, filepath.Join(usr, "bin/t2-cred"), r.tree)
	checkManual(t, filepath.Join(usr, "share/man"))
	checkInstalled(t, usr)
}

// wantModes wants what is installed to be for all to read.
func wantModes(t *testing.T, usr string) {
	t.Helper()
	err := filepath.WalkDir(usr, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o644)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			return nil
		case e.IsDir() || filepath.Base(filepath.Dir(path)) == "bin":
			want = 0o755
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func unpacked(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(b)
}

// wantStatic wants a program that needs no library, and does not say where it was built.
func wantStatic(t *testing.T, path, tree string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is linked dynamically", path)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{tree, os.Getenv("HOME") + "/"} {
		if strings.Contains(string(b), where) {
			t.Errorf("%s names %s", path, where)
		}
	}
}

// checkManual formats each page as lintian does, with all warnings, and wants a page
// for each command that help lists.
func checkManual(t *testing.T, man string) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(man, "man?", "*.gz"))
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	program := needTool(t, "release", "man")
	for _, page := range pages {
		cmd := exec.Command(program, "--warnings=w", "-E", "UTF-8", "-Tutf8", "-Z", "-l", page)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANROFFSEQ=", "MANWIDTH=80", "MANOPT=")
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil || said.Len() > 0 {
			t.Errorf("%s: %v, %s", filepath.Base(page), err, said.String())
		}
	}
	// By name, as a user asks.
	cmd := exec.Command(program, "-M", man, "t2-cred-get")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANPAGER=cat")
	if out := outputOf(t, cmd); !strings.Contains(out, "--min-valid") {
		t.Errorf("man t2-cred-get shows %q", out)
	}
}

// checkInstalled does the main job with what lies in a directory usr.
func checkInstalled(t *testing.T, usr string) {
	t.Helper()
	issuer := oidctest.New()
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	program := &run.Program{Path: filepath.Join(usr, "bin/t2-cred"), Ledger: shared.ledger}
	h := program.NewHome(t).Set("T2_CRED_STORE=file", "PATH="+filepath.Join(usr, "bin")+":"+os.Getenv("PATH"))
	if out := h.Want(0, "version").Stdout; !strings.HasPrefix(out, "t2-cred "+releaseTag+" go1.") {
		t.Errorf("version: %q", out)
	}
	h.Want(0, "store", "init")
	h.Want(0, "profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
		"--scope", keycloak.Scopes, "--host", "git.example.org", "--client-secret-file", secretFile(t, issuer.ClientSecret()))
	h.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: issuer.UserToken("alice")})
	token := h.Want(0, "get").Token()

	// The package's own link is as good as one that setup would make.
	h.Want(0, "setup", "docker", "--write")
	if text := readFile(t, filepath.Join(h.Dir, ".docker/config.json")); !strings.Contains(text, `"git.example.org": "t2"`) {
		t.Errorf("docker was told %s", text)
	}
	h.Want(0, "setup", "docker", "--undo")
	if _, err := os.Lstat(filepath.Join(usr, "bin/docker-credential-t2")); err != nil {
		t.Errorf("setup took the package's link away: %v", err)
	}

	// git finds the helper by its name.
	git := exec.Command("git", "-c", "credential.helper=", "-c", "credential.helper=t2", "credential", "fill")
	git.Env = append(h.Env(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1")
	git.Stdin = strings.NewReader("protocol=https\nhost=git.example.org\n\n")
	if out := outputOf(t, git); token == "" || !strings.Contains(out, "\npassword="+token+"\n") && !strings.Contains(out, "\ncredential="+token+"\n") {
		t.Error("git credential fill gave not the token that get gave")
	}

	// The shells offer the profile.
	for name, script := range map[string]string{
		"bash": `. /usr/share/bash-completion/bash_completion
. "$1/share/bash-completion/completions/t2-cred"
COMP_LINE="t2-cred get --profile "; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_WORDS=(t2-cred get --profile ""); COMP_CWORD=3
__start_t2-cred
printf '%s\n' "${COMPREPLY[@]}"`,
		"fish": `set -gx fish_complete_path "$argv[1]/share/fish/vendor_completions.d"; complete -C "t2-cred get --profile "`,
		"zsh": `fpath=("$1/share/zsh/vendor-completions" $fpath); autoload -Uz compinit; compinit -u -d "$HOME/zcompdump"
[[ $_comps[t2-cred] = _t2-cred ]] && autoload +X _t2-cred && t2-cred __complete get --profile ''`,
	} {
		args := []string{"-c", script}
		switch name {
		case "bash":
			args = []string{"--norc", "-c", script, name}
		case "zsh":
			args = []string{"-f", "-c", script, name}
		}
		cmd := exec.Command(needTool(t, "release", name), append(args, usr)...)
		cmd.Env = h.Env()
		if out := outputOf(t, cmd); !regexp.MustCompile(`(?m)^gep\b`).MatchString(out) {
			t.Errorf("%s offers %q", name, out)
		}
	}
}

// TestRelease_rpm: the other package has the same.
func TestRelease_rpm(t *testing.T) {
	r := released(t)
	rpm := needTool(t, "release", "rpm")
	file := r.artifact(t, "_linux_amd64.rpm")
	list := outputOf(t, exec.Command(rpm, "-qp", "--nosignature", "--qf", "[%{FILENAMES} %{FILELINKTOS}\n]", file))
	for _, want := range []string{
		"/usr/bin/t2-cred \n", "/usr/bin/git-credential-t2 t2-cred\n", "/usr/bin/docker-credential-t2 t2-cred\n",
		"/usr/bin/terraform-credentials-t2 t2-cred\n", "/usr/share/man/man1/t2-cred-get.1.gz \n", "/usr/share/man/man7/t2-cred-hooks.7.gz \n",
		"/usr/share/bash-completion/completions/t2-cred \n", "/usr/share/zsh/site-functions/_t2-cred \n", "/usr/share/licenses/t2-cred/LICENSE \n",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("the package lacks %q:\n%s", want, list)
		}
	}
	head := outputOf(t, exec.Command(rpm, "-qp", "--nosignature", "--qf", "%{NAME} %{VERSION} %{ARCH} %{LICENSE} %{BUILDHOST} %{BUILDTIME}", file))
	if head != "t2-cred 0.9.0 x86_64 Apache-2.0 localhost 1767323045" {
		t.Errorf("the package says %q", head)
	}
}

// TestRelease_archives: what is in them, and that nothing in them or beside them says
// where they were made.
func TestRelease_archives(t *testing.T) {
	r := released(t)
	always := []string{"LICENSE", "README.md", "CHANGELOG.md", "THIRD-PARTY-LICENSES", "man/t2-cred.1", "completions/t2-cred.ps1"}
	tarNames, zipNames := tarOf(t, r.artifact(t, "_linux_amd64.tar.gz")), zipOf(t, r.artifact(t, "_windows_amd64.zip"))
	for _, want := range append(always, "t2-cred") {
		if !slices.Contains(tarNames, want) {
			t.Errorf("the tar file lacks %s: %q", want, tarNames)
		}
	}
	for _, want := range append(always, "t2-cred.exe") {
		if !slices.Contains(zipNames, want) {
			t.Errorf("the zip file lacks %s: %q", want, zipNames)
		}
	}
	if names := readFile(t, filepath.Join(r.dist, "checksums.txt")); strings.Count(names, "\n") < 6 || !strings.Contains(names, "_linux_amd64.deb\n") {
		t.Errorf("the checksums are %s", names)
	}

	var bom struct {
		Format     string `json:"bomFormat"`
		Components []struct{ Name, Version string }
	}
	text := readFile(t, r.artifact(t, "_linux_amd64.cdx.json"))
	if err := json.Unmarshal([]byte(text), &bom); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range bom.Components {
		names = append(names, c.Name)
	}
	for _, want := range []string{"github.com/lestrrat-go/jwx/v2", "github.com/zalando/go-keyring", "filippo.io/age", "std"} {
		if bom.Format != "CycloneDX" || !slices.Contains(names, want) {
			t.Errorf("%s lacks %s: %q", bom.Format, want, names)
		}
	}
	cask, scoop := readFile(t, filepath.Join(r.dist, "homebrew/Casks/t2-cred.rb")), readFile(t, filepath.Join(r.dist, "scoop/t2-cred.json"))
	for _, want := range []string{`version "0.9.0"`, `manpage "man/t2-cred.1"`, `target: "docker-credential-t2"`, `bash_completion "completions/t2-cred.bash"`} {
		if !strings.Contains(cask, want) {
			t.Errorf("the cask lacks %q:\n%s", want, cask)
		}
	}
	if !json.Valid([]byte(scoop)) || !strings.Contains(scoop, `"t2-cred.exe"`) || !strings.Contains(scoop, "t2-cred_0.9.0_windows_amd64.zip") {
		t.Errorf("the manifest is %s", scoop)
	}
	for what, text := range map[string]string{"the list of modules": text, "the cask": cask, "the manifest": scoop} {
		if strings.Contains(text, r.tree) || strings.Contains(text, os.Getenv("HOME")+"/") {
			t.Errorf("%s says where it was made", what)
		}
	}
}

func tarOf(t *testing.T, path string) (names []string) {
	t.Helper()
	for r := tar.NewReader(strings.NewReader(unpacked(t, path))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uname != "root" || h.ModTime.Unix() != 1767323045 {
			t.Errorf("%s is of %q, of %s", h.Name, h.Uname, h.ModTime)
		}
		names = append(names, h.Name)
	}
}

func zipOf(t *testing.T, path string) (names []string) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	return names
}
