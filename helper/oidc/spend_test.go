package oidc

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a test tells the copy of itself that it starts.
var (
	childIssuer = flag.String("child.issuer", "", "of a test that started this process")
	childCA     = flag.String("child.ca", "", "of a test that started this process")
)

const (
	oldToken = "5vB0pVhZrefreshTokenThatIsSpentQ7mXc2Lw"
	newToken = "kP3sWn9JrefreshTokenThatCameForItT1yUe8G"
	goodBody = `{"access_token":"a2Rk0pAQueAccessToken7Yt5","token_type":"Bearer","expires_in":300,"refresh_token":"` + newToken + `"}`
)

// TestSpend_overTLS: one request in HTTP/1.1, also where the server has HTTP/2.
func TestSpend_overTLS(t *testing.T) {
	var proto, body string
	f := newTokenFront(t, true, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		proto, body = r.Proto, string(b)
		answer(200, "application/json", goodBody)(w, r)
	})
	asked := 0
	r, err := f.spend(t.Context(), Spending{Before: func() error { asked++; return nil }})
	if err != nil || r.RefreshToken != newToken || r.ClientAuth != AuthBasic || asked != 1 || f.posts.Load() != 1 {
		t.Errorf("%+v, %v: asked %d times, %d requests", r, err, asked, f.posts.Load())
	}
	if proto != "HTTP/1.1" || body != "grant_type=refresh_token&refresh_token="+oldToken {
		t.Errorf("%s with %q", proto, body)
	}
}

// TestSpend_beforeRefuses: nothing is sent, over TLS and in clear.
func TestSpend_beforeRefuses(t *testing.T) {
	errNo := errors.New("the lock is lost")
	for _, secure := range []bool{false, true} {
		f := newTokenFront(t, secure, answer(200, "application/json", goodBody))
		asked := 0
		_, err := f.spend(t.Context(), Spending{Before: func() error { asked++; return errNo }})
		if !errors.Is(err, errNo) || Sent(err) || asked != 1 || f.posts.Load() != 0 {
			t.Errorf("TLS %t: %v, asked %d times, %d requests", secure, err, asked, f.posts.Load())
		}
	}
}

// TestSpend_waits: once sent, neither a signal nor the deadline ends it; the wait does.
func TestSpend_waits(t *testing.T) {
	f := newTokenFront(t, true, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(600 * time.Millisecond)
		answer(200, "application/json", goodBody)(w, r)
	})
	for name, start := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 200*time.Millisecond)
		},
		"signal": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(200*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		ctx, cancel := start()
		if r, err := f.spend(ctx, Spending{}); err != nil || r.RefreshToken != newToken {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	_, err := f.spend(t.Context(), Spending{Wait: 200 * time.Millisecond})
	if !errors.Is(err, ErrUnreachable) || OutcomeOf(err) != NoAnswer || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("waited too long: %v", err)
	}
}

// TestSpend_endsBeforeItIsSent: until then the context rules.
func TestSpend_endsBeforeItIsSent(t *testing.T) {
	f := newTokenFront(t, false, answer(200, "application/json", goodBody))
	if err := f.issuer.Ready(t.Context()); err == nil {
		t.Log("the front has no keys; only its metadata is needed")
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f.issuer.meta.TokenEndpoint = "https://" + silent.Addr().String() + "/token" // no handshake ever ends
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = f.spend(ctx, Spending{Before: func() error { t.Error("asked without a connection"); return nil }})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnreachable) || Sent(err) || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// TestSpend_cutAtEachByte: a server that takes n bytes and then closes or resets the
// connection gets the request once, and nobody is told that nothing left.
func TestSpend_cutAtEachByte(t *testing.T) {
	var taken, conns atomic.Int32
	var limit atomic.Int32
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			got, _ := io.ReadFull(conn, make([]byte, limit.Load()))
			taken.Add(int32(got))
			if n%2 == 0 {
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			conn.Close()
		}
	}()
	front := newTokenFront(t, false, answer(200, "application/json", goodBody))
	if _, err := front.issuer.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	front.issuer.meta.TokenEndpoint = "http://" + l.Addr().String() + "/token"
	for n := int32(1); n < 350; n++ {
		limit.Store(n)
		conns.Store(0)
		taken.Store(0)
		_, err := front.spend(t.Context(), Spending{})
		if OutcomeOf(err) != NoAnswer || !errors.Is(err, ErrUnreachable) || conns.Load() != 1 || taken.Load() != n {
			t.Fatalf("after %d bytes: %v, %d connections with %d bytes", n, err, conns.Load(), taken.Load())
		}
	}
}

