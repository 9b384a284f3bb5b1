package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// At 3f78ee2 each document was read from the cache whoever owned it: the refresh token
// and the client's secret went in clear to mallory's port, exit 0 or 6.
func TestTrust_plantedDocuments(t *testing.T) {
	for name, mode := range map[string]os.FileMode{"shared directory": 0o777, "sticky directory": 0o777 | os.ModeSticky} {
		t.Run(name, func(t *testing.T) {
			v := newTrustStage(t).granted()
			shared := v.dir("cache", 0, mode)
			// She fills the cache by t2-cred itself, and then changes what is in it.
			if err := os.MkdirAll(filepath.Join(v.Dir, ".cache"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(shared, os.DirFS(filepath.Join(v.Dir, ".cache"))); err != nil {
				t.Fatal(err)
			}
			if v.rewrite(shared, v.issuer.URL()+"/protocol", v.evil.URL+"/protocol") == 0 {
				t.Fatal("the cache has no document with the issuer's endpoints: this shows nothing")
			}
			v.giveToMallory(shared)
			v.Set("XDG_CACHE_HOME=" + shared)
			r := v.Run("get", "--fresh")
			if n := v.asked.Load(); n > 0 {
				t.Errorf("mallory's server was asked %d times: %s", n, r)
			}
			if r.Code != 0 || r.Token() == "" {
				t.Errorf("a cache of another user is not as if absent: %s", r)
			}
			v.Want(0, "claims")
			if n := v.asked.Load(); n > 0 {
				t.Errorf("mallory's server was asked %d times", n)
			}
		})
	}
}

// giveToMallory makes all in a shared directory hers, and the victim can read it.
func (v *trustStage) giveToMallory(shared string) {
	v.t.Helper()
	for _, e := range mustReadDir(v.t, shared) {
		v.own(filepath.Join(shared, e.Name()), mallory)
	}
	for _, file := range v.files(shared) {
		v.chmod(file, 0o644)
		for dir := filepath.Dir(file); dir != shared; dir = filepath.Dir(dir) {
			v.chmod(dir, 0o777)
		}
	}
}

func mustReadDir(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// At 3f78ee2 a large configuration had an excerpt in the cache, and a
// client_secret_command in a planted one ran.
func TestTrust_plantedExcerpt(t *testing.T) {
	v := newTrustStage(t).granted()
	config := filepath.Join(v.Dir, ".config", "t2-cred", "config.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		text = nil // a version that keeps profiles elsewhere
	}
	// The profile itself has to be in the file of which there could be an excerpt.
	fragment := filepath.Join(v.Dir, ".config", "t2-cred", "profiles.d", "gep.toml")
	if profile, err := os.ReadFile(fragment); err == nil {
		text = fmt.Appendf(text, "[profiles.gep]\n%s", profile)
		if err := os.Remove(fragment); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 400 {
		text = fmt.Appendf(text, "\n[profiles.p%d]\nissuer = %q\nclient_id = \"c\"\n", n, v.issuer.URL())
	}
	v.plant(config, string(text), v.o.uid, 0o600)
	old := time.Now().Add(-time.Minute)
	if err := os.Chtimes(config, old, old); err != nil {
		t.Fatal(err)
	}
	shared := v.dir("cache", 0, 0o777)
	v.Set("XDG_CACHE_HOME=" + shared)
	v.Want(0, "get")
	v.Want(0, "get")
	// Whatever was kept there of the configuration now has a command, and is mallory's.
	toml, ran := v.command()
	line := fmt.Sprintf("client_id = %q\n", oidctest.ClientID)
	found := v.rewrite(shared, line, line+toml) + v.rewrite(shared, strings.ReplaceAll(line, `"`, `'`), line+toml)
	t.Logf("%d excerpts in the cache: %q", found, v.files(shared))
	v.giveToMallory(shared)
	r := v.Run("get", "--fresh")
	if ran() {
		t.Errorf("mallory's command ran: %s", r)
	}
	if r.Code != 0 {
		t.Errorf("got %s", r)
	}
}

// At 3f78ee2 such a configuration was read, its client_secret_command ran, and doctor
// found nothing wrong.
func TestTrust_configuration(t *testing.T) {
	profile := func(v *trustStage, toml string) string {
		return fmt.Sprintf("[profiles.gep]\nissuer = %q\nclient_id = %q\nscopes = [\"openid\", \"offline_access\"]\n%s", v.issuer.URL(), oidctest.ClientID, toml)
	}
	for _, tt := range []struct {
		name          string
		owner         int
		dir, file     os.FileMode
		remedy        string
		fragment, bad bool
	}{
		{"ours", nobody, 0o755, 0o644, "", false, false},
		{"root's", 0, 0o755, 0o644, "", false, false},
		{"writable by all", nobody, 0o755, 0o666, "chmod", false, true},
		{"writable by a group", nobody, 0o755, 0o664, "chmod", false, true},
		{"in a directory writable by all", nobody, 0o777, 0o644, "chmod", false, true},
		{"mallory's", mallory, 0o755, 0o644, "chown", false, true},
		{"a fragment writable by all", nobody, 0o755, 0o666, "chmod", true, true},
		{"mallory's fragment", mallory, 0o755, 0o644, "chown", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newTrustStage(t).granted()
			toml, ran := v.command()
			dir := v.dir("etc", nobody, 0o755)
			path := filepath.Join(dir, "config.toml")
			v.Set("T2_CRED_CONFIG=" + path)
			if tt.fragment {
				v.plant(path, "default_profile = \"gep\"\n", nobody, 0o600)
				if err := os.Mkdir(path+".d", 0o755); err != nil {
					t.Fatal(err)
				}
				v.own(path+".d", nobody)
				path = filepath.Join(path+".d", "gep.toml")
			}
			text := profile(v, toml)
			if tt.fragment { // a fragment is a profile without its head
				_, text, _ = strings.Cut(text, "\n")
			}
			v.plant(path, text, tt.owner, tt.file)
			if tt.name == "writable by a group" {
				if err := os.Lchown(path, nobody, 100); err != nil { // users
					t.Fatal(err)
				}
			}
			v.chmod(dir, tt.dir)
			r := v.Run("exchange", "--token-file", v.secretFile("user.jwt", v.issuer.UserToken("alice")))
			if tt.bad {
				at := path
				if tt.dir == 0o777 {
					at = dir
				}
				v.wantRemedy(r, 3, tt.remedy, at)
				if d := v.Run("doctor"); d.Code == 0 || !strings.Contains(d.Stdout+d.Stderr, at) {
					t.Errorf("doctor does not say it: %s", d)
				}
			}
			if ran() == tt.bad {
				t.Errorf("the command ran: %v; %s", ran(), r)
			}
		})
	}
}

// A link leads into mallory's directory, below one that all may write. No chmod or chown of
// the victim's mends that.
func TestTrust_configurationInAnothersDirectory(t *testing.T) {
	v := newTrustStage(t)
	open := v.dir("open", 0, 0o755)
	v.chmod(open, 0o777|os.ModeSticky)
	theirs := v.dir(filepath.Join("open", "theirs"), mallory, 0o755)
	v.plant(filepath.Join(theirs, "config.toml"), "default_profile = \"gep\"\n", nobody, 0o600)
	link := filepath.Join(v.dir("etc", nobody, 0o755), "config.toml")
	if err := os.Symlink(filepath.Join(theirs, "config.toml"), link); err != nil {
		t.Fatal(err)
	}
	r := v.Set("T2_CRED_CONFIG=" + link).Run("get")
	if r.Code != 3 || strings.Contains(r.Stderr, "chmod") || !strings.Contains(r.Stderr, open) || !strings.Contains(r.Stderr, "--config FILE") {
		t.Errorf("got %s", r)
	}
}

// secretFile is a file of the victim's alone.
func (v *trustStage) secretFile(name, content string) string {
	v.t.Helper()
	path := filepath.Join(v.dir("given", v.o.uid, 0o755), name)
	v.plant(path, content, v.o.uid, 0o600)
	return path
}

// At 3f78ee2 root took an identity of another user's, who then can read the store.
func TestTrust_identityOfAnother(t *testing.T) {
	v := newTrustStage(t)
	home := program(t).NewHome(t).Set("T2_CRED_STORE=file") // root's own
	identity := filepath.Join(v.dir("keys", 0, 0o755), "identity")
	home.Set("T2_CRED_IDENTITY_FILE=" + identity)
	home.Want(0, "store", "init")
	v.Home = home
	v.addProfile()
	home.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: v.issuer.UserToken("alice")})
	home.Want(0, "get", "--fresh")
	v.own(identity, mallory)
	v.wantRemedy(home.Run("get", "--fresh"), 5, "chown", identity)
	// The same of a directory in which she can put another identity.
	v.own(filepath.Dir(identity), 0)
	v.chmod(filepath.Dir(identity), 0o777)
	v.wantRemedy(home.Run("get", "--fresh"), 5, "chmod", filepath.Dir(identity))
}

// At 3f78ee2 a recovery copy in the runtime directory was adopted whoever owned it: the
// victim then spent mallory's refresh token and acted as her.
func TestTrust_plantedRecovery(t *testing.T) {
	strace := needCommand(t, "strace", "strace")
	v := newTrustStage(t)
	v.Want(0, "store", "init")
	v.addProfile()
	runtime := v.dir("run", mallory, 0o777)
	v.Set("XDG_RUNTIME_DIR=" + runtime)
	// What is looked for there, the trace tells.
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-qq", "-o", trace, "-e", "trace=%file", "setpriv",
		fmt.Sprintf("--reuid=%d", v.o.uid), fmt.Sprintf("--regid=%d", v.o.uid), "--clear-groups", filepath.Join(v.o.dir, "t2-cred"), "get")
	cmd.Env, cmd.Dir = append(v.Env(), "PATH="+os.Getenv("PATH")), "/"
	_ = cmd.Run() // nothing is stored
	record, err := json.Marshal(object{
		"v": 1, "profile": "gep", "account": "default", "grant": "PLANTEDGRANTPLANTEDGRANT", "issuer": v.issuer.URL(), "client_id": oidctest.ClientID,
		"sub": v.issuer.Sub("bob"), "username": "bob", "offline": true, "refresh_token": v.grantOf("bob"), "created": time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(object{"v": 1, "seq": 1, "base": "", "value": string(record)})
	if err != nil {
		t.Fatal(err)
	}
	planted := 0
	for _, m := range regexp.MustCompile(`"(`+runtime+`/[^"]+\.(?:json|age))"`).FindAllStringSubmatch(readFile(t, trace), -1) {
		for dir := filepath.Dir(m[1]); dir != runtime; dir = filepath.Dir(dir) {
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			v.chmod(dir, 0o777)
			v.own(dir, mallory)
		}
		v.plant(m[1], string(text), mallory, 0o644)
		planted++
	}
	t.Logf("%d copies planted", planted)
	before := v.issuer.Refreshes()
	r := v.Run("get")
	if r.Code != 4 || v.issuer.Refreshes() != before {
		t.Errorf("%d refreshes with mallory's token: %s", v.issuer.Refreshes()-before, r)
	}
	if list := v.Run("list"); strings.Contains(list.Stdout, "bob") {
		t.Errorf("mallory's grant is the victim's: %s", list)
	}
}

// grantOf is a refresh token of another user of the same client.
func (v *trustStage) grantOf(user string) string {
	v.t.Helper()
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {v.issuer.UserToken(user)},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "scope": {"openid offline_access"},
	}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.issuer.URL()+"/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(oidctest.ClientID, v.issuer.ClientSecret())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.RefreshToken == "" {
		v.t.Fatalf("no grant of %s: %s, %v", user, resp.Status, err)
	}
	return answer.RefreshToken
}

