package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/cli"
	"github.com/terradue/t2-cred/helper/hook"
)

func TestPages_allCommandsAndHooks(t *testing.T) {
	pages := source{"1.2.3", "2026-11-24"}.pages()
	for name, want := range map[string][]string{
		"t2-cred.1": {
			`.TH "T2\-CRED" "1" "2026\-11\-24" "t2\-cred 1.2.3"`, `\fB\-\-timeout\fR \fIduration\fR`,
			"how long the command may take until a refresh token is sent (T2_CRED_TIMEOUT) (default 30s)", `\fBt2\-cred\-profile\-add\fR(1)`, ".SH \"EXIT STATUS\"",
		},
		"t2-cred-profile-add.1": {`\fBt2\-cred profile add\fR NAME \-\-issuer URL`, `\fB\-\-client\-secret\-file\fR`, `t2\-cred profile add gep \-\-issuer`},
		"t2-cred-hooks.7":       {`.SH "T2\-CRED GIT"`, `\fBdocker\-credential\-t2\fR`, `[credential "https://git.example.org"]`},
		"t2-cred-git.1":         {`\fBt2\-cred\-hooks\fR(7)`},
		"t2-cred-help.1":        {"NAME"},
	} {
		for _, w := range want {
			if !strings.Contains(pages[name], w) {
				t.Errorf("%s lacks %q:\n%s", name, w, pages[name])
			}
		}
	}
	for _, p := range hook.Protocols {
		if pages["t2-cred-"+p.Name+".1"] == "" || !strings.Contains(pages["t2-cred-hooks.7"], strings.ToUpper(escape(p.Name))) {
			t.Errorf("the hook %s has no page, or none in t2-cred-hooks(7)", p.Name)
		}
	}
	if n := len(below(cli.Commands())); len(pages) != n+2 || n < 25 {
		t.Errorf("%d pages of %d commands", len(pages), n)
	}
}

// TestPages_noWarnings has every page formatted as Debian's lintian does, with all
// warnings.
func TestPages_noWarnings(t *testing.T) {
	man, err := exec.LookPath("man")
	if err == nil {
		_, err = exec.LookPath("groff")
	}
	if err == nil && runtime.GOOS != "linux" {
		err = errors.New("this may be another man")
	}
	if err != nil {
		if os.Getenv("T2_CRED_E2E") == "1" {
			t.Fatalf("man-db and groff-base are missing: run e2e/setup.sh hooks: %v", err)
		}
		t.Skipf("NOT CHECKED: man-db and groff-base are missing: %v", err)
	}
	dir := t.TempDir()
	if err := (source{"1.2.3", "2026-11-24"}).write(dir); err != nil {
		t.Fatal(err)
	}
	// format gives what is said on standard error, and what would be shown.
	format := func(file, locale, device string) (said, shown string) {
		cmd := exec.Command(man, "--warnings=w", "-E", "UTF-8", "-T"+device, "-l", file)
		cmd.Env = append(os.Environ(), "LC_ALL="+locale, "MANROFFSEQ=", "MANWIDTH=80", "MANOPT=", "PAGER=cat", "MANPAGER=cat")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", file, err, errs.String())
		}
		return errs.String(), out.String()
	}
	files, err := filepath.Glob(filepath.Join(dir, "man?", "*.[17]"))
	if err != nil || len(files) < 25 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		said, shown := format(file, "C.UTF-8", "utf8")
		if said != "" {
			t.Errorf("%s: %s", filepath.Base(file), said)
		}
		for _, bad := range []string{".PP", ".TP", `\f`, `\-`} {
			if strings.Contains(shown, bad) {
				t.Errorf("%s shows %q:\n%s", filepath.Base(file), bad, shown)
			}
		}
	}

	// That a bad page is found.
	bad := filepath.Join(dir, "bad.1")
	if err := os.WriteFile(bad, []byte(".TH BAD 1\n.SH NAME\nbad \\- \\[nosuch] page\n.nosuchmacro\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, _ := format(bad, "C.UTF-8", "utf8"); !strings.Contains(said, "nosuch") {
		t.Errorf("a bad page was not found: %q", said)
	}
}

func TestPages_sameBytesAgain(t *testing.T) {
	var all [2]string
	for i := range all {
		dir := t.TempDir()
		if err := (source{"1.2.3", "2026-11-24"}).write(dir); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "man?", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all[i] += filepath.Base(file) + "\n" + string(b)
		}
	}
	if all[0] != all[1] || all[0] == "" {
		t.Error("the same arguments gave different pages")
	}
}

// TestExitCodes_areThePages: the manual and docs/commands.md explain the same exit codes
// in the same words.
func TestExitCodes_areThePages(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(b), "\r\n", "\n")
	_, table, _ := strings.Cut(page, "| exit code |")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Count(table, "\n") - 1
	if codes := cli.ExitCodes(); len(codes) != rows {
		t.Errorf("the manual has %d exit codes, the page %d", len(codes), rows)
	}
	table = strings.ReplaceAll(table, "`", "")
	for _, c := range cli.ExitCodes() {
		if row := strings.Join([]string{"\n|", strconv.Itoa(c.Code), "|", c.Means, "|"}, " "); !strings.Contains(table, row) {
			t.Errorf("the page has no row %q", row)
		}
	}
}
