package hook

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/safefile"
)

// A servedSTS is `aws serve` before an STS of the test's.
type servedSTS struct {
	*toolGetter
	sts                *stsServer
	url, authorization string
	file               string // as a shell reads it
	stop               func() error
	stderr             *strings.Builder
}

func startServe(t *testing.T, option map[string]string) *servedSTS {
	t.Helper()
	sts := newSTS(t)
	sts.body = stsGood
	s := &servedSTS{sts: sts, toolGetter: &toolGetter{hosts: []string{strings.TrimPrefix(sts.URL, "http://")}}, stderr: &strings.Builder{}}
	out, in := io.Pipe()
	c := &Call{
		Args: []string{"serve"}, Option: map[string]string{"endpoint": sts.URL}, Stdout: in, Stderr: s.stderr, Getter: s, Deriver: forgetful{s.toolGetter},
		Getenv: func(string) string { return "" }, Now: func() time.Time { return toolExpiry.Add(-time.Hour) }, Timeout: 5 * time.Second,
	}
	for _, o := range aws.Options {
		if _, given := c.Option[o.Name]; !given {
			c.Option[o.Name] = o.Default
		}
	}
	for name, value := range option {
		c.Option[name] = value
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.UntilStopped = func(do func(context.Context) error) error { return do(ctx) }
	ended := make(chan error, 1)
	go func() {
		err := aws.Serve(ctx, c)
		_ = in.CloseWithError(err)
		ended <- err
	}()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = s.stop() })
	lines := bufio.NewScanner(out)
	for _, line := range []struct {
		name string
		into *string
	}{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", &s.url}, {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &s.file}} {
		if !lines.Scan() {
			t.Fatalf("no line for %s: %v", line.name, lines.Err())
		}
		value, ok := strings.CutPrefix(lines.Text(), "export "+line.name+"='")
		if *line.into = strings.ReplaceAll(strings.TrimSuffix(value, "'"), `'\''`, "'"); !ok {
			t.Fatalf("%q is not about %s", lines.Text(), line.name)
		}
	}
	text, err := os.ReadFile(s.file)
	if err != nil || len(text) < 20 || strings.TrimSpace(string(text)) != string(text) {
		t.Fatalf("%q, %v", text, err)
	}
	s.authorization = string(text)
	return s
}

// ask makes one request, which change may change.
func (s *servedSTS) ask(t *testing.T, change func(*http.Request)) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", s.authorization)
	change(req)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v, %v", err, resp.Header)
	}
	return resp.StatusCode, string(text)
}

func nothingChanged(*http.Request) {}

func TestAWSServe(t *testing.T) {
	s := startServe(t, nil)
	const want = `{"AccessKeyId":"AKID","SecretAccessKey":"se/cret+","Token":"sess==","Expiration":"2030-01-01T00:00:00Z"}` + "\n"
	if status, body := s.ask(t, nothingChanged); status != 200 || body != want {
		t.Errorf("%d, %q", status, body)
	}
	if status, body := s.ask(t, func(r *http.Request) { r.Host = strings.Replace(r.Host, "127.0.0.1", "localhost", 1) }); status != 200 || body != want {
		t.Errorf("as localhost: %d, %q", status, body)
	}
	if !strings.HasPrefix(s.url, "http://127.0.0.1:") {
		t.Errorf("it listens at %s", s.url)
	}
	if info, err := os.Stat(s.file); err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := s.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if _, err := os.Stat(filepath.Dir(s.file)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory stays: %v", err)
	}
}