// TestSpend_handshakeFails: nothing has left, so it is tried again; Before is asked by
// the try that gets a connection only.
func TestSpend_handshakeFails(t *testing.T) {
	f := newTokenFront(t, true, answer(200, "application/json", goodBody))
	if _, err := f.issuer.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	var fails atomic.Int32
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if fails.Add(1) <= 2 {
				conn.Close()
				continue
			}
			to, err := (&net.Dialer{}).Dial("tcp", f.Listener.Addr().String())
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(to, conn) }()
			go func() { _, _ = io.Copy(conn, to); conn.Close() }()
		}
	}()
	f.issuer.meta.TokenEndpoint = "https://" + l.Addr().String() + "/token"
	asked := 0
	r, err := f.spend(t.Context(), Spending{Before: func() error { asked++; return nil }})
	if err != nil || r.RefreshToken != newToken || asked != 1 || fails.Load() != 3 || f.posts.Load() != 1 {
		t.Errorf("%v: asked %d times, %d connections, %d requests", err, asked, fails.Load(), f.posts.Load())
	}
}

// TestSpend_isNeverRepeated after an answer, whatever the answer says.
func TestSpend_isNeverRepeated(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body       string
		outcome    Outcome
		temporary  bool
		retryAfter string
	}{
		{429, "", NoAnswer, true, "1"},
		{429, `{"error":"slow_down"}`, NoAnswer, true, ""},
		{500, "oops", NoAnswer, true, ""},
		{503, `{"error":"temporarily_unavailable"}`, NoAnswer, true, "1"},
		{503, `{"error":"invalid_grant"}`, NoAnswer, true, ""},
		{429, `{"error":"invalid_grant"}`, NoAnswer, true, ""},
		{404, "<html>", NoAnswer, true, ""},
		{403, "", NoAnswer, true, ""},
		{408, "", NoAnswer, true, ""},
		{401, "", NoAnswer, true, ""},
		{400, `{"error":"invalid_grant","error_description":"Token is not active"}`, Answered, false, ""},
		{401, `{"error":"invalid_client"}`, Answered, false, ""},
	} {
		f := newTokenFront(t, false, func(w http.ResponseWriter, r *http.Request) {
			if tt.retryAfter != "" {
				w.Header().Set("Retry-After", tt.retryAfter)
			}
			answer(tt.status, "application/json", tt.body)(w, r)
		})
		_, err := f.spend(t.Context(), Spending{})
		var e *Error
		if !errors.As(err, &e) || OutcomeOf(err) != tt.outcome || e.Temporary() != tt.temporary || f.posts.Load() != 1 {
			t.Errorf("%d %s: %v, outcome %d, %d requests", tt.status, tt.body, err, OutcomeOf(err), f.posts.Load())
		}
	}
}

// TestSpend_oddStatus: a refresh token that came with a status of failure is kept, and
// nothing is sent again. A body that names an OAuth error has none.
func TestSpend_oddStatus(t *testing.T) {
	for _, status := range []int{302, 400, 401, 403, 429, 500, 503} {
		f := newTokenFront(t, false, answer(status, "text/html", goodBody))
		client := frontClient
		client.Auth = "" // a second method could be tried
		got, err := f.issuer.Spend(t.Context(), client, RefreshGrant(oldToken), Spending{})
		if err == nil || got.RefreshToken != newToken || got.AccessToken != "" || f.posts.Load() != 1 {
			t.Errorf("%d: %d sent, kept %t, access token %t, %v", status, f.posts.Load(), got.RefreshToken == newToken, got.AccessToken != "", err)
		}
	}
	f := newTokenFront(t, false, answer(400, "application/json", `{"error":"invalid_grant","refresh_token":"`+newToken+`"}`))
	if got, err := f.spend(t.Context(), Spending{}); err == nil || got.RefreshToken != "" {
		t.Errorf("a refusal brings a refresh token: %v", err)
	}
}

