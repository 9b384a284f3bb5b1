package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// windowsItem is what Windows takes in one credential (CRED_MAX_CREDENTIAL_BLOB_SIZE
// in wincred.h, 5*512 bytes). Wine takes more.
const windowsItem = 2560

// TestWindows does the main job with the program as it is built for Windows, on Wine.
func TestWindows(t *testing.T) {
	w := startWine(t)
	issuer := oidctest.New()
	t.Cleanup(func() { tellLedger(issuer); issuer.Close() })

	wantFailure(t, w.t2(2, "", "get", "--no-such-flag"), 2, "unknown flag", "t2-cred get")
	wantFailure(t, w.t2(3, "", "get", "--profile", "nobody"), 3, "no profile in C:\\users\\Zoë Öz", "t2-cred profile add")
	w.t2(0, issuer.ClientSecret(), "profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID,
		"--client-secret-file", "-", "--host", "registry.example.org")
	config := w.user("AppData", "Roaming", "t2-cred", "profiles.d", "gep.toml")
	if b, err := os.ReadFile(config); err != nil || !strings.Contains(string(b), issuer.URL()) {
		t.Errorf("the configuration is not where Windows has such: %v\n%s", err, b)
	}
	wantFailure(t, w.t2(4, "", "get"), 4, "nothing is stored for gep/default", "t2-cred exchange")

	// The credential store: kept, cached, renewed, checked, shown.
	w.t2(0, issuer.UserToken("alice"), "exchange")
	first := w.t2(0, "", "get").Token()
	if again := w.t2(0, "", "get").Token(); again != first || issuer.Refreshes() != 0 {
		t.Errorf("a cached get gave %v after %d refreshes", again == first, issuer.Refreshes())
	}
	if fresh := w.t2(0, "", "get", "--fresh").Token(); fresh == first || issuer.Refreshes() != 1 {
		t.Errorf("a fresh get gave the same token: %v, after %d refreshes", fresh == first, issuer.Refreshes())
	}
	readJSON(t, w.t2(0, "", "claims", "--json").Stdout).want(t, object{"sub": issuer.Sub("alice"), "azp": oidctest.ClientID})
	readJSON(t, w.t2(0, "", "status", "--json").Stdout).want(t, object{"state": "ok", "store": "keyring"})
	if r := w.t2(0, "", "list"); !strings.Contains(r.Stdout, "alice") {
		t.Errorf("%s", r)
	}
	t.Run("hooks by name", func(t *testing.T) { w.hooksByName() })
	t.Run("large records", func(t *testing.T) { w.largeRecords(issuer) })
	t.Run("processes at once", func(t *testing.T) { w.atOnce(issuer) })
	t.Run("file store", func(t *testing.T) { w.fileStore(issuer) })

	issuer.Inject(oidctest.Status(503))
	wantFailure(t, w.t2(6, "", "get", "--fresh"), 6, "503", "")
	issuer.Clear()
	w.t2(0, "", "erase")
	if n := issuer.Grants("alice"); n != 0 {
		t.Errorf("%d grants of alice's are left", n)
	}
	w.t2(4, "", "get")
	w.t2(0, "", "profile", "remove", "gep")
	left := w.items()
	delete(left, "seal") // to which copies are sealed; it stays with the store
	if len(left) > 0 {
		t.Errorf("left in the credential store: %v", left)
	}
	tellLedger(issuer)
	if err := shared.ledger.Tree("Windows user", w.user()); err != nil {
		t.Error(err)
	}
}

// hooksByName calls the program as tools on Windows do, by the name of its copy.
func (w *wine) hooksByName() {
	token := w.t2(0, "", "get").Token()
	docker := w.exe("docker-credential-t2", "registry.example.org\n", "get")
	if got := readJSON(w.t, w.WantDo(0, docker).Stdout); got["Secret"] != token {
		w.t.Errorf("docker-credential-t2.exe gave %v", got["ServerURL"])
	}
	git := w.exe("git-credential-t2", "protocol=https\nhost=registry.example.org\n\n", "get")
	if r := w.WantDo(0, git); !strings.Contains(r.Stdout, "password="+token+"\n") || strings.Contains(r.Stdout, "\r") {
		w.t.Errorf("git-credential-t2.exe: %s", r)
	}
	// git for Windows ends lines as git does; who does not is not git.
	git.Stdin = strings.ReplaceAll(git.Stdin, "\n", "\r\n")
	if r := w.Do(git); strings.Contains(r.Stdout, "password") {
		w.t.Errorf("a request with carriage returns was answered: %s", r)
	}
}