// Whoever does not show the authorization, or comes by another name, gets nothing,
// and the STS is not asked.
func TestAWSServe_hostileRequests(t *testing.T) {
	s := startServe(t, nil)
	s.sts.asked = nil
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"none":         {func(r *http.Request) { r.Header.Del("Authorization") }, 403},
		"empty":        {header(""), 403},
		"wrong":        {header(strings.Repeat("A", len(s.authorization))), 403},
		"a part":       {header(s.authorization[:len(s.authorization)-1]), 403},
		"more":         {header(s.authorization + "A"), 403},
		"Bearer":       {header("Bearer " + s.authorization), 403},
		"another case": {header(strings.ToLower(s.authorization)), 403},
		"in the query": {func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "Authorization=" + s.authorization
		}, 403},
		"another host":      {func(r *http.Request) { r.Host = "evil.org" }, 403},
		"another port":      {func(r *http.Request) { r.Host = "127.0.0.1:1" }, 403},
		"rebound":           {func(r *http.Request) { r.Host = strings.Replace(r.Host, "127.0.0.1", "127.0.0.1.evil.org", 1) }, 403},
		"POST":              {func(r *http.Request) { r.Method = http.MethodPost }, 405},
		"HEAD":              {func(r *http.Request) { r.Method = http.MethodHead }, 405},
		"another path":      {func(r *http.Request) { r.URL.Path = "/" }, 404},
		"below":             {func(r *http.Request) { r.URL.Path += "/x" }, 404},
		"wrong, other path": {func(r *http.Request) { r.URL.Path = "/"; r.Header.Del("Authorization") }, 403},
	} {
		status, body := s.ask(t, c.change)
		var said struct{ Code, Message string }
		if status != c.status || strings.Contains(body, "AKID") {
			t.Errorf("%s: %d, %q", name, status, body)
		}
		if name == "HEAD" {
			continue
		}
		if err := json.Unmarshal([]byte(body), &said); err != nil || said.Code == "" || said.Message == "" {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
	if len(s.sts.asked) > 0 {
		t.Errorf("the STS was asked: %q", s.sts.asked)
	}
}

// A failure has the status that tells an SDK whether to try again, and the words
// that credential_process would say. The next request may get keys again.
func TestAWSServe_failures(t *testing.T) {
	s := startServe(t, nil)
	for name, c := range map[string]struct {
		fails  error
		sts    int
		status int
		want   string
	}{
		"nothing stored": {toolFailures["login"], 200, 401, `{"code":"LoginRequired","message":"nothing is stored for gep/default; t2-cred exchange --profile gep --token-file FILE"}`},
		"issuer":         {toolFailures["issuer"], 200, 503, `{"code":"ServiceUnavailable","message":"refresh: the issuer did not answer"}`},
		"another host":   {helper.ErrNotMine, 200, 403, `{"code":"AccessDenied","message":"no profile is for that host"}`},
		"STS refuses":    {nil, 403, 403, `{"code":"AccessDenied",`},
		"STS is down":    {nil, 503, 503, `{"code":"ServiceUnavailable",`},
	} {
		s.fails, s.sts.status = c.fails, c.sts
		if status, body := s.ask(t, nothingChanged); status != c.status || !strings.HasPrefix(body, c.want) || strings.Contains(body, "AKID") {
			t.Errorf("%s: %d, %q", name, status, body)
		}
	}
	s.fails, s.sts.status = nil, 200
	if status, body := s.ask(t, nothingChanged); status != 200 {
		t.Errorf("%d, %q", status, body)
	}
	if err := s.stop(); !errors.Is(err, context.Canceled) || strings.Count(s.stderr.String(), "\n") != 5 || strings.Contains(s.stderr.String(), s.authorization) {
		t.Errorf("%v, it said %q", err, s.stderr)
	}
}

// The file of an earlier server is replaced, and removed at the end.
func TestAWSServe_authorizationFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "it's here")
	if err := os.WriteFile(path, []byte(rand.Text()), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startServe(t, map[string]string{"authorization-file": path})
	if info, err := os.Stat(path); s.file != path || err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", s.file, info, err)
	}
	if status, _ := s.ask(t, nothingChanged); status != 200 {
		t.Errorf("%d", status)
	}
	_ = s.stop()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v stays, %v", left, err)
	}
}

func TestAWSServe_refusesToStart(t *testing.T) {
	for name, option := range map[string]map[string]string{
		"port":       {"port": "http"},
		"port range": {"port": "65536"},
		"negative":   {"port": "-1"},
		"taken":      {"port": "taken"},
		"no folder":  {"authorization-file": "/nonexistent/authorization"},
		"endpoint":   {"endpoint": ""},
	} {
		sts := newSTS(t)
		sts.body = stsGood
		all := map[string]string{"endpoint": sts.URL}
		for _, o := range aws.Options {
			if _, given := all[o.Name]; !given {
				all[o.Name] = o.Default
			}
		}
		for key, value := range option {
			if value == "taken" {
				value = sts.URL[strings.LastIndex(sts.URL, ":")+1:]
			}
			all[key] = value
		}
		var out, errs strings.Builder
		g := &toolGetter{hosts: []string{strings.TrimPrefix(sts.URL, "http://")}}
		err := aws.Serve(t.Context(), &Call{
			Args: []string{"serve"}, Option: all, Stdout: &out, Stderr: &errs, Getter: g, Deriver: forgetful{g}, Timeout: 5 * time.Second,
			Getenv: func(string) string { return "" }, Now: func() time.Time { return toolExpiry.Add(-time.Hour) },
			UntilStopped: func(do func(context.Context) error) error { return do(t.Context()) },
		})
		if err == nil || out.Len() > 0 {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
}

// What is not of an earlier server is neither overwritten nor removed.
func TestAWSServe_anothersFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "user.jwt")
	for _, text := range []string{"", "eyJ.a.b", strings.Repeat("a", 26), rand.Text() + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &awsServer{Call: &Call{Option: map[string]string{"authorization-file": path}}, authorization: rand.Text()}
		_, _, err := s.writeAuthorization()
		if got, _ := os.ReadFile(path); !errors.Is(err, ErrUsage) || string(got) != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err == nil {
		if err := mayReplace(link); !errors.Is(err, ErrUsage) {
			t.Errorf("a link: %v", err)
		}
	}
	if err := mayReplace(dir); !errors.Is(err, ErrUsage) {
		t.Errorf("a directory: %v", err)
	}
}

// TestAWSServe_aPipe: a pipe that came in the place of the authorization is not waited
// for when the server ends.
func TestAWSServe_aPipe(t *testing.T) {
	mkfifo, err := exec.LookPath("mkfifo")
	if err != nil {
		t.Skip("NOT CHECKED: no mkfifo")
	}
	path := filepath.Join(t.TempDir(), "authorization")
	s := startServe(t, map[string]string{"authorization-file": path})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), mkfifo, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.stop()
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the server waits for the pipe")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the pipe was removed: %v", err)
	}
}