// TestSpend_throughAProxy: CONNECT is no byte of the request, and its refusal is told
// from the issuer's.
func TestSpend_throughAProxy(t *testing.T) {
	f := newTokenFront(t, true, answer(200, "application/json", goodBody))
	if _, err := f.issuer.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	var status, connects atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects.Add(1)
		if r.Method != http.MethodConnect || status.Load() != 200 {
			w.WriteHeader(int(status.Load()))
			return
		}
		to, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, conn); to.Close() }()
		_, _ = io.Copy(conn, to)
		conn.Close()
	}))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := must(f.issuer.client())
	client.Transport.(*guard).next.(*http.Transport).Proxy = http.ProxyURL(address)
	for _, tt := range []struct {
		status   int32
		ok       bool
		connects int32
	}{{200, true, 1}, {407, false, 1}, {403, false, 1}, {502, false, 3}} {
		status.Store(tt.status)
		connects.Store(0)
		f.posts.Store(0)
		asked := 0
		_, err := f.spend(t.Context(), Spending{Before: func() error { asked++; return nil }})
		if (err == nil) != tt.ok || !tt.ok && Sent(err) || connects.Load() != tt.connects || (asked == 1) != tt.ok {
			t.Errorf("%d: %v, %d CONNECTs, asked %d times", tt.status, err, connects.Load(), asked)
		}
	}
}

// TestSpend_secondMethod: once, after a refusal of the client, while none is known.
func TestSpend_secondMethod(t *testing.T) {
	var methods []string
	f := newTokenFront(t, false, func(w http.ResponseWriter, r *http.Request) {
		if _, _, basic := r.BasicAuth(); basic {
			methods = append(methods, AuthBasic)
			answer(401, "application/json", `{"error":"invalid_client"}`)(w, r)
			return
		}
		methods = append(methods, AuthPost)
		answer(200, "application/json", goodBody)(w, r)
	})
	f.issuer.opt.CacheDir = t.TempDir()
	unknown := frontClient
	unknown.Auth = ""
	for n, want := range []string{"basic post", "post"} {
		methods = nil
		r, err := f.issuer.Spend(t.Context(), unknown, RefreshGrant(oldToken), Spending{})
		if got := strings.Join(methods, " "); err != nil || r.ClientAuth != AuthPost || got != want {
			t.Errorf("refresh %d: %v by %s, asked by %q", n, err, r.ClientAuth, got)
		}
	}
	methods = nil
	if _, err := f.spend(t.Context(), Spending{}); OutcomeOf(err) != Answered || len(methods) != 1 {
		t.Errorf("a known method: %v, asked by %q", err, methods)
	}
}

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

