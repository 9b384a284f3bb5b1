package oidc

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
)

// TestProxy_isNamed: whatever a proxy does instead of letting us through, the error
// names it, says its schemes, and the request was not sent.
func TestProxy_isNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		answer     string // empty: none
		says, hint string
	}{
		"Negotiate":          {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM abc\r\n\r\n", "407 Proxy Authentication Required (Negotiate, NTLM)", "asks for Negotiate or NTLM"},
		"Basic":              {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", "407", "USER:PASSWORD"},
		"Basic among others": {"HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: basic realm=\"x\"\r\n\r\n", "(Negotiate, basic)", "USER:PASSWORD"},
		"a refusal":          {"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden", "lets nobody through"},
		"garbage":            {"SSH-2.0-OpenSSH_9.2 \x1b[31m\r\n", "the answer is not HTTP", "check the proxy"},
		"nothing":            {"", "no answer in time", "check the proxy"},
		"a connection cut":   {"HTTP/1.1", "", "check the proxy"},
	} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if tt.answer != "" {
					_, _ = io.WriteString(conn, tt.answer)
					_ = conn.(*net.TCPConn).CloseWrite()
					_, _ = io.Copy(io.Discard, conn)
					conn.Close()
				}
			}
		}()
		i := New("https://issuer.example", Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		i.meta = &Metadata{TokenEndpoint: "https://issuer.example/token", RevocationEndpoint: "https://issuer.example/revoke"}
		must(i.client()).Transport.(*guard).next.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()})
		ctx, cancel := contextWithTimeout(t, 700*time.Millisecond)
		_, err = i.Spend(ctx, frontClient, RefreshGrant(oldToken), Spending{})
		_, revoked := i.Revoke(ctx, frontClient, oldToken)
		cancel()
		if said := hint.Of(err).String(); !errors.Is(err, ErrUnreachable) || Sent(err) || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(said, tt.hint) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v (hint: %s)", name, err, said)
		}
		if name != "nothing" && !strings.Contains(revoked.Error(), l.Addr().String()) {
			t.Errorf("%s, revocation: %v", name, revoked)
		}
		l.Close()
	}
}

// TestProxy_addressIsNotShown: it may hold a password, and no direct connection takes its
// place.
func TestProxy_addressIsNotShown(t *testing.T) {
	for _, text := range []string{"bob:pa/ss@proxy:3128", "http://bob:pa/ss@proxy:3128", "http:///x", "//"} {
		u, err := url.Parse(text)
		if err != nil {
			u, err = nil, errors.New("parse "+text)
		}
		proxy, err := checkedProxy(u, err)
		if proxy != nil || err == nil || strings.Contains(err.Error(), "ss@proxy") || !strings.Contains(hint.Of(err).String(), "HTTPS_PROXY") {
			t.Errorf("%s: %v, %v", text, proxy, err)
		}
	}
	for _, text := range []string{"http://proxy:3128", "http://bob:pass@proxy:3128/", "socks5://proxy", "https://proxy"} {
		u, _ := url.Parse(text)
		if proxy, err := checkedProxy(u, nil); err != nil || proxy != u {
			t.Errorf("%s: %v", text, err)
		}
	}
	if proxy, err := checkedProxy(nil, nil); proxy != nil || err != nil {
		t.Errorf("no proxy: %v, %v", proxy, err)
	}
	wrong := unreachable("refresh", &url.Error{Op: "Post", URL: "https://issuer.example/token", Err: &ConfigError{Detail: "the address of the proxy cannot be read", Remedy: hint.Say("correct HTTPS_PROXY")}})
	if hint.Of(wrong).String() != "correct HTTPS_PROXY" {
		t.Errorf("%v (hint: %s)", wrong, hint.Of(wrong))
	}
}
