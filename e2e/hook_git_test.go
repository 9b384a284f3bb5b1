package e2e

import (
	"bytes"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// gitFront lets who has a token of the issuer's through to git-http-backend, as
// Bearer or as the password of Basic, as far as it offers that, and remembers how
// each request came.
type gitFront struct {
	*httptest.Server
	host   string // 127.0.0.1:PORT
	root   string // the repositories
	issuer *oidctest.Issuer
	lfs    http.Handler // what is below info/lfs/, where there is any

	mu      sync.Mutex
	offers  []string // the schemes of its challenges
	refused map[string]bool
	moved   string   // where what is below /moved/ is now
	log     []string // "none", "Bearer alice", "Basic oauth2 alice", "refused"
	said    []string // by git-http-backend on its standard error
}

func newGitFront(t *testing.T, issuer *oidctest.Issuer) *gitFront {
	t.Helper()
	f := &gitFront{root: t.TempDir(), issuer: issuer, offers: []string{"Basic", "Bearer"}, refused: map[string]bool{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.Close()
		if t.Failed() && len(f.said) > 0 {
			t.Logf("git-http-backend said %q", f.said)
		}
	})
	f.host = f.Listener.Addr().String()
	return f
}

// repository makes an empty one.
func (f *gitFront) repository(t *testing.T, name string) {
	t.Helper()
	wantCommand(t, f.root, os.Environ(), "git", "init", "--quiet", "--bare", "--initial-branch=main", filepath.Join(f.root, name))
}

// ServeHTTP implements http.Handler.
func (f *gitFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	who, ok := f.admit(r)
	f.log = append(f.log, who)
	offers, moved := f.offers, f.moved
	f.mu.Unlock()
	if !ok {
		for _, scheme := range offers {
			w.Header().Add("WWW-Authenticate", scheme+` realm="git"`)
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if rest, ok := strings.CutPrefix(r.RequestURI, "/moved/"); ok {
		http.Redirect(w, r, moved+"/"+rest, http.StatusFound)
		return
	}
	if f.lfs != nil && strings.Contains(r.URL.Path, "/info/lfs/") {
		f.lfs.ServeHTTP(w, r)
		return
	}
	var said bytes.Buffer
	backend := &cgi.Handler{
		Path: filepath.Join(gitExecPath, "git-http-backend"), Dir: f.root,
		// Who is known may push.
		Env: []string{"GIT_PROJECT_ROOT=" + f.root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + who, "HOME=" + f.root},
		// Not the test's own standard error. A message of the backend has no newline at its
		// end, so the "--- PASS" after it would not begin a line.
		Stderr: &said,
	}
	backend.ServeHTTP(w, r)
	if said.Len() > 0 {
		f.mu.Lock()
		f.said = append(f.said, said.String())
		f.mu.Unlock()
	}
}

// admit tells how a request proved itself, and whether it did.
func (f *gitFront) admit(r *http.Request) (who string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if user, password, basic := r.BasicAuth(); basic {
		scheme, token = "Basic "+user, password
	}
	if scheme == "" {
		return "none", false
	}
	if token == "" {
		return "no password", false // git tries a URL's user alone before it asks
	}
	offered := false
	for _, o := range f.offers {
		offered = offered || strings.HasPrefix(scheme, o)
	}
	claims, err := verifyToken(f.issuer.URL(), token)
	if err != nil || !offered || f.refused[token] {
		return "refused", false
	}
	name, _ := claims["preferred_username"].(string)
	return scheme + " " + name, true
}

func (f *gitFront) offer(schemes ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offers = schemes
}

func (f *gitFront) move(to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moved = to
}

func (f *gitFront) refuse(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused[token] = true
}

// want wants requests since the last call, in these ways alone, and in each.
func (f *gitFront) want(t *testing.T, ways ...string) {
	t.Helper()
	log := f.take()
	seen := map[string]bool{}
	for _, who := range log {
		seen[who] = true
	}
	if len(seen) != len(ways) {
		t.Errorf("requests came as %q, not as %q", log, ways)
	}
	for _, way := range ways {
		if !seen[way] {
			t.Errorf("no request came as %q: %q", way, log)
		}
	}
}

// take is how requests came since the last call.
func (f *gitFront) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

// gitExecPath is where the server's git-http-backend is.
const gitExecPath = "/usr/lib/git-core"

// TestHookGit has Debian's git, which knows passwords alone, and the newer one of
// trixie, which is in a folder that it takes for the whole system.
func TestHookGit(t *testing.T) {
	needTool(t, "git", "git")
	trixie := filepath.Dir(filepath.Dir(filepath.Dir(needTool(t, "git", "git-trixie/usr/bin/git"))))
	if _, err := os.Stat(filepath.Join(gitExecPath, "git-http-backend")); err != nil && !parts.Required() {
		t.Skipf("this git is not as Debian packs it: %v", err)
	}
	t.Run("2.39 Basic", func(t *testing.T) {
		testGit(t, "", "git version 2.39.", "Basic oauth2 alice")
	})
	t.Run("2.47 Bearer", func(t *testing.T) {
		testGit(t, trixie, "git version 2.47.", "Bearer alice")
	})
}

func testGit(t *testing.T, root, version, way string) {
	p := newGitPlace(t, root)
	out := p.want("git", "--version")
	t.Log(strings.TrimSpace(out))
	if !strings.HasPrefix(out, version) {
		t.Logf("not the version that was looked at: %s", version)
	}
	f, other := p.front, newGitFront(t, p.issuer)
	f.repository(t, "team/data.git")
	f.repository(t, "team/super.git")
	repo := f.URL + "/team/data.git"

	// Without the helper the server says no.
	p.fails("could not read Username", "git", "ls-remote", repo)
	f.want(t, "none")

	// As the documentation has it, on a machine where another helper keeps all that
	// it is offered.
	p.want("git", "config", "--global", "credential.helper", "store")
	p.script(docScript(t, "git.md", "https://git.example.org", f.URL))
	f.want(t, "none", way)

	head := p.pushes(t, repo, way)
	t.Run("header", func(t *testing.T) { p.testHeader(t, repo, way) })
	t.Run("users and commands", func(t *testing.T) { p.testCommands(t, repo, way) })
	t.Run("Basic alone", func(t *testing.T) {
		f.offer("Basic")
		defer f.offer("Basic", "Bearer")
		p.want("git", "ls-remote", repo)
		f.want(t, "none", "Basic oauth2 alice")
	})
	t.Run("refused", func(t *testing.T) { p.testRefused(t, repo, way) })
	t.Run("other hosts", func(t *testing.T) { p.testOtherHosts(t, other, head, way) })
	t.Run("other helpers", func(t *testing.T) { p.testOtherHelper(t, repo, way) })
	t.Run("nothing stored", func(t *testing.T) {
		p.want("t2-cred", "erase")
		out := p.fails("could not read Username", "git", "ls-remote", repo)
		if !strings.Contains(out, "t2-cred: nothing is stored for gep/default") || !strings.Contains(out, "hint: ") {
			t.Errorf("it does not say what to do:\n%s", out)
		}
	})
}

// pushes commits something and pushes it, there and back again.
func (p *gitPlace) pushes(t *testing.T, repo, way string) (head string) {
	t.Helper()
	f := p.front
	p.want("git", "-C", "data", "config", "user.email", "alice@example.org")
	p.want("git", "-C", "data", "config", "user.name", "alice")
	p.want("git", "-C", "data", "commit", "--quiet", "--allow-empty", "-m", "results")
	p.want("git", "-C", "data", "push", "--quiet", "origin", "HEAD:refs/heads/main")
	f.want(t, "none", way)
	head = strings.TrimSpace(p.want("git", "-C", "data", "rev-parse", "HEAD"))
	if out := p.want("git", "ls-remote", repo, "main"); !strings.HasPrefix(out, head) {
		t.Errorf("the server has %q, not %s", out, head)
	}
	f.want(t, "none", way)
	if n := p.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the cached token was good", n)
	}
	return head
}

// testHeader looks at what goes over the wire, in git's own words.
func (p *gitPlace) testHeader(t *testing.T, repo, way string) {
	scheme, _, _ := strings.Cut(way, " ")
	out := p.want("env", "GIT_TRACE_CURL=1", "git", "ls-remote", repo)
	if !strings.Contains(strings.ToLower(out), "send header: authorization: "+strings.ToLower(scheme)+" <redacted>") {
		t.Errorf("no header of %s:\n%s", scheme, out)
	}
	if scheme == "Bearer" && strings.Contains(out, "Basic <redacted>") {
		t.Errorf("Basic, too:\n%s", out)
	}
	p.front.want(t, "none", way)
	if scheme == "Bearer" {
		p.want("git", "-c", "http.proactiveAuth=auto", "ls-remote", repo)
		p.front.want(t, way)
	}
}

// testCommands has the other ways to call the helper that the documentation has.
func (p *gitPlace) testCommands(t *testing.T, repo, way string) {
	bob := strings.Replace(way, "oauth2", "bob", 1)
	p.want("git", "ls-remote", strings.Replace(repo, "//", "//bob@", 1))
	p.front.want(t, "none", "no password", bob)
	p.want("git", "-c", "credential.username=bob", "ls-remote", repo)
	p.front.want(t, "none", bob)
	with := func(helper string) []string {
		scoped := "credential." + p.front.URL + ".helper="
		return []string{"-c", scoped, "-c", scoped + helper, "ls-remote", repo}
	}
	p.want("git", with(p.home+"/bin/t2-cred git")...)
	p.front.want(t, "none", way)
	p.want("t2-cred", "exchange", "--account", "job-7", "--token-file", p.subject("bob"))
	p.want("git", with(p.home+"/bin/t2-cred --account job-7 git")...)
	p.front.want(t, "none", strings.Replace(way, "alice", "bob", 1))
}

// testRefused has a server that does not take a token any more, however valid.
func (p *gitPlace) testRefused(t *testing.T, repo, way string) {
	before := p.issuer.Refreshes()
	p.front.refuse(strings.TrimSpace(p.want("t2-cred", "get")))
	p.fails("Authentication failed", "git", "ls-remote", repo)
	p.front.want(t, "none", "refused")
	p.want("git", "ls-remote", repo)
	p.front.want(t, "none", way)
	if n := p.issuer.Refreshes() - before; n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

// testOtherHosts has each way in which a server could make git carry the token
// elsewhere. The helper is for all URLs now, so it is the one to say no.
func (p *gitPlace) testOtherHosts(t *testing.T, other *gitFront, head, way string) {
	const everywhere = "credential.helper=t2"
	p.front.move(other.URL)
	p.fails("", "git", "-c", everywhere, "ls-remote", p.front.URL+"/moved/team/data.git")
	p.front.want(t, "none", way)
	other.want(t, "none")

	// A submodule.
	p.want("git", "clone", "--quiet", p.front.URL+"/team/super.git")
	p.want("git", "-C", "super", "config", "-f", ".gitmodules", "submodule.sub.path", "sub")
	p.want("git", "-C", "super", "config", "-f", ".gitmodules", "submodule.sub.url", other.URL+"/team/data.git")
	p.want("git", "-C", "super", "update-index", "--add", "--cacheinfo", "160000,"+head+",sub")
	p.want("git", "-C", "super", "add", ".gitmodules")
	p.want("git", "-C", "super", "-c", "user.name=alice", "-c", "user.email=alice@example.org", "commit", "--quiet", "-m", "with a submodule")
	p.want("git", "-C", "super", "push", "--quiet", "origin", "HEAD:refs/heads/main")
	p.front.want(t, "none", way)
	p.fails("could not read Username for '"+other.URL, "git", "-c", everywhere, "clone", "--quiet", "--recurse-submodules", p.front.URL+"/team/super.git", "again")
	p.front.want(t, "none", way)
	other.want(t, "none")

	// The same machine by another name.
	p.fails("could not read Username", "git", "-c", everywhere, "ls-remote", strings.Replace(p.front.URL, "127.0.0.1", "localhost", 1)+"/team/data.git")
	p.front.want(t, "none")
}

// testOtherHelper has what the empty helper is for: nobody else has kept the
// token, and without it an old git would have let them.
func (p *gitPlace) testOtherHelper(t *testing.T, repo, way string) {
	if _, err := os.Stat(filepath.Join(p.outside, ".git-credentials")); err == nil {
		t.Error("git credential-store has kept something")
	}
	p.want("git", "-c", "credential.helper=store --file="+p.home+"/kept.secret", "ls-remote", repo)
	p.front.want(t, "none", way)
	kept := filepath.Join(p.outside, "kept.secret")
	_, err := os.Stat(kept)
	if old := strings.HasPrefix(way, "Basic"); (err == nil) != old {
		t.Errorf("kept by another helper, as was to be expected: %t; %v", old, err)
	}
	_ = os.Remove(kept) // the home is searched for tokens
}