// At 3f78ee2 a killed `write` left the token in clear in a file of a new name each
// time, for ever.
func TestTrust_killedWriteLeavesNothing(t *testing.T) {
	strace := needCommand(t, "strace", "strace")
	v := newTrustStage(t).granted()
	dir := v.dir("out", v.o.uid, 0o700)
	output := filepath.Join(dir, "tok")
	left := func() (names []string) {
		for _, e := range mustReadDir(t, dir) {
			names = append(names, e.Name())
		}
		return names
	}
	killed := 0
	for when := 1; when < 12; when++ {
		cmd := as(uint32(v.o.uid), strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2",
			"-e", fmt.Sprintf("inject=rename,renameat,renameat2:signal=SIGKILL:when=%d:error=EIO", when),
			filepath.Join(v.o.dir, "t2-cred"), "write", "--output", output)
		cmd.Env = v.Env()
		_ = cmd.Run() // killed
		if names := left(); len(names) > 0 && names[0] != "tok" {
			killed++
		}
	}
	if killed == 0 {
		t.Fatal("no run was killed before its rename: this shows nothing")
	}
	v.Want(0, "write", "--output", output)
	if names := left(); len(names) != 1 || names[0] != "tok" {
		t.Errorf("killed runs have left %q", names)
	}
}