// largeRecords has an access token that no one item of Windows' holds.
func (w *wine) largeRecords(issuer *oidctest.Issuer) {
	remove := issuer.Inject(oidctest.Mutate("access_token", "of a user in many groups", "", func(d *oidctest.Draft) {
		d.Claims["groups"] = strings.Repeat("/a/group/of/many ", 600)
	}))
	large := w.t2(0, "", "get", "--fresh").Token()
	remove()
	if len(large) < 10000 || w.t2(0, "", "get").Token() != large {
		w.t.Errorf("a token of %d bytes was not kept", len(large))
	}
	items, parts := w.items(), 0
	for name, size := range items {
		if size > windowsItem {
			w.t.Errorf("%s has %d bytes", name, size)
		}
		if strings.HasPrefix(name, "token,") {
			parts += size
		}
	}
	if parts < len(large) {
		w.t.Errorf("the token of %d bytes is not among %v", len(large), items)
	}
	if w.t2(0, "", "get").Token() != large { // and after the end of all of Wine's processes
		w.t.Error("the large token has gone")
	}
	w.t2(0, "", "get", "--fresh")
	if left := w.items(); len(left) >= len(items) {
		w.t.Errorf("the parts of the large token were left behind: %v", left)
	}
}

// atOnce has several processes want a newer token than there is: one gets it for all.
func (w *wine) atOnce(issuer *oidctest.Issuer) {
	w.t2(0, "", "get", "--fresh")
	time.Sleep(6 * time.Second)
	before := issuer.Refreshes()
	tokens := map[string]bool{}
	for _, r := range w.Many(4, w.exe("t2-cred", "", "get", "--min-valid", "295s")) {
		if r.Code != 0 {
			w.t.Errorf("%s", r)
		}
		tokens[r.Token()] = true
	}
	if n := issuer.Refreshes() - before; n != 1 || len(tokens) != 1 {
		w.t.Errorf("%d refreshes gave %d tokens", n, len(tokens))
	}
}

// fileStore keeps an account in files, with a configuration at a path of its own.
func (w *wine) fileStore(issuer *oidctest.Issuer) {
	const config = `C:\users\Zoë Öz\Mes données\t2 cred.toml`
	file := func(code int, stdin string, args ...string) run.Result {
		w.t.Helper()
		return w.t2(code, stdin, append(args, "--config", config, "--store", "file")...)
	}
	file(0, "", "store", "init")
	file(0, issuer.ClientSecret(), "profile", "add", "job", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--client-secret-file", "-")
	file(0, issuer.UserToken("bob"), "exchange", "--account", "job/1:é")
	token := file(0, "", "get", "--account", "job/1:é").Token()
	if file(0, "", "get", "--account", "job/1:é", "--fresh").Token() == token {
		w.t.Error("a fresh get gave the same token")
	}
	shared.ledger.Add(ledger.Access, token)
	var sealed, locks int
	for _, name := range filesUnder(w.t, w.user()) {
		switch filepath.Ext(name) {
		case ".age":
			sealed++
		case ".lock":
			locks++
		case ".tmp":
			w.t.Errorf("left behind: %s", name)
		}
	}
	if sealed < 2 || locks < 2 {
		w.t.Errorf("%d records and %d locks are in the user's directories", sealed, locks)
	}
	file(0, "", "erase", "--account", "job/1:é")
	if n := issuer.Grants("bob"); n != 0 {
		w.t.Errorf("%d grants of bob's are left", n)
	}
}

func filesUnder(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestWindows_store runs the tests of the store themselves on Wine, on the Windows
// credential store and on files. Left out are readers of the credential store beside
// a writer, a hundred processes at it (Wine's spoils its own memory then, or starts no
// more; Windows' is a service), and what takes minutes.
func TestWindows_store(t *testing.T) {
	w := startWine(t)
	w.build(filepath.Join(w.bin, "store.test.exe"), "test", "-c")
	w.Set("T2_CRED_E2E=1")
	const tests = "TestBackend|TestFile|TestInitFile|TestNotes|TestSplit_limits|TestUpdate_aKilled|TestRefresh_hundred"
	r := w.WantDo(0, w.exe("store.test", "", "-test.v", "-test.short", "-test.run", tests,
		"-test.skip", "TestBackend_conforms/keyring/readers|TestRefresh_hundredProcessesSpendOneToken/keyring"))
	for _, name := range []string{
		"TestBackend_conforms/keyring/keeps_values", "TestBackend_conforms/keyring/sizes", "TestBackend_conforms/file/readers_of_a_writer", "TestFile_atRest",
		"TestRefresh_hundredProcessesSpendOneToken/file", "TestUpdate_aKilledHolderBlocksNobody/file",
	} {
		if !strings.Contains(r.Stdout, "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass, or did not run", name)
		}
	}
}
