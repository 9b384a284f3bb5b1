package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestOperations_trouble makes go wrong what docs/operations.md says of it, on a job
// host, where the kernel's keyring is no help.
func TestOperations_trouble(t *testing.T) {
	issuer := oidctest.New(oidctest.Refresh(oidctest.Revoke))
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	h := newJobHost(t)
	h.write("client-secret.txt", issuer.ClientSecret())
	h.write("user.jwt", issuer.UserToken("alice"))
	h.wantSh(0, fmt.Sprintf(`
T2_CRED_IDENTITY_FILE=$PWD/identity t2-cred store init
mkdir -p ~/.config/t2-cred
printf '%%s\n' 'store = "file"' "identity_command = ['/bin/cat', '$PWD/identity']" >~/.config/t2-cred/config.toml
t2-cred profile add gep --issuer %s --client-id %s --audience %[2]s --scope 'openid offline_access' --client-secret-file client-secret.txt
t2-cred exchange --token-file user.jwt
rm user.jwt client-secret.txt`, issuer.URL(), oidctest.ClientID))
	refreshed := issuer.Refreshes()
	fresh := func(code int, words string, env ...string) {
		t.Helper()
		if got := h.wantSh(code, "t2-cred get --fresh", env...); !strings.Contains(got.stderr, words) {
			t.Errorf("%q is not in %s", words, got)
		}
	}
	wantRefreshes := func(n int) {
		t.Helper()
		if got := issuer.Refreshes() - refreshed; got != n {
			t.Errorf("%d refreshes, want %d", got, n)
		}
	}

	// The identity is missing: nothing is spent.
	fresh(5, "the identity /run/gone is missing", "T2_CRED_IDENTITY_FILE=/run/gone")
	wantRefreshes(0)

	// What is logged with -v has neither token nor secret; the ledger sees to that.
	if got := h.wantSh(0, "t2-cred get --fresh -v"); !strings.Contains(got.stderr, issuer.URL()) {
		t.Errorf("-v does not say what was asked: %s", got)
	}
	wantRefreshes(1)

	// The records cannot be written to: the rotated token waits in a sealed copy.
	records := "~/.local/share/t2-cred/*/"
	h.wantSh(0, "chmod 500 "+records)
	fresh(0, "warning: ")
	copies := filepath.Join(h.Dir, ".local/share/t2-cred/*/copies/*")
	kept, _ := filepath.Glob(copies)
	if len(kept) != 1 {
		t.Fatalf("the copies are %q", kept)
	}
	if info, err := os.Stat(kept[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", kept[0], info.Mode(), err)
	}
	h.wantSh(0, "chmod 700 "+records)
	fresh(0, "")
	if kept, _ := filepath.Glob(copies); len(kept) != 0 {
		t.Errorf("copies are left: %q", kept)
	}
	wantRefreshes(3)

	// Nothing can be written: nothing is sent.
	h.wantSh(0, "chmod 500 "+records+" "+records+"copies")
	fresh(5, "nothing was spent")
	wantRefreshes(3)
	h.wantSh(0, "chmod 700 "+records+" "+records+"copies")

	// A home that was moved is another one.
	moved := []string{"HOME=" + h.work + "/moved"}
	for name, sub := range map[string]string{"CONFIG": ".config", "CACHE": ".cache", "DATA": ".local/share", "STATE": ".local/state"} {
		moved = append(moved, "XDG_"+name+"_HOME="+h.work+"/moved/"+sub)
	}
	h.wantSh(0, "cp -a "+h.Dir+" moved")
	fresh(4, "nothing is stored", moved...)

	// The issuer is away: what is cached is served, the rest waits.
	issuer.Close()
	h.wantSh(0, "t2-cred get")
	fresh(6, "")

	files, err := filepath.Glob(filepath.Join(h.Dir, ".local/*/t2-cred/*/*default*"))
	inDirs, err2 := filepath.Glob(filepath.Join(h.Dir, ".local/*/t2-cred/*/*/*default*"))
	if n := len(files) + len(inDirs); n != 5 || err != nil || err2 != nil {
		t.Errorf("an account has the files %q %q", files, inDirs)
	}
}
