package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRecipe_jobServerUnits has systemd's own tools judge the units of contrib/systemd,
// and encrypt the credential as the page says.
func TestRecipe_jobServerUnits(t *testing.T) {
	analyze := needTool(t, "server", "systemd-analyze")
	dir := t.TempDir()
	for _, name := range []string{"ades-stage-out@.service", "ades-stage-out@.timer"} {
		unit := strings.NewReplacer("/usr/local/lib/ades", dir).Replace(readTop(t, "contrib/systemd/"+name))
		writeIn(t, dir, strings.Replace(name, "@.", "@job-4711.", 1), unit)
	}
	writeIn(t, dir, "stage-out", readTop(t, "contrib/ades/stage-out"))
	if err := os.Chmod(filepath.Join(dir, "stage-out"), 0o700); err != nil {
		t.Fatal(err)
	}
	service, timer := filepath.Join(dir, "ades-stage-out@job-4711.service"), filepath.Join(dir, "ades-stage-out@job-4711.timer")
	// It succeeds, and has nothing to say of ours: an unknown directive is a warning only.
	if out := output(t, analyze, "verify", service, timer); strings.Contains(out, "ades-stage-out") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	writeIn(t, dir, "ades-stage-out@broken.service", strings.Replace(readTop(t, "contrib/systemd/ades-stage-out@.service"), "\nUser=", "\nUsr=", 1))
	if out, _ := exec.Command(analyze, "verify", filepath.Join(dir, "ades-stage-out@broken.service")).CombinedOutput(); !strings.Contains(string(out), "'Usr'") {
		t.Errorf("a wrong directive is not seen: this shows nothing: %s", out)
	}
	// In tenths: 1.4 is what the network costs. It fails above the threshold.
	out := output(t, analyze, "security", "--offline=yes", "--no-pager", "--threshold=15", service)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	t.Log(lines[len(lines)-1])
	page := readTop(t, "docs/recipes/systemd.md")
	if said := regexp.MustCompile(`exposure ([0-9.]+)`).FindStringSubmatch(page); said == nil || !strings.Contains(lines[len(lines)-1], ": "+said[1]+" OK") {
		t.Errorf("the page says exposure %q, systemd %s", said, lines[len(lines)-1])
	}
	if broken, err := exec.Command(analyze, "security", "--offline=yes", "--no-pager", "--threshold=1", service).CombinedOutput(); err == nil {
		t.Errorf("a threshold of 0.1 is met: this shows nothing: %s", broken)
	}
	encryptsAsSaid(t, snippets(t, "recipes/systemd.md", "sh"))
}

// encryptsAsSaid runs the page's systemd-creds, with a key of the test's own in the
// place of the machine's, and reads the credential back.
func encryptsAsSaid(t *testing.T, blocks []string) {
	t.Helper()
	creds := needTool(t, "server", "systemd-creds")
	dir := t.TempDir()
	t.Setenv("SYSTEMD_CREDENTIAL_SECRET", filepath.Join(dir, "host-key"))
	writeIn(t, dir, "identity", "the identity")
	for line := range strings.Lines(strings.Join(blocks, "")) {
		if strings.HasPrefix(line, "systemd-creds encrypt ") {
			args := strings.Fields(strings.ReplaceAll(line, "/etc/t2-cred", dir))[1:]
			output(t, creds, append([]string{"--with-key=host"}, args...)...)
		}
	}
	if got := output(t, creds, "decrypt", "--name=t2-cred-identity", filepath.Join(dir, "identity.cred"), "-"); got != "the identity" {
		t.Errorf("decrypted: %q", got)
	}
}

func writeIn(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// output is what a command says that must succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}