// TestNewClient_noHTTP2: GODEBUG=http2debug=2 would print the token that it carries.
func TestNewClient_noHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := newClient(path)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if proto, err := io.ReadAll(resp.Body); err != nil || string(proto) != "HTTP/1.1" {
		t.Errorf("it speaks %s, %v", proto, err)
	}
}

// TestNewClient_theCAFileIsOurs: a CA file that another user may write, or that is no
// file, is refused.
func TestNewClient_theCAFileIsOurs(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(path); err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(filepath.Dir(path)); !errors.Is(err, safefile.ErrNotRegular) {
		t.Errorf("a directory: %v", err)
	}
	if os.PathSeparator != '/' {
		return // the mode does not show who may write
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(path); !errors.Is(err, safefile.ErrNotOurs) || !errors.Is(err, ErrUsage) {
		t.Errorf("writable by all: %v", err)
	}
}

// An old server leaves the file of its successor.
func TestAWSServe_successor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "authorization")
	s := startServe(t, map[string]string{"authorization-file": path})
	next := rand.Text()
	if err := os.WriteFile(path, []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = s.stop()
	if got, err := os.ReadFile(path); string(got) != next {
		t.Errorf("%q, %v", got, err)
	}
}

// silentDeriver answers once, and then not before the deadline.
type silentDeriver struct {
	Deriver
	asked atomic.Int32
}

func (d *silentDeriver) Derive(ctx context.Context, r helper.Request, v helper.Derivation) (helper.Derived, error) {
	if d.asked.Add(1) == 1 {
		return d.Deriver.Derive(ctx, r, v)
	}
	<-ctx.Done()
	return helper.Derived{}, helper.ErrUnreachable
}

// While the STS is silent the last keys are given, by one request under way for all.
func TestAWSServe_silentSTS(t *testing.T) {
	sts := newSTS(t)
	sts.body = stsGood
	g := &toolGetter{hosts: []string{strings.TrimPrefix(sts.URL, "http://")}}
	d := &silentDeriver{Deriver: forgetful{g}}
	now := toolExpiry.Add(-10 * time.Minute)
	c := &Call{Option: map[string]string{"endpoint": sts.URL, "duration": "1h"}, Getter: g, Deriver: d,
		Getenv: func(string) string { return "" }, Now: func() time.Time { return now }, Timeout: 4 * time.Second}
	ask, err := awsOptions(c)
	if err != nil {
		t.Fatal(err)
	}
	s := &awsServer{Call: c, ask: ask}
	if _, err := s.keys(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if keys, err := s.keys(t.Context(), false); err != nil || keys.AccessKeyID != "AKID" {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 3*time.Second || d.asked.Load() != 2 {
		t.Errorf("it took %s and %d requests", took, d.asked.Load())
	}
	now = toolExpiry // of no use any more
	if _, err := s.keys(t.Context(), false); !errors.Is(err, helper.ErrUnreachable) {
		t.Errorf("ended keys: %v", err)
	}
}

// Who promises a body and sends none does not keep the connection.
func TestAWSServe_noBody(t *testing.T) {
	s := startServe(t, nil)
	host := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), containerPath)
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(9 * time.Second))
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(text), " 403 ") || !strings.Contains(string(text), "Connection: close") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestAWSServe_relativeRuntimeDir: the file is named by its whole path, whatever the
// environment says.
func TestAWSServe_relativeRuntimeDir(t *testing.T) {
	for dir, want := range map[string]string{"": "", "run": "", ".": "", t.TempDir(): "same"} {
		if want == "same" {
			want = dir
		}
		s := &awsServer{Call: &Call{Getenv: func(string) string { return dir }}}
		if got := s.runtimeDir(); got != want {
			t.Errorf("XDG_RUNTIME_DIR=%q: %q", dir, got)
		}
	}
}
