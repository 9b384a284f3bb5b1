// Command picture draws docs/pictures/session.svg: a terminal session of the real binary,
// named by T2_CRED_BIN, with an issuer of its own on loopback. The same program gives the
// same picture.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

func main() {
	text, err := record(context.Background(), os.Getenv("T2_CRED_BIN"))
	if err == nil {
		err = os.WriteFile(os.Args[1], draw(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// script is what is typed. A comment stands for the time between.
var script = []string{
	"t2-cred exchange --token-file user.jwt   # Alice is logged in",
	"# Alice logs out and goes home",
	"t2-cred get --format header | cut -c 1-40   # any time later",
	"t2-cred status | grep -E '^(account|kind|state|subject)'",
}

// record types the script into a shell and returns the session.
func record(ctx context.Context, binary string) (string, error) {
	if binary == "" {
		return "", errors.New("T2_CRED_BIN names no binary; run it by make pictures")
	}
	issuer, err := oidctest.Start(oidctest.Lifespan(5 * time.Minute))
	if err != nil {
		return "", err
	}
	defer issuer.Close()
	dir, err := os.MkdirTemp("", "t2-cred-picture-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, text := range map[string]string{"client-secret.txt": issuer.ClientSecret(), "user.jwt": issuer.UserToken("alice")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			return "", err
		}
	}
	env := []string{"PATH=" + filepath.Dir(binary) + ":/usr/bin:/bin", "HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "T2_CRED_STORE=file"}
	run := func(line string) (string, error) {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
		cmd.Dir, cmd.Env = dir, env
		var b bytes.Buffer
		cmd.Stdout, cmd.Stderr = &b, &b
		err := cmd.Run()
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s", line, err, b.String())
		}
		return b.String(), err
	}
	if _, err := run("t2-cred store init && t2-cred profile add gep --issuer " + issuer.URL() + " --client-id " + oidctest.ClientID +
		" --audience " + oidctest.ClientID + " --host git.example.org --client-secret-file client-secret.txt"); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, line := range script {
		fmt.Fprintf(&b, "$ %s\n", line)
		if strings.HasPrefix(line, "# Alice logs out") {
			issuer.Logout("alice")
			continue
		}
		out, err := run(line)
		if err != nil {
			return "", err
		}
		b.WriteString(out)
	}
	return b.String(), nil
}

const (
	lineHeight = 20
	charWidth  = 8.43
	margin     = 16
	barHeight  = 30
)

// draw makes the picture of a session, for light and for dark.
func draw(text string) []byte {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	longest := 0
	for _, line := range lines {
		longest = max(longest, utf8.RuneCountInString(line))
	}
	width, height := int(float64(longest)*charWidth)+2*margin, len(lines)*lineHeight+barHeight+2*margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t">
<title id="t">A terminal session: exchange, get, status</title>
<style>
:root{--bg:#f6f8fa;--bar:#d0d7de;--ink:#1f2328;--soft:#57606a;--hot:#0f766e}
@media (prefers-color-scheme:dark){:root{--bg:#161b22;--bar:#30363d;--ink:#e6edf3;--soft:#9da7b3;--hot:#5eead4}}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:var(--soft);white-space:pre}
.c{fill:var(--ink);font-weight:600}.p{fill:var(--hot)}.n{fill:var(--soft);font-weight:400}
</style>
<rect width="%d" height="%d" rx="8" fill="var(--bg)" stroke="var(--bar)"/>
<path d="M0 8a8 8 0 0 1 8-8h%da8 8 0 0 1 8 8v%dH0z" fill="var(--bar)"/>
`, width, height, width, height, width, height, width-16, barHeight-8)
	for n := range 3 {
		fmt.Fprintf(&b, "<circle cx=\"%d\" cy=\"%d\" r=\"5\" fill=\"var(--soft)\"/>\n", 20+18*n, barHeight/2)
	}
	for n, line := range lines {
		y := barHeight + margin + lineHeight*n + 14
		command, isCommand := strings.CutPrefix(line, "$ ")
		if !isCommand {
			fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", margin, y, html.EscapeString(line))
			continue
		}
		before, note, noted := strings.Cut(command, "#")
		if noted {
			note = `<tspan class="n">#` + html.EscapeString(note) + `</tspan>`
		}
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" xml:space=\"preserve\" class=\"c\"><tspan class=\"p\">$ </tspan>%s%s</text>\n", margin, y, html.EscapeString(before), note)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
