// Package docs has a test of the prose in this repository.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxWords is how long a sentence may be.
const maxWords = 30

// allowed are the beginnings of sentences that may be longer. There are at most twenty.
func allowed() []string {
	return []string{
		"git 2.39.5, crane 0.22.1,", // a list of versions
		"Identity tells a token", "For RSA that is RS256,", "wellFormed refuses what", "Claims that decide something",
		"A whole item name then", "The error is of a store", "go-keyring itself would ask", "A grant that it made keeps",
		"cacheToken keeps t in", "A cached token and the head of a note", "A process whose session is not", "It is kept even when the access",
	}
}

// worn are constructions that a reader has to read twice.
func worn() []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, pattern := range []string{
		`\b(?:for|of|to|by|from|with|than|as) who\b`, // a relative clause without its noun
		`\b(?:for|of|to|by|from|with|than|as) what (?:is|was|are|were|has|had|lies|lay|came|comes|cannot|can)\b`,
		`^who [a-z]+s\b[^?]*$`, // "Who fills in the profile demands …"
		`\bwho holds it is\b`, `\bbut for\b`, `\b(?:is|are) no more\b`, `\b(?:less|more) than nothing\b`,
		`\bby (?:your|our|its|their) (?:asking|saying|doing)\b`, `\bin clear but by\b`, `\bthat says otherwise\b`, `\bby whose word\b`,
		`\bnot un(?:able|available|common|known|like|usual)`,          // a double negation
		`^(?:was|were|had|should) (?:the|a|an|it|they|there)\b[^?]*$`, // an inversion for a condition
	} {
		all = append(all, regexp.MustCompile(pattern))
	}
	return all
}

// TestProse_sentencesAreShort reads each Markdown page, each comment, each help text, and
// each message with its hint, and wants sentences of at most maxWords words. It reads all
// that people read, so that no kind of text can drop out unseen.
func TestProse_sentencesAreShort(t *testing.T) {
	exceptions, patterns := allowed(), worn()
	if len(exceptions) > 20 {
		t.Errorf("%d exceptions, at most 20 are allowed", len(exceptions))
	}
	used, sentences := map[string]bool{}, 0
	texts := map[string][]string{}
	walk(t, "..", func(path string) {
		switch filepath.Ext(path) {
		case ".md":
			texts[path] = paragraphsOfMarkdown(read(t, path))
			if strings.HasSuffix(path, "messages.md") {
				texts[path] = append(texts[path], messagesOf(read(t, path))...)
			}
		case ".go":
			texts[path] = paragraphsOfGo(t, path)
		}
	})
	for path, paragraphs := range texts {
		for _, paragraph := range paragraphs {
			for _, sentence := range sentencesOf(paragraph) {
				sentences++
				for _, pattern := range patterns {
					if phrase := pattern.FindString(strings.ToLower(sentence)); phrase != "" {
						t.Errorf("%s: %q is hard to read: %s", path, phrase, sentence)
					}
				}
				if n := wordsIn(sentence); n > maxWords {
					begins := func(beginning string) bool { return strings.HasPrefix(sentence, beginning) }
					if i := slices.IndexFunc(exceptions, begins); i >= 0 {
						used[exceptions[i]] = true
						continue
					}
					t.Errorf("%s: %d words, at most %d: %s", path, n, maxWords, sentence)
				}
			}
		}
	}
	for _, e := range exceptions {
		if !used[e] {
			t.Errorf("no long sentence begins with %q any more: remove the exception", e)
		}
	}
	for _, path := range []string{
		"README.md", "CONTRIBUTING.md", "CHANGELOG.md", ".github/SECURITY.md", "docs/using.md", "docs/messages.md", "docs/hooks/git.md",
		"docs/recipes/mail.md", "docs/spec/README.md", "contrib/python/README.md", "helper/cli/get.go", "e2e/cmd/demo/main.go",
	} {
		if len(texts[filepath.Join("..", path)]) == 0 {
			t.Errorf("%s was not read", path)
		}
	}
	if n := len(messagesOf(read(t, "messages.md"))); n < 500 {
		t.Errorf("only %d messages and hints were read", n)
	}
	if sentences < 2000 {
		t.Errorf("only %d sentences were found: this shows nothing", sentences)
	}
}

