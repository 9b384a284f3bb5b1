package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// The accounts of a filled home, by user. Carol's grant is dead, and what was last
// got for dave waits in a recovery copy.
const (
	bobsAccount  = "Bob@Example.org/É" // escaped at rest
	davesAccount = "job-4711"
)

// A filledHome is a home in which the old version has left something of everything.
type filledHome struct {
	*compatHome
	sts      *compatSTS
	tokens   map[string]string // by account of gep
	accounts map[string]object
	keys     string // what aws printed
}

func fillHome(t *testing.T, place compatPlace) *filledHome {
	t.Helper()
	sts := newCompatSTS(t)
	f := &filledHome{
		compatHome: newCompatHome(t, place, strings.TrimPrefix(sts.URL, "http://"), oidctest.Lifespan(10*time.Minute)),
		sts:        sts, tokens: map[string]string{},
	}
	sts.issuer = f.issuer
	f.exchange(f.old, "alice")
	f.old.Want(0, "get", "--fresh") // its refresh token is one that was rotated
	f.exchange(f.old, "bob", "--account", bobsAccount)
	f.exchange(f.old, "carol", "--account", "carol")
	f.exchange(f.old, "dave", "--account", davesAccount)
	f.exchange(f.old, "erin", "--profile", "other")
	f.keys = f.old.WantDo(0, f.aws()).Stdout
	f.die("carol")
	f.leaveCopy()
	for _, account := range []string{"default", bobsAccount} {
		f.tokens[account] = f.old.Want(0, "get", "--account", account).Token()
	}
	f.accounts = f.compatHome.accounts(f.old)
	f.wantFilled()
	return f
}

func (f *filledHome) aws() run.Cmd {
	return run.Cmd{Args: []string{"aws", "--endpoint", f.sts.URL}, Product: true}
}

// die has the issuer refuse an account's grant for good, until the user is enabled.
func (f *filledHome) die(user string) {
	f.t.Helper()
	f.issuer.Disable(user)
	wantFailure(f.t, f.old.Run("get", "--fresh", "--account", user), 4, "User disabled", "")
}

// leaveCopy has the old version refresh dave's grant, breaks the store as soon as the
// issuer has answered, and mends it when the command has ended.
func (h *compatHome) leaveCopy() {
	h.t.Helper()
	var breakStore, mend func()
	if h.ring != nil {
		breakStore, mend = h.ring.Lock, h.ring.Unlock
	} else {
		breakStore, mend = h.hideFiles()
	}
	remove := h.issuer.Inject(oidctest.Fault{
		Name: "break the store", Endpoint: oidctest.Token, Grant: "refresh_token",
		After: func(*oidctest.Call, *oidctest.Answer) { breakStore() },
	})
	r := h.old.Want(0, "get", "--fresh", "--account", davesAccount)
	remove()
	mend()
	where := "in the memory of the kernel"
	if h.place.noKernel {
		where = "UNENCRYPTED in " + h.old.Dir
	}
	if !strings.Contains(r.Stderr, where) {
		h.t.Fatalf("the old version did not keep its copy %q: %s", where, r)
	}
	if n := len(h.pending()); n != 1 {
		h.t.Fatalf("%d recovery copies wait, want 1", n)
	}
}

// hideFiles has a plain file stand where the file store's directory was, which stops
// root too.
func (h *compatHome) hideFiles() (hide, show func()) {
	dirs := h.files(".local/share/t2-cred/" + h.namespace())
	if len(dirs) != 1 {
		h.t.Fatalf("the file stores are %q", dirs)
	}
	dir, away := dirs[0], dirs[0]+".away"
	must := func(err error) {
		if err != nil {
			h.t.Error(err)
		}
	}
	hide = func() {
		must(os.Rename(dir, away))
		must(os.WriteFile(dir, nil, 0o600))
	}
	show = func() {
		must(os.Remove(dir))
		must(os.Rename(away, dir))
	}
	return hide, show
}

// wantFilled wants the home to have what the tests are about.
func (f *filledHome) wantFilled() {
	f.t.Helper()
	all := f.kept()
	has := func(count int, parts ...string) {
		f.t.Helper()
		found := 0
		for name := range all {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(name, part) }) {
				found++
			}
		}
		if found != count {
			f.t.Errorf("the old version left %d of %q, want %d", found, parts, count)
		}
	}
	kind, token, keys := "item ", "kernel key ", "kernel key "
	if f.place.store == "file" {
		kind = "file /.local/share"
	}
	if f.place.store == "file" || f.place.noKernel {
		token, keys = kind, kind
	}
	has(5, kind, "grant,")
	has(2, kind, "client,")
	has(1, keys, "keys,")
	has(5, "file /.local/state", ".note")
	has(2, "file /.cache/t2-cred/", ".json")
	has(2, "file /.cache/t2-cred/config/") // of gep and of other
	// Carol's was dropped with her grant; dave's may have found no room.
	found := 0
	for name := range all {
		if strings.Contains(name, "token,") && strings.HasPrefix(name, token) {
			found++
		}
	}
	if found < 3 {
		f.t.Errorf("%d access tokens are cached, want those of alice, bob and erin", found)
	}
	if len(f.accounts) != 5 || f.accounts["gep/carol"]["state"] != "dead" {
		f.t.Errorf("the old version lists %v", f.accounts)
	}
}

// A compatSTS gives temporary keys for access tokens of an issuer.
type compatSTS struct {
	*httptest.Server
	issuer *oidctest.Issuer
	asked  atomic.Int32
}

func newCompatSTS(t *testing.T) *compatSTS {
	t.Helper()
	s := &compatSTS{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *compatSTS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if !slices.Contains(s.issuer.Secrets(), r.PostFormValue("WebIdentityToken")) {
		http.Error(w, "not a token of the issuer", http.StatusForbidden)
		return
	}
	key, session := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	shared.ledger.Add(ledger.Access, key) // printed by aws, and nowhere else
	shared.ledger.Add(ledger.Access, session)
	w.Header().Set("Content-Type", "text/xml")
	_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>`+
		`<AccessKeyId>AKIDCOMPAT</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration>`+
		`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, key, session, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}