// At 3f78ee2 root ran with the victim's HOME and left files of root's there: the
// victim then got exit 5 from everything, and list said that nothing is kept.
func TestTrust_rootInAnothersHome(t *testing.T) {
	v := newTrustStage(t).granted()
	spent := v.issuer.Refreshes()
	cmd := as(0, filepath.Join(v.o.dir, "t2-cred"), "get", "--fresh")
	cmd.Env, cmd.Dir = v.Env(), v.Dir
	out, err := cmd.CombinedOutput()
	shared.ledger.Output("root in the victim's home", string(out), true)
	if err != nil && v.issuer.Refreshes() != spent {
		t.Errorf("it failed after it had spent a refresh token: %v, %s", err, out)
	}
	err = filepath.WalkDir(v.Dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && ownerOf(info) != v.o.uid {
			t.Errorf("root has made %s", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := v.Want(0, "list"); !strings.Contains(r.Stdout, "gep") {
		t.Errorf("the victim's list: %s", r)
	}
	v.Want(0, "get", "--fresh")
}

// TestTrust_sudoInAnothersHome: sudo -E keeps the caller's HOME, and the XDG directories
// too. What root makes there, the caller can neither read nor replace, be it ~/.local
// itself. The configuration may be root's own, in /etc.
func TestTrust_sudoInAnothersHome(t *testing.T) {
	v := newTrustStage(t)
	config := filepath.Join(v.dir("etc", 0, 0o755), "config.toml")
	v.plant(config, "[profiles.gep]\nissuer = \""+v.issuer.URL()+"\"\nclient_id = \""+oidctest.ClientID+"\"\n", 0, 0o644)
	elsewhere := v.dir("state", v.o.uid, 0o700)
	others := func(dir string) (names []string) {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if info, err := e.Info(); err == nil && ownerOf(info) != v.o.uid {
				names = append(names, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	asRoot := func(env []string, args ...string) (code int, text string) {
		cmd := as(0, filepath.Join(v.o.dir, "t2-cred"), args...)
		cmd.Env, cmd.Dir = append(v.Env(), env...), "/"
		out, err := cmd.CombinedOutput()
		shared.ledger.Output("root in the victim's home", string(out), true)
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	sudo := fmt.Sprintf("SUDO_UID=%d", v.o.uid)
	for _, args := range [][]string{
		{"store", "init"}, {"doctor"}, {"profile", "add", "gep", "--issuer", v.issuer.URL(), "--client-id", "c", "--unproven"},
		{"get", "--config", config}, {"claims", "--config", config}, {"doctor", "--config", config},
	} {
		code, text := asRoot([]string{sudo}, args...)
		if names := others(v.Dir); code != 3 || len(names) > 0 || !strings.Contains(text, "who has called sudo") {
			t.Errorf("%q ends with %d, and root has made %q: %s", args, code, names, text)
		}
	}
	if code, text := asRoot([]string{sudo, "HOME=/root", "XDG_STATE_HOME=" + elsewhere}, "get", "--config", config); code != 3 || len(others(elsewhere)) > 0 {
		t.Errorf("with the caller's XDG_STATE_HOME: %d: %s", code, text)
	}
	// So it would be without the look at who has called.
	if code, text := asRoot(nil, "store", "init"); code != 0 || len(others(v.Dir)) == 0 {
		t.Errorf("without sudo: %d: %s: this shows nothing", code, text)
	}
}

// What cannot be read is an error, and never "nothing". At 3f78ee2 list said "no
// accounts are kept" with exit 0 when its notes were root's.
func TestTrust_unreadableIsNotNothing(t *testing.T) {
	v := newTrustStage(t).granted()
	var paths []string
	for _, below := range []string{".local", ".config"} {
		err := filepath.WalkDir(filepath.Join(v.Dir, below), func(path string, _ os.DirEntry, err error) error {
			paths = append(paths, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var sets [][]string // each path alone, and at last all that there is of the account
	var account []string
	for _, path := range paths {
		sets = append(sets, []string{path})
		if strings.Contains(filepath.Base(path), "default") {
			account = append(account, path)
		}
	}
	for _, set := range append(sets, account) {
		for _, path := range set {
			if err := os.Lchown(path, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		if r := v.Run("list"); r.Code == 0 && !strings.Contains(r.Stdout, "gep") {
			t.Errorf("%q are root's and cannot be read: %s", set, r)
		}
		for _, path := range set {
			if err := os.Lchown(path, v.o.uid, v.o.uid); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(paths) < 6 {
		t.Errorf("%q were made unreadable: this shows nothing", paths)
	}
}

// volume makes what the kubelet makes of a Secret or ConfigMap: everybody may write to
// the directory, which is sticky, and each file is a link through another link.
func (v *trustStage) volume(name, file, content string, mode os.FileMode, group int) (path string) {
	v.t.Helper()
	dir := v.dir(name, 0, 0o777|os.ModeSticky|os.ModeSetgid)
	data := filepath.Join(dir, "..2026_11_30_02_00_00.1234567")
	if err := os.Mkdir(data, 0o755); err != nil {
		v.t.Fatal(err)
	}
	v.plant(filepath.Join(data, file), content, 0, mode)
	for link, target := range map[string]string{"..data": filepath.Base(data), file: "..data/" + file} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			v.t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(data, file), 0, group); err != nil {
		v.t.Fatal(err)
	}
	v.chmod(filepath.Join(data, file), mode)
	return filepath.Join(dir, file)
}

// What Kubernetes mounts is trusted: a configuration from a ConfigMap, an identity from
// a Secret with an fsGroup. In the same directory another user's link is not.
func TestTrust_kubernetesVolumes(t *testing.T) {
	v := newTrustStage(t)
	made := filepath.Join(v.dir("made", v.o.uid, 0o700), "identity")
	v.Set("T2_CRED_IDENTITY_FILE=" + made)
	v.Want(0, "store", "init")
	secretFile := v.secretFile("client-secret", v.issuer.ClientSecret())
	config := v.volume("config", "config.toml", fmt.Sprintf(
		"default_profile = \"gep\"\n[profiles.gep]\nissuer = %q\nclient_id = %q\nscopes = [\"openid\", \"offline_access\"]\nclient_secret_file = %q\n",
		v.issuer.URL(), oidctest.ClientID, secretFile,
	), 0o644, 0)
	v.Set("T2_CRED_CONFIG="+config, "T2_CRED_IDENTITY_FILE="+v.volume("secret", "identity", readFile(t, made), 0o440, v.o.uid))
	v.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: v.issuer.UserToken("alice")})
	v.Want(0, "get", "--fresh")

	// Every user may write to the directory: mallory's own link to a file of the victim's.
	link := filepath.Join(filepath.Dir(config), "mallorys.toml")
	if err := os.Symlink("..data/config.toml", link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, mallory, mallory); err != nil {
		t.Fatal(err)
	}
	v.Set("T2_CRED_CONFIG=" + link)
	wantFailure(t, v.Run("get"), 3, fmt.Sprintf("user %d", mallory), "")
}
