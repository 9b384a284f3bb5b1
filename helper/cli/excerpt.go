package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/terradue/t2-cred/helper/safefile"
)

// largeConfig is from where on, in bytes, reading all of a configuration would
// cost more than a cached get.
const largeConfig = 8 << 10

// An excerpt is what one profile needs of a large configuration: its head and
// that profile's table, read as strictly as ever. The tables of the others are
// not looked at. It is kept beside the issuers' documents, so that a get costs the
// same with one profile and with ten thousand, and is good as long as the
// configuration is the same file, unchanged.
type excerpt struct {
	path, profile string // of the configuration; "" for the default one
	file          string // where it is kept
}

// settled is how old a configuration must be before an excerpt of it is kept: one
// that is written twice within the clock's step looks unchanged.
const settled = 2 * time.Second

func (a *app) excerptOf(path, profile string) (excerpt, error) {
	if profile != "" && !isProfileName(profile) {
		return excerpt{}, fs.ErrInvalid
	}
	dir, err := a.userDir("XDG_CACHE_HOME", ".cache", "LOCALAPPDATA", "Caches")
	sum := sha256.Sum256([]byte(path))
	name := "config-" + hex.EncodeToString(sum[:8]) + "-" + profile + ".toml"
	return excerpt{path, profile, filepath.Join(dir, "config", name)}, err
}

// kept is the excerpt that was kept of this file; nil when there is none.
func (e excerpt) kept(info fs.FileInfo) *config {
	text, err := safefile.Read(e.file, safefile.Want{Max: maxConfig})
	if err != nil || !bytes.HasPrefix(text, e.mark(info)) {
		return nil
	}
	c, err := decodeConfig(e.path, text)
	if err != nil || len(c.Profiles) != 1 {
		return nil
	}
	return c
}

// mark is the first line of an excerpt, a comment that names the file as it was.
func (e excerpt) mark(info fs.FileInfo) []byte {
	return fmt.Appendf(nil, "# %s %d %d %s\n", e.path, info.Size(), info.ModTime().UnixNano(), inode(info))
}

// keep writes the excerpt. Failing costs the next get a look at the whole file.
func (e excerpt) keep(info fs.FileInfo, text []byte, now time.Time) {
	if age := now.Sub(info.ModTime()); age < settled || inode(info) == "" || bytes.ContainsAny([]byte(e.path), "\r\n") {
		return
	}
	if os.MkdirAll(filepath.Dir(e.file), 0o700) == nil {
		_ = replaceFile(e.file, append(e.mark(info), text...))
	}
}

// loadExcerpt is the configuration less all profiles but one, the named or the
// default one; nil for a small file, and when lines alone do not tell.
func (a *app) loadExcerpt(path, profile string) *config {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= largeConfig {
		return nil
	}
	e, err := a.excerptOf(path, profile)
	if err != nil {
		return nil
	}
	if c := e.kept(info); c != nil {
		return c
	}
	text, err := safefile.Read(path, safefile.Want{Max: maxConfig})
	if err != nil {
		return nil
	}
	c := onlyProfile(path, text, profile)
	// What was read is of the file that was looked at, unless that has changed since.
	if after, err := os.Stat(path); c != nil && err == nil && bytes.Equal(e.mark(after), e.mark(info)) {
		e.keep(info, c.text, a.Now())
	}
	return c
}

// onlyProfile cuts the excerpt out of a configuration's text; nil when that cannot
// be told by looking at the lines.
func onlyProfile(path string, text []byte, name string) *config {
	if bytes.Contains(text, []byte(`"""`)) || bytes.Contains(text, []byte("'''")) {
		return nil // a line in a string may look like a table's
	}
	var kept []byte
	inHead, inTable := true, false
	for line := range bytes.Lines(text) {
		if table := bytes.TrimSpace(line); len(table) > 0 && table[0] == '[' {
			if inHead && name == "" {
				head, err := decodeConfig(path, kept)
				if err != nil || head.DefaultProfile == "" {
					return nil
				}
				name = head.DefaultProfile
			}
			inHead, inTable = false, string(table) == "[profiles."+name+"]"
		}
		if inHead || inTable {
			kept = append(kept, line...)
		}
	}
	c, err := decodeConfig(path, kept)
	if err != nil || len(c.Profiles) != 1 {
		return nil // the whole file says what is wrong, and on which line
	}
	return c
}
