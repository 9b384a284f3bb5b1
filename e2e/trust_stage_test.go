package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// mallory is a user of the machine who is neither the victim nor root. She needs no
// name.
const mallory = 65533

// A trustStage is the home of the victim, a user without privileges with a grant in the file store. Another user,
// mallory, plants files where the victim's environment lets her.
type trustStage struct {
	*run.Home
	t      *testing.T
	o      *other
	issuer *oidctest.Issuer
	evil   *httptest.Server // mallory's
	asked  atomic.Int32     // how often anybody has asked it
}

func newTrustStage(t *testing.T, opts ...oidctest.Option) *trustStage {
	t.Helper()
	if os.Geteuid() != 0 {
		if parts.Required() {
			t.Fatal("root alone can act as several users")
		}
		t.Skip("NOT CHECKED: root alone can act as several users")
	}
	v := &trustStage{t: t, o: newOther(t), issuer: oidctest.New(opts...)}
	v.evil = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		v.asked.Add(1)
		http.Error(w, "thanks", http.StatusInternalServerError)
	}))
	t.Cleanup(func() {
		v.evil.Close()
		tellLedger(v.issuer)
		v.issuer.Close()
	})
	v.Home = v.o.program(t).NewHome(t).Set("T2_CRED_STORE=file")
	v.own(v.Dir, v.o.uid)
	if ca := v.issuer.CAFile(); ca != "" {
		path := filepath.Join(v.o.dir, "ca.pem")
		v.plant(path, readFile(t, ca), 0, 0o644)
		v.Set("T2_CRED_CA_FILE=" + path)
	}
	return v
}

// granted gives the victim a profile and a grant.
func (v *trustStage) granted() *trustStage {
	v.t.Helper()
	v.Want(0, "store", "init")
	v.addProfile()
	v.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: v.issuer.UserToken("alice")})
	return v
}

func (v *trustStage) addProfile() {
	v.t.Helper()
	v.WantDo(0, run.Cmd{
		Args:  []string{"profile", "add", "gep", "--issuer", v.issuer.URL(), "--client-id", oidctest.ClientID, "--scope", "openid offline_access", "--client-secret-file", "-"},
		Stdin: v.issuer.ClientSecret(),
	})
}

// dir makes a directory of a user's below one that everybody can reach.
func (v *trustStage) dir(name string, uid int, mode os.FileMode) string {
	v.t.Helper()
	path := filepath.Join(v.o.dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		v.t.Fatal(err)
	}
	v.chmod(path, mode)
	v.own(path, uid)
	return path
}

func (v *trustStage) chmod(path string, mode os.FileMode) {
	v.t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		v.t.Fatal(err)
	}
}

// own gives all below a path to a user.
func (v *trustStage) own(path string, uid int) {
	v.t.Helper()
	err := filepath.WalkDir(path, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
	if err != nil {
		v.t.Fatal(err)
	}
}

// plant makes a file of a user's.
func (v *trustStage) plant(path, text string, uid int, mode os.FileMode) {
	v.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
	v.chmod(path, mode)
	v.own(path, uid)
}

// files are the regular files below a path.
func (v *trustStage) files(path string) (all []string) {
	v.t.Helper()
	err := filepath.WalkDir(path, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return all
}

// rewrite puts new for old in all files below a path, and counts the files.
func (v *trustStage) rewrite(path, old, with string) (changed int) {
	v.t.Helper()
	for _, file := range v.files(path) {
		text := readFile(v.t, file)
		if !strings.Contains(text, old) {
			continue
		}
		changed++
		info, err := os.Stat(file)
		if err != nil {
			v.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, old, with)), info.Mode()); err != nil {
			v.t.Fatal(err)
		}
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
			v.t.Fatal(err)
		}
	}
	return changed
}

// as is a command of a user's.
func as(uid uint32, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

// command is a client_secret_command that leaves a mark, and a way to ask for the mark.
func (v *trustStage) command() (toml string, ran func() bool) {
	v.t.Helper()
	mark := filepath.Join(v.dir("marks", v.o.uid, 0o777), "mark")
	return `client_secret_command = ["/bin/sh", "-c", "echo ran >>` + mark + `; echo planted-secret-0123456789abcdef"]` + "\n", func() bool {
		_, err := os.Stat(mark)
		return err == nil
	}
}

// wantRemedy wants a failure whose hint is a command that mends it, and that it does.
func (v *trustStage) wantRemedy(r run.Result, code int, command, path string) {
	v.t.Helper()
	wantFailure(v.t, r, code, path, "")
	_, line, _ := strings.Cut(r.Stderr, "hint: ")
	if !strings.HasPrefix(line, command+" ") || !strings.Contains(line, path) {
		v.t.Errorf("the hint is not %s … %s: %s", command, path, r)
	}
}