// TestNoHTTP2_norItsDebugging: wherever a secret travels it is HTTP/1.1, and the Go
// runtime's own debugging switches print nothing.
func TestNoHTTP2_norItsDebugging(t *testing.T) {
	if issuer := *childIssuer; issuer != "" {
		i := New(issuer, Options{Now: time.Now, Log: slog.New(slog.DiscardHandler), CAFile: *childCA})
		_, err1 := i.Spend(t.Context(), frontClient, RefreshGrant(oldToken), Spending{})
		_, err2 := i.Exchange(t.Context(), frontClient, ExchangeRequest{SubjectToken: oldToken})
		_, _, err3 := i.Introspect(t.Context(), frontClient, oldToken)
		_, err4 := i.StartDevice(t.Context(), frontClient, []string{"openid"})
		_, err5 := i.Authorize(t.Context(), frontClient, "http://127.0.0.1:1/", []string{"openid"})
		_, err6 := i.Revoke(t.Context(), frontClient, oldToken)
		if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
			t.Fatal("failed")
		}
		return
	}
	var mu sync.Mutex
	protos := map[string]int{}
	var front *httptest.Server
	front = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		protos[r.Proto+" "+r.URL.Path]++
		mu.Unlock()
		switch u := front.URL; r.URL.Path {
		case oidcSuffix:
			fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"%[1]s/token","revocation_endpoint":"%[1]s/revoke","introspection_endpoint":"%[1]s/introspect",
				"device_authorization_endpoint":"%[1]s/device","authorization_endpoint":"%[1]s/auth","pushed_authorization_request_endpoint":"%[1]s/par"}`, u)
		case "/token":
			answer(200, "application/json", goodBody)(w, r)
		default:
			answer(200, "application/json", `{"active":true,"device_code":"Qz8deviceCodeOfTheFront","user_code":"ABCD","verification_uri":"`+u+`","request_uri":"urn:x"}`)(w, r)
		}
	}))
	front.EnableHTTP2 = true
	front.StartTLS()
	defer front.Close()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoHTTP2_norItsDebugging$", "-test.v", "-child.issuer="+front.URL, "-child.ca="+certFile(t, front.Certificate()))
	child.Env = append(os.Environ(), "GODEBUG=http2debug=2,http2client=1,tlskyber=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" && line != "PASS" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- PASS") && !strings.HasPrefix(line, "coverage:") {
			t.Errorf("it prints %q", line)
		}
	}
	for _, path := range []string{oidcSuffix, "/token", "/revoke", "/introspect", "/device", "/par"} {
		if protos["HTTP/1.1 "+path] == 0 || protos["HTTP/2.0 "+path] != 0 {
			t.Errorf("%s: %v", path, protos)
		}
	}
}

// TestExpiry is the earlier of both, by our clock.
func TestExpiry(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		in   time.Duration
		exp  time.Time
		skew time.Duration
		want time.Time
	}{
		"both":                         {time.Hour, now.Add(-30 * time.Second), 0, now.Add(-30 * time.Second)},
		"both, expires_in is earlier":  {time.Minute, now.Add(time.Hour), 0, now.Add(time.Minute)},
		"the issuer's clock is ahead":  {time.Hour, now.Add(2*time.Hour + time.Minute), 2 * time.Hour, now.Add(time.Minute)},
		"the issuer's clock is behind": {time.Hour, now.Add(-time.Hour), -2 * time.Hour, now.Add(time.Hour)},
		"expires_in alone":             {time.Minute, time.Time{}, time.Hour, now.Add(time.Minute)},
		"exp alone":                    {0, now.Add(time.Minute), 0, now.Add(time.Minute)},
		"neither":                      {0, time.Time{}, 0, time.Time{}},
	} {
		i := at("https://issuer.example", "")
		i.skew, i.dated = tt.skew, true
		if got := i.Expiry(Response{Received: now, ExpiresIn: tt.in}, Claims{Expiry: tt.exp}); !got.Equal(tt.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestDevice_endsWithoutAnAccessToken: a device login is not asked for until its end when
// the issuer answers with an ID token alone. Its first request names the client also
// beside Basic.
func TestDevice_endsWithoutAnAccessToken(t *testing.T) {
	var form url.Values
	var front *httptest.Server
	polls := 0
	front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/device":
			form = url.Values{}
			if r.ParseForm() == nil {
				form = r.PostForm
			}
			answer(200, "application/json", `{"device_code":"Qz8deviceCodeOfTheFront","user_code":"ABCD","verification_uri":"`+front.URL+`","interval":"1","expires_in":600}`)(w, r)
		default:
			polls++
			answer(200, "application/json", `{"id_token":"aWQ.dG9r.ZW4"}`)(w, r)
		}
	}))
	defer front.Close()
	i := at(front.URL, "")
	i.meta = &Metadata{Issuer: front.URL, TokenEndpoint: front.URL + "/token", DeviceEndpoint: front.URL + "/device"}
	d, err := i.StartDevice(t.Context(), frontClient, []string{"openid"})
	if err != nil || form.Get("client_id") != frontClient.ID || form.Get("client_secret") != "" || d.interval != time.Second {
		t.Fatalf("%v, %v, asked with %v", d, err, form)
	}
	i.meta.Product = Dex
	auto := frontClient
	auto.Auth = ""
	if _, err := i.StartDevice(t.Context(), auto, []string{"openid"}); err != nil || form.Get("client_secret") != string(auto.Secret) {
		t.Errorf("Dex: %v, the form has %d fields", err, len(form))
	}
	_, err = i.Await(t.Context(), frontClient, d)
	if e, ok := errors.AsType[*VerifyError](err); !ok || e.What != "access_token" || polls != 1 {
		t.Errorf("%v after %d polls", err, polls)
	}
}
