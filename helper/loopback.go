package helper

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
)

// A loopback waits on 127.0.0.1 for the one request by which a browser brings
// the answer of a login (RFC 8252 §7.3), and shows the user how it ended.
type loopback struct {
	uri    string
	ctx    context.Context // without the deadline of the login, for the end of it
	server *http.Server
	asked  chan url.Values // the one answer
	once   chan struct{}   // holds one token: whoever takes it is the answer
	ended  chan error      // how the login ended, for the page
	shown  chan struct{}   // closed when the page was written
}

// callback is the only path that is served.
const callback = "/callback"

// listen opens the first of the ports that is free, or any. IPv4 by name: some
// systems resolve localhost to an address that the browser cannot reach.
func listen(ctx context.Context, ports []int) (*loopback, error) {
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
		return nil, &Problem{Kind: ErrProfile, Detail: "login: no port to listen on for the browser's answer", Err: err, Remedy: "another --port, or --device"}
	}
	b := &loopback{
		ctx: context.WithoutCancel(ctx), uri: "http://" + listener.Addr().String() + callback, asked: make(chan url.Values, 1),
		once: make(chan struct{}, 1), ended: make(chan error, 1), shown: make(chan struct{}),
	}
	b.once <- struct{}{}
	b.server = &http.Server{Handler: http.HandlerFunc(b.serve), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10}
	go func() { _ = b.server.Serve(listener) }() // ends by finish
	return b, nil
}

func (b *loopback) serve(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src '"+scriptHash+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	if req.Method != http.MethodGet || req.URL.Path != callback {
		http.NotFound(w, req)
		return
	}
	query := req.URL.Query()
	if !query.Has("code") && !query.Has("error") {
		// No answer of anybody's (RFC 6749 §4.1.2): a scan, a prefetch. It ends nothing.
		// One with a wrong state does end the login: the user is to know at once that
		// somebody is meddling, and loses nothing but a login.
		w.WriteHeader(http.StatusBadRequest)
		b.page(w, "Not an answer", "This address is for the answer to a login, and this was none. The login goes on waiting.")
		return
	}
	select {
	case <-b.once:
	default:
		w.WriteHeader(http.StatusGone)
		b.page(w, "Already answered", "This login has already been answered. You can close this window.")
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
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, &Problem{
			Kind: ErrLoginRequired, Detail: "login: nobody answered in the browser in time",
			Remedy: fmt.Sprintf("if the browser showed an error, the redirect URI %s may not be registered with the client; t2-cred login --device needs none", b.uri),
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
