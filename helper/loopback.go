package helper

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
)

// A loopback waits on 127.0.0.1 for the one request by which a browser brings
// the answer of a login (RFC 8252 §7.3), and shows the user how it ended.
//
// Other users of the machine can reach the port, and they can read the argv of the
// program that opens the browser. So the address in that argv is good for one use: it
// gives the browser a cookie and sends it on to the issuer. An answer counts only
// with that cookie and with the login's state.
type loopback struct {
	uri    string // of the callback
	start  string // the address to open, once
	host   string
	cookie *http.Cookie
	ctx    context.Context // without the deadline of the login, for the end of it
	server *http.Server
	asked  chan url.Values // the one answer
	once   chan struct{}   // holds one token: whoever takes it is the answer
	unused chan struct{}   // the same for the start
	abused chan error      // why the login ends without an answer
	ended  chan error      // how the login ended, for the page
	shown  chan struct{}   // closed when the page was written
	again  hint.Command
	byCode bool  // again needs no redirect URI
	users  []int // whose browser may take part, beside ours and root's; set before begin

	authorization atomic.Pointer[oidc.Authorization]
}

const (
	callback  = "/callback"
	startPath = "/start/"
)

// listen opens the first of the ports that is free, or any. IPv4 by name: some
// systems resolve localhost to an address that the browser cannot reach.
// Again is the command for a new login, if this one is abused. With byCode it needs no port.
func listen(ctx context.Context, ports []int, again hint.Command, byCode bool) (*loopback, error) {
	if len(ports) == 0 {
		ports = []int{0}
	}
	var listener net.Listener
	var err error
	for _, port := range ports {
		var conf net.ListenConfig
		if listener, err = conf.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			break
		}
	}
	if err != nil {
		remedy := hint.Do(hint.Words("name a port that is free with --port, or use a code: "), again)
		if !byCode {
			remedy = hint.Do(hint.Words("name a port that is free: "), again.With("--port", "PORT"))
		}
		return nil, &hint.Error{Kind: ErrProfile, Detail: "login: no port to listen on for the browser's answer", Err: err, Remedy: remedy}
	}
	b := newLoopback(ctx, listener.Addr().String(), again)
	b.byCode = byCode
	go func() { _ = b.server.Serve(listener) }() // ends by finish
	return b, nil
}

func newLoopback(ctx context.Context, host string, again hint.Command) *loopback {
	b := &loopback{
		again: again,
		ctx:   context.WithoutCancel(ctx), host: host, uri: "http://" + host + callback, start: "http://" + host + startPath + rand.Text(),
		asked: make(chan url.Values, 1), once: make(chan struct{}, 1), unused: make(chan struct{}, 1),
		abused: make(chan error, 1), ended: make(chan error, 1), shown: make(chan struct{}),
	}
	b.once <- struct{}{}
	b.unused <- struct{}{}
	// Cookies do not tell ports apart, so the name does. The browser comes to the
	// callback by a link of the issuer's: SameSite must be lax.
	_, port, _ := net.SplitHostPort(host)
	b.cookie = &http.Cookie{Name: "t2-cred-login-" + port, Value: rand.Text(), Path: callback, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	b.server = &http.Server{Handler: http.HandlerFunc(b.serve), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10}
	return b
}

// begin makes the start lead to the issuer.
func (b *loopback) begin(a *oidc.Authorization) { b.authorization.Store(a) }

func (b *loopback) serve(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src '"+scriptHash+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case req.Method != http.MethodGet || req.Host != b.host: // another name for this address is a page's of elsewhere
		http.NotFound(w, req)
	case req.URL.Path == callback:
		b.answer(w, req)
	case same("http://"+req.Host+req.URL.Path, b.start) && b.authorization.Load() != nil:
		b.open(w, req)
	default:
		http.NotFound(w, req)
	}
}

// open sends the browser to the issuer. The address is good once: a second use, or
// one by another user of the machine, means that somebody has read it, and perhaps
// has logged in as himself.
func (b *loopback) open(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Sec-Purpose") != "" || req.Header.Get("Purpose") != "" || req.Header.Get("X-Moz") != "" {
		w.WriteHeader(http.StatusServiceUnavailable) // a prefetch is no use
		return
	}
	if b.answered() {
		b.already(w)
		return
	}
	abuse := ""
	select {
	case <-b.unused:
		if who := anotherUser(req.RemoteAddr, b.host, b.users); who != "" {
			abuse = who + " opened the address to log in at, which was meant for you"
		}
	default:
		abuse = "the address to log in at was opened twice; it is good for one use"
	}
	if abuse == "" {
		http.SetCookie(w, b.cookie)
		http.Redirect(w, req, b.authorization.Load().URL, http.StatusSeeOther)
		return
	}
	w.WriteHeader(http.StatusGone)
	b.page(w, "Login ended", "This address is good for one use. It was used before, or by another user. The login has ended. The terminal says what to do.")
	select {
	case b.abused <- &oidc.VerifyError{What: "login", Why: abuse, Identity: true}:
	default:
	}
}

