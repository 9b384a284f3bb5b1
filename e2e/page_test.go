package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

// fencedBlock is a fenced block of a document.
type fencedBlock struct {
	language string
	line     int // of its first line
	text     string
}

func blocksOf(t *testing.T, document string) (blocks []fencedBlock) {
	t.Helper()
	var open *fencedBlock
	for n, line := range strings.Split(document, "\n") {
		fence, fenced := strings.CutPrefix(line, "```")
		switch {
		case fenced && open == nil:
			open = &fencedBlock{language: strings.TrimSpace(fence), line: n + 2}
		case fenced:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("the block at line %d is never closed", open.line)
	}
	return blocks
}

func readTop(t *testing.T, name string) string {
	t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// snippets are the blocks of one language in a page of docs/, with some of its
// words, which it must have, replaced by what they stand for here.
func snippets(t *testing.T, page, language string, oldnew ...string) (blocks []string) {
	t.Helper()
	all := ""
	for _, b := range blocksOf(t, readTop(t, "docs/"+page)) {
		if b.language == language {
			all += b.text
			blocks = append(blocks, strings.NewReplacer(oldnew...).Replace(b.text))
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/%s has no block of %s", page, language)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(all, oldnew[i]) {
			t.Fatalf("docs/%s does not say %s", page, oldnew[i])
		}
	}
	return blocks
}

// block is the first of them.
func block(t *testing.T, page, language string, oldnew ...string) string {
	t.Helper()
	return snippets(t, page, language, oldnew...)[0]
}

// docScript is all that a page of docs/hooks says to type.
func docScript(t *testing.T, page string, oldnew ...string) string {
	t.Helper()
	return strings.Join(snippets(t, "hooks/"+page, "sh", oldnew...), "")
}
