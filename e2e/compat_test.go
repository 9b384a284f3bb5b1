package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestCompat_oldHome: this version uses all that the old version left, and loses
// none of it.
func TestCompat_oldHome(t *testing.T) {
	// The first command that this version runs for the account with a recovery copy.
	firsts := [][]string{{"get", "--fresh"}, {"status"}, {"claims"}, {"get", "--min-valid", "9m59s"}}
	for n, place := range compatPlaces() {
		t.Run(place.name, func(t *testing.T) {
			f := fillHome(t, place)
			f.storesCopy(firsts[n])
			f.listsAll()
			f.servesCached()
			f.refreshes()
			f.revives("carol")
			f.erases()
			f.wire.wantEachOnce(t, 1) // carol's, which her enabled account sends again
			if n := f.wire.refused(); n != 1 {
				t.Errorf("the issuer refused %d refreshes, want carol's alone", n)
			}
		})
	}
}

// storesCopy wants the first command for dave's account to store the recovery copy.
// Without it the next refresh would send a token that was spent.
func (h *compatHome) storesCopy(first []string) {
	h.t.Helper()
	var plain []byte
	files := h.files("run/t2-cred/recovery-*")
	if len(files) == 1 {
		var err error
		if plain, err = os.ReadFile(files[0]); err != nil {
			h.t.Fatal(err)
		}
	}
	r := h.new.Want(0, append(first, "--account", davesAccount)...)
	if left := h.pending(); len(left) > 0 {
		h.t.Errorf("%v left the recovery copy where it was, in %q: %s", first, left, r)
	}
	h.fresh("gep", davesAccount, "dave")
	if plain == nil {
		return
	}
	// A copy that is older than the record is not used.
	if err := os.WriteFile(files[0], plain, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.fresh("gep", davesAccount, "dave")
	if left := h.pending(); len(left) > 0 {
		h.t.Errorf("the stale copy is left in %q", left)
	}
}

// TestCompat_copySurvives: no command loses the recovery copy, and the grant lives on.
func TestCompat_copySurvives(t *testing.T) {
	for n, c := range []struct {
		args []string
		// stores says that the command stores the copy; the others are not about the account.
		stores bool
	}{
		{args: []string{"get"}, stores: true},
		{args: []string{"list"}, stores: true},
		{args: []string{"doctor"}},
		{args: []string{"keepalive"}, stores: true},
		{args: []string{"store", "status"}},
		{args: []string{"keepalive", "--older-than", "0s"}, stores: true},
	} {
		place := compatPlaces()[n%4]
		t.Run(strings.Join(c.args, " ")+", "+place.name, func(t *testing.T) {
			t.Parallel() // it waits for the old version's attempts to save
			h := newCompatHome(t, place, "data.example.org", oidctest.Lifespan(10*time.Minute))
			h.exchange(h.old, "dave", "--account", davesAccount)
			h.leaveCopy()
			if c.stores {
				h.storesCopy(c.args)
			} else {
				h.new.Want(0, append(c.args, "--account", davesAccount)...)
				h.fresh("gep", davesAccount, "dave")
			}
			if left := h.pending(); len(left) > 0 {
				t.Errorf("the recovery copy is left in %q", left)
			}
			h.wire.wantEachOnce(t, 0)
		})
	}
}

// fresh wants a new access token of a user.
func (h *compatHome) fresh(profile, account, user string) {
	h.t.Helper()
	before := h.issuer.Refreshes()
	token := h.new.Want(0, "get", "--fresh", "--profile", profile, "--account", account).Token()
	if sub := keycloak.Claims(token)["sub"]; sub != h.issuer.Sub(user) {
		h.t.Errorf("the token of %s/%s has the sub %v, want that of %s", profile, account, sub, user)
	}
	if n := h.issuer.Refreshes() - before; n != 1 {
		h.t.Errorf("get --fresh of %s/%s made %d refreshes", profile, account, n)
	}
}

// listsAll wants list and status to say what the old version's list said.
func (f *filledHome) listsAll() {
	f.t.Helper()
	now := f.compatHome.accounts(f.new)
	if len(now) != len(f.accounts) {
		f.t.Errorf("%d accounts are listed, want %d", len(now), len(f.accounts))
	}
	for name, was := range f.accounts {
		if name == "gep/"+davesAccount {
			was = object{"state": "ok", "subject": was["subject"], "created_at": was["created_at"]} // it was refreshed
		}
		now[name].want(f.t, was)
		profile, account, _ := strings.Cut(name, "/")
		r := f.new.Want(0, "status", "--json", "--profile", profile, "--account", account)
		readJSON(f.t, r.Stdout).want(f.t, was)
	}
}

// servesCached wants what the old version cached to be served, and nobody asked.
func (f *filledHome) servesCached() {
	f.t.Helper()
	requests, asked := len(f.issuer.Requests()), f.sts.asked.Load()
	for account, token := range f.tokens {
		if r := f.new.Want(0, "get", "--account", account); r.Token() != token {
			f.t.Errorf("the cached token of %s is not served", account)
		}
		claims := readJSON(f.t, f.new.Want(0, "claims", "--json", "--account", account).Stdout)
		claims.want(f.t, object{"sub": keycloak.Claims(token)["sub"], "azp": oidctest.ClientID})
	}
	if r := f.new.WantDo(0, f.aws()); r.Stdout != f.keys {
		f.t.Error("the kept keys of the STS are not served")
	}
	if n := len(f.issuer.Requests()) - requests; n != 0 {
		f.t.Errorf("the issuer was asked %d times for what is cached", n)
	}
	if n := f.sts.asked.Load() - asked; n != 0 {
		f.t.Errorf("the STS was asked %d times for what is kept", n)
	}
}

func (f *filledHome) refreshes() {
	f.t.Helper()
	discoveries, keys := f.issuer.Count("discovery"), f.issuer.Count("jwks")
	for range 2 { // what the old version left, and what this version kept of it
		f.fresh("gep", "default", "alice")
		f.fresh("gep", bobsAccount, "bob")
		f.fresh("other", "default", "erin")
	}
	if d, k := f.issuer.Count("discovery")-discoveries, f.issuer.Count("jwks")-keys; d+k != 0 {
		f.t.Errorf("the cached documents were not used: %d discoveries, %d key sets", d, k)
	}
}

// revives wants a dead grant to be explained, and to be asked about by --fresh alone.
func (f *filledHome) revives(user string) {
	f.t.Helper()
	posts := f.wire.posts()
	wantFailure(f.t, f.new.Run("get", "--min-valid", "9m59s", "--account", user), 4, "User disabled", "")
	if f.wire.posts() != posts {
		f.t.Error("get without --fresh asked about a dead grant")
	}
	f.issuer.Enable(user)
	f.fresh("gep", user, user)
	readJSON(f.t, f.new.Want(0, "status", "--json", "--account", user).Stdout).want(f.t, object{"state": "ok", "refused": nil})
}

// erases wants each grant revoked, and no secret of it left.
func (f *filledHome) erases() {
	f.t.Helper()
	for name := range f.accounts {
		profile, account, _ := strings.Cut(name, "/")
		f.new.Want(0, "erase", "--profile", profile, "--account", account)
	}
	for _, user := range []string{"alice", "bob", "carol", "dave", "erin"} {
		if n := f.issuer.Grants(user); n != 0 {
			f.t.Errorf("%d grants of %s are alive after erase", n, user)
		}
	}
	for name := range f.kept() {
		for _, kind := range []string{"grant,", "token,", "keys,"} {
			if strings.Contains(name, kind) && !strings.Contains(name, "/locks/") {
				f.t.Errorf("after erase there is still %s", name)
			}
		}
	}
	if n := len(f.compatHome.accounts(f.new)); n != 0 {
		f.t.Errorf("%d accounts are listed after erase", n)
	}
}

// A newRecord is a record as this version writes it.
type newRecord struct {
	name string
	make func(h *compatHome)
	// both says that the old version may use it too: the old version made the grant.
	both bool
}

func newRecords() []newRecord {
	return []newRecord{
		{name: "exchanged", make: func(h *compatHome) { h.exchange(h.new, "alice") }},
		{name: "exchanged and refreshed", make: func(h *compatHome) {
			h.exchange(h.new, "alice")
			h.new.Want(0, "get", "--fresh")
		}},
		{name: "exchanged over the old version's", make: func(h *compatHome) {
			h.exchange(h.old, "alice")
			h.exchange(h.new, "alice")
		}},
		{name: "refused for good", make: func(h *compatHome) {
			h.exchange(h.new, "alice")
			h.issuer.Disable("alice")
			h.new.Want(4, "get", "--fresh")
			h.issuer.Enable("alice")
		}},
		{name: "the old version's, refreshed", both: true, make: func(h *compatHome) {
			h.exchange(h.old, "alice")
			h.new.Want(0, "get", "--fresh")
		}},
	}
}

// TestCompat_newHome: the old version refuses a grant of this version and leaves it
// alone. A grant that the old version made keeps its form, so that both can use it
// during an upgrade.
func TestCompat_newHome(t *testing.T) {
	for _, place := range compatPlaces()[:2] {
		for _, record := range newRecords() {
			t.Run(place.name+", "+record.name, func(t *testing.T) {
				h := newCompatHome(t, place, "data.example.org")
				record.make(h)
				if record.both {
					h.old.Want(0, "get", "--fresh")
					h.old.Want(0, "status")
				} else {
					h.oldRefuses()
				}
				posts := h.issuer.Refreshes()
				h.new.Want(0, "get", "--fresh")
				if n := h.issuer.Refreshes() - posts; n != 1 {
					t.Errorf("this version's get --fresh made %d refreshes", n)
				}
				if record.name != "refused for good" {
					h.wire.wantEachOnce(t, 0)
				}
			})
		}
	}
}

// oldRefuses wants each command of the old version that needs the grant to fail, to
// send the issuer nothing that could change anything, and to change nothing here.
func (h *compatHome) oldRefuses() {
	h.t.Helper()
	before, posts := h.kept(), h.wire.posts()
	for _, c := range []run.Cmd{
		{Args: []string{"get", "--fresh"}},
		{Args: []string{"get", "--min-valid", "24h"}},
		{Args: []string{"status"}},
		{Args: []string{"erase"}},
		{Args: []string{"exchange"}, Stdin: h.issuer.UserToken("alice")},
		{Args: []string{"keepalive", "--older-than", "0s"}},
		{Args: []string{"write", "--output", filepath.Join(h.t.TempDir(), "token"), "--min-valid", "24h"}},
	} {
		r := h.old.Do(c)
		if r.Code == 0 || r.Stdout != "" && c.Args[0] != "keepalive" {
			h.t.Errorf("the old version did not refuse: %s", r)
		}
		if h.wire.posts() != posts {
			h.t.Fatalf("the old version asked the issuer: %s", r)
		}
		h.wantUnchanged(before, strings.Join(c.Args, " "))
	}
	// These may succeed, for they need no grant.
	for _, args := range [][]string{{"list"}, {"get"}, {"claims"}, {"profile", "list"}, {"profile", "show", "gep"}, {"store", "status"}} {
		r := h.old.Run(args...)
		if h.wire.posts() != posts {
			h.t.Fatalf("the old version asked the issuer: %s", r)
		}
		h.wantUnchanged(before, strings.Join(args, " "))
	}
}