// TestReadme_isShort: the README fits three screens of a desk, its pictures included.
func TestReadme_isShort(t *testing.T) {
	if lines := strings.Count(read(t, "../README.md"), "\n"); lines > 140 {
		t.Errorf("README.md has %d lines, at most 140", lines)
	}
}

// TestProse_findsLongSentences shows that the test above can fail.
func TestProse_findsLongSentences(t *testing.T) {
	long := strings.Repeat("word ", maxWords) + "end."
	page := "# Title\n\n| a | b |\n|---|---|\n| short | " + long + " |\n\n- one\n- " + long + "\n\n```\n" + long + "\n```\n\nShort. " + long + "\n"
	found := 0
	for _, p := range paragraphsOfMarkdown(page) {
		for _, s := range sentencesOf(p) {
			if wordsIn(s) > maxWords {
				found++
			}
		}
	}
	if found != 3 { // the cell, the bullet and the paragraph; never the block of code
		t.Errorf("%d long sentences found, want 3", found)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// walk visits the files of the repository that people read or write.
func walk(t *testing.T, top string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "bin" || name == "testdata" || name == ".git" || name == "node_modules"):
			return fs.SkipDir
		case !d.IsDir() && !strings.HasSuffix(name, "_test.go"):
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	item     = regexp.MustCompile(`^\s*(?:[-*]|\d+\.) `)
	link     = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	code     = regexp.MustCompile("`[^`]*`")
	ends     = regexp.MustCompile(`[.!?:]["*')]*(?:\s+|$)`)
	rule     = regexp.MustCompile(`^[|\s:-]+$`)
	abridged = strings.NewReplacer("e.g. ", "eg ", "i.e. ", "ie ", "etc. ", "etc ")
)

// paragraphsOfMarkdown are the paragraphs, bullets and cells of a page, without blocks
// of code.
func paragraphsOfMarkdown(page string) (all []string) {
	var now []string
	flush := func() { all, now = append(all, strings.Join(now, " ")), nil }
	inCode := false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			flush()
			inCode = !inCode
		case inCode:
		case line == "" || strings.HasPrefix(line, "#"):
			flush()
		case strings.HasPrefix(line, "|"):
			flush()
			if !rule.MatchString(line) {
				all = append(all, strings.Split(strings.ReplaceAll(line, `\|`, "/"), "|")...)
			}
		case item.MatchString(line + " "):
			flush()
			now = []string{item.ReplaceAllString(line, "")}
		default:
			now = append(now, line)
		}
	}
	flush()
	return all
}

var message = regexp.MustCompile("`` (.*?) ``")

// messagesOf are the messages and hints of their list, which it has as code.
func messagesOf(page string) (all []string) {
	for _, cell := range message.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(cell[1], `\|`, "|"))
	}
	return all
}

// paragraphsOfGo are those of a file's doc comments, and of its help texts: the fields
// Long and Short.
func paragraphsOfGo(t *testing.T, path string) (all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	add := func(text string) {
		var now []string
		for line := range strings.Lines(text + "\n\n") {
			plain := strings.TrimSpace(line)
			switch {
			case plain == "" || item.MatchString(plain+" "):
				all, now = append(all, strings.Join(now, " ")), nil
				if plain != "" {
					now = []string{item.ReplaceAllString(plain, "")}
				}
			case strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "  ") && len(now) == 0:
			default:
				now = append(now, plain)
			}
		}
	}
	for _, group := range file.Comments {
		add(group.Text())
	}
	ast.Inspect(file, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, isName := pair.Key.(*ast.Ident)
		text, isText := pair.Value.(*ast.BasicLit)
		if isName && isText && (key.Name == "Long" || key.Name == "Short") {
			add(strings.Trim(text.Value, "`\""))
		}
		return true
	})
	return all
}

// sentencesOf splits where a sentence ends, and at a colon. A list of versions that were
// tried is no sentence.
func sentencesOf(paragraph string) (all []string) {
	if strings.HasPrefix(strings.TrimLeft(paragraph, "* "), "Tried") {
		return nil
	}
	plain := link.ReplaceAllString(paragraph, "$1")
	plain = abridged.Replace(code.ReplaceAllString(plain, "code"))
	for {
		at := ends.FindStringIndex(plain)
		if at == nil {
			return append(all, strings.TrimSpace(plain))
		}
		all, plain = append(all, strings.TrimSpace(plain[:at[1]])), plain[at[1]:]
	}
}

func wordsIn(sentence string) int { return len(strings.Fields(sentence)) }