// answer takes the one answer. What is none ends nothing: it may come from a scan, a
// prefetch, a page that knows the port, or another user.
func (b *loopback) answer(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	switch isAnswer := query.Has("code") || query.Has("error"); {
	case isAnswer && b.answered():
		b.already(w)
		return
	case !isAnswer || !b.hasCookie(req) || !b.authorization.Load().Answers(query):
		w.WriteHeader(http.StatusBadRequest)
		b.page(w, "Not an answer", "This address is for the answer to a login, and this was none. The login goes on waiting.")
		return
	}
	select {
	case <-b.once:
	default:
		b.already(w)
		return
	}
	defer close(b.shown)
	b.asked <- query
	select {
	case err := <-b.ended:
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			b.page(w, "Login failed", "The login did not succeed: "+err.Error()+". The terminal says what to do. You can close this window.")
			return
		}
		b.page(w, "Logged in", "You are logged in, and the application has what it needs. You can close this window.")
	case <-req.Context().Done():
	}
}

func (b *loopback) answered() bool { return len(b.once) == 0 }

func (b *loopback) already(w http.ResponseWriter) {
	w.WriteHeader(http.StatusGone)
	b.page(w, "Already answered", "This login has already been answered. You can close this window.")
}

// hasCookie is true only after the start, which made the browser take it.
func (b *loopback) hasCookie(req *http.Request) bool {
	return slices.ContainsFunc(req.CookiesNamed(b.cookie.Name), func(c *http.Cookie) bool { return same(c.Value, b.cookie.Value) })
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// script takes the code out of the address bar and the history: it is spent, but it is
// nobody's. A browser without scripts shows the page all the same. scriptHash is what
// alone lets it run (Content Security Policy Level 3 §2.3.1).
const (
	script     = `history.replaceState(null,"",location.pathname)`
	scriptHash = "sha256-8A+3er73YJf04rRHGhbZwZQACPiiipi9EPduIeAAIDk="
)

// pageHTML is plain on purpose: nothing from elsewhere, no picture, nothing of the answer
// but its error; readable by anybody and any reader, by day and by night, on a telephone.
// %[1]s is the title, %[2]s the text.
const pageHTML = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>t2-cred: %[1]s</title>
<style>body{font:1.125rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto 2rem;padding:0 1rem;overflow-wrap:anywhere;color:#1a1a1a;background:#fff}
h1{line-height:1.2}@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}}</style>
<script>` + script + `</script></head>
<body><main><h1>%[1]s</h1><p>%[2]s</p></main></body>
</html>
`

func (b *loopback) page(w http.ResponseWriter, title, text string) {
	_, _ = fmt.Fprintf(w, pageHTML, title, html.EscapeString(oidc.Clean(text)))
}

// wait returns the answer's parameters.
func (b *loopback) wait(ctx context.Context) (url.Values, error) {
	select {
	case query := <-b.asked:
		return query, nil
	case err := <-b.abused:
		return nil, &hint.Error{Kind: err, Remedy: hint.Do(b.again)}
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		what := fmt.Sprintf("if the browser showed an error, the redirect URI %s may not be registered with the client; ", b.uri)
		if b.byCode {
			what += "without one: "
		} else {
			what += "ask its admin to add it, and then: "
		}
		return nil, &hint.Error{
			Kind: ErrLoginRequired, Detail: "login: nobody answered in the browser in time", Remedy: hint.Do(hint.Words(what), b.again),
		}
	}
}

// finish shows the page, if a browser waits for it, and closes the port.
func (b *loopback) finish(err error) {
	select {
	case <-b.once: // nobody came, and nobody shall
	default:
		b.ended <- err
		select {
		case <-b.shown:
		case <-time.After(3 * time.Second):
		}
	}
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	if b.server.Shutdown(ctx) != nil {
		_ = b.server.Close()
	}
}
