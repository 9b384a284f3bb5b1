package setup

import (
	"fmt"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
)

// Show is the change as a diff without context, since the other lines may hold secrets.
// If the change would be refused, Show has the lines to put in by hand.
func (t Tool) Show(e Env, p Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", p.why)
	refused := false
	for _, one := range p.edits {
		refused = !one.show(&b) || refused
	}
	for _, l := range p.links {
		if checkLink(l, e.Program) == nil && isThere(l) {
			fmt.Fprintf(&b, "# %s is a link to t2-cred already\n", l)
		} else {
			fmt.Fprintf(&b, "ln -s %s %s\n", e.Program, l)
		}
	}
	for _, w := range p.warnings {
		fmt.Fprintf(&b, "# warning: %s\n", w)
	}
	b.WriteString(p.show)
	if p.Changes() && !refused {
		again := hint.Run("setup", t.Name).With(e.Typed...)
		fmt.Fprintf(&b, "# %s does it, %s takes it back.\n", hint.Do(again.With("--write")), hint.Do(again.With("--undo")))
	}
	return b.String()
}

// show reports whether --write would make the change.
func (e *edit) show(b *strings.Builder) bool {
	c, err := e.plan(false)
	if c != nil {
		for _, notice := range c.notices {
			fmt.Fprintf(b, "# warning: %s\n", notice)
		}
	}
	switch {
	case err != nil:
		fmt.Fprintf(b, "# --write would leave this file alone: %v. By hand:\n+++ %s\n", err, e.file)
	case e.quiet && c.idle():
		return true
	case c.old == c.text && c.exists:
		fmt.Fprintf(b, "# %s says so already\n", e.file)
		return true
	case !c.exists:
		fmt.Fprintf(b, "--- /dev/null\n+++ %s\n", e.file)
	default:
		fmt.Fprintf(b, "--- %s\n+++ %s\n", e.file, e.file)
	}
	if err == nil && (!e.whole || !c.exists) {
		b.WriteString(changes(c.old, c.text))
		return true
	}
	for _, line := range e.lines {
		fmt.Fprintf(b, "+%s\n", line)
	}
	return err == nil
}

// changes are the lines that differ, in the form of diff --unified=0. The algorithm is
// meant for small changes: it looks for the fewest lines after which both texts agree.
func changes(before, after string) string {
	var b strings.Builder
	old, now := splitLines(before), splitLines(after)
	for i, j := 0, 0; i < len(old) || j < len(now); {
		if i < len(old) && j < len(now) && old[i] == now[j] {
			i, j = i+1, j+1
			continue
		}
		gone, come := meet(old[i:], now[j:])
		fmt.Fprintf(&b, "@@ -%s +%s @@\n", lineRange(i, gone), lineRange(j, come))
		for _, line := range old[i : i+gone] {
			b.WriteString("-" + line + "\n")
		}
		for _, line := range now[j : j+come] {
			b.WriteString("+" + line + "\n")
		}
		i, j = i+gone, j+come
	}
	return b.String()
}

// meet is the smallest number of lines of each text after which both agree.
func meet(old, now []string) (gone, come int) {
	for all := 1; all < len(old)+len(now); all++ {
		for gone := max(0, all-len(now)); gone <= min(all, len(old)); gone++ {
			come := all - gone
			bothEnd := gone == len(old) && come == len(now)
			if bothEnd || gone < len(old) && come < len(now) && old[gone] == now[come] {
				return gone, come
			}
		}
	}
	return len(old), len(now)
}

func lineRange(at, count int) string {
	if count > 0 {
		at++
	}
	return fmt.Sprintf("%d,%d", at, count)
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
}
