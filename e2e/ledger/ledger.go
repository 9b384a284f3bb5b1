// Package ledger remembers every secret that was made and every byte that the
// program under test printed or left on disk, and finds one in the other.
package ledger

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Kind says what a secret is, and so where it may be seen.
type Kind string

// The kinds. Only an access token may ever be printed, and only where the caller
// of [Ledger.Output] says that it is the product.
const (
	Access  Kind = "access token"
	Refresh Kind = "refresh token"
	ID      Kind = "ID token"
	Subject Kind = "user's token" // what is exchanged
	Client  Kind = "client secret"
	Other   Kind = "secret"
)

// Ledger is safe for use by many goroutines. A nil *Ledger remembers nothing.
type Ledger struct {
	mu      sync.Mutex
	secrets map[string]Kind // by each form that gives the secret away
	outputs map[output]string
}

// output is what was printed, in pieces long enough to be a secret: most outputs
// are alike, and a piece is searched once.
type output struct {
	piece   string
	product bool
}

// New makes an empty ledger.
func New() *Ledger {
	return &Ledger{secrets: map[string]Kind{}, outputs: map[output]string{}}
}

// shortest is the shortest form that is searched for: shorter ones would be found
// by chance.
const shortest = 16

// Add remembers a secret and the forms that give it away: as it is, its base64 and
// URL encodings, and, of a JWT, the payload and the signature alone.
func (l *Ledger) Add(kind Kind, secret string) {
	if l == nil || secret == "" {
		return
	}
	forms := []string{secret, url.QueryEscape(secret)}
	if p := strings.Split(secret, "."); len(p) == 3 && strings.HasPrefix(secret, "eyJ") {
		forms = append(forms, p[1], p[2])
	} else {
		// The three ways in which the bytes can lie in a longer text, less the
		// characters that depend on their neighbours.
		for shift := range 3 {
			enc := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
			forms = append(forms, strings.Trim(enc[(shift*8+5)/6:len(enc)-1], "="))
		}
	}
	// Outputs are looked at in pieces, so a secret with other characters in it is
	// known by its longer pieces.
	forms = append(forms, pieces.FindAllString(secret, -1)...)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range forms {
		if len(f) < shortest {
			continue
		}
		// A token that is told again keeps its first kind: a refresh answers with
		// what may have been known as a user's token before.
		if _, known := l.secrets[f]; !known {
			l.secrets[f] = kind
		}
	}
}

// Kind is what a secret was added as.
func (l *Ledger) Kind(secret string) (Kind, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.secrets[secret]
	return k, ok
}

// pieces are runs of characters that secrets are made of.
var pieces = regexp.MustCompile(`[A-Za-z0-9_.~+/=%-]{16,}`)

// Output remembers what was printed, or written to a file. where says by whom, for
// the report. product is true where an access token is what was asked for.
func (l *Ledger) Output(where, text string, product bool) {
	if l == nil {
		return
	}
	found := pieces.FindAllString(text, -1)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range found {
		o := output{p, product}
		if _, known := l.outputs[o]; !known {
			l.outputs[o] = where
		}
	}
}

// Tree remembers the content of all files under dir.
func (l *Ledger) Tree(where, dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) || err == nil && !e.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		l.Output(fmt.Sprintf("%s, file %s", where, strings.TrimPrefix(path, dir)), string(b), false)
		l.Output(fmt.Sprintf("%s, name of %s", where, strings.TrimPrefix(path, dir)), e.Name(), false)
		return nil
	})
}

// Leaks tells every secret that was seen where it does not belong, without showing
// the secret.
func (l *Ledger) Leaks() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]bool{}
	for o, where := range l.outputs {
		if kind, exact := l.secrets[o.piece]; exact {
			if !o.product || kind != Access {
				found[fmt.Sprintf("%s: %s", where, kind)] = true
			}
			continue
		}
		for form, kind := range l.secrets {
			if strings.Contains(o.piece, form) && (!o.product || kind != Access) {
				found[fmt.Sprintf("%s: %s", where, kind)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Size tells how many forms of secrets and pieces of output are remembered, so
// that a test can see that the search was not of nothing.
func (l *Ledger) Size() (secrets, outputs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.secrets), len(l.outputs)
}
