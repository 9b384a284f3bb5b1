package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/terradue/t2-cred/helper"
)

// goauth is a command of GOAUTH: https://go.dev/ref/mod#private-module-proxy-auth
// and `go help goauth`.
var goauth = Protocol{
	Name: "goauth", Args: "[URL]",
	Short: "GOAUTH command of go",
	Long: `Answer go (1.24 or later). With

  go env -w GOAUTH='t2-cred goauth; netrc'

go asks when a server has answered an HTTPS request with 4xx, and keeps the token for that
host until it ends. The host must be among a profile's hosts. With --prefix go has the token
from its first request on, and for nothing outside of that URL:

  go env -w GOAUTH='t2-cred goauth --prefix https://go.example.org/private; netrc'`,
	Options: []Option{{Name: "prefix", Usage: "https URL below which alone the token may be sent"}, longRunOption},
	Begins:  func(text []byte) bool { return bytes.HasPrefix(text, []byte("HTTP/")) },
	Serve:   serveGoauth,
}

// serveGoauth answers both calls: the one before go's first fetch, without
// arguments, and the one after a 4xx answer. That has the URL as the last argument and
// the head of the answer on standard input. Nothing printed is no credential.
func serveGoauth(ctx context.Context, c *Call) error {
	prefix, err := goPrefix(c.Option["prefix"])
	if err != nil {
		return err
	}
	var head goHead
	target := prefix // of the first call
	switch len(c.Args) {
	case 0:
		if prefix == nil {
			c.explain("go names no server in its first call, and there is no --prefix")
			return nil
		}
	case 1:
		if target, err = url.Parse(c.Args[0]); err != nil || target.Scheme != "https" || prefix != nil && !below(prefix, target) {
			c.explain("the URL is not https, or not below --prefix")
			return nil
		}
		if head, err = readGoHead(c.Stdin); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w: go calls t2-cred goauth with one URL or none", ErrUsage)
	}
	r, err := forLongRun(c, helper.Request{URL: target})
	if err != nil {
		return err
	}
	cred, err := c.Get(ctx, r)
	if err == nil && head.refuses(prefix != nil) {
		if err = c.Reject(ctx, r, cred.Token.Reveal()); err == nil {
			cred, err = c.Get(ctx, r)
		}
	}
	if errors.Is(err, helper.ErrNotMine) {
		return nil
	}
	if err != nil {
		return err
	}
	place := &url.URL{Scheme: "https", Host: target.Host, Path: "/"}
	if prefix != nil {
		place = prefix
	}
	// Both empty lines are part of it, the last one too.
	_, err = io.WriteString(c.Stdout, place.String()+"\n\nAuthorization: Bearer "+cred.Token.Reveal()+"\n\n")
	return err
}

// goPrefix is --prefix, or nil.
func goPrefix(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !isClean(u.Path) {
		return nil, fmt.Errorf("%w: --prefix %q is not an https URL such as https://go.example.org/private", ErrUsage, text)
	}
	return u, nil
}

// below compares as go does, by whole segments of the path, and then some: a
// server may take "/private/../other" for a path that is not below the prefix.
func below(prefix, u *url.URL) bool {
	if u.Host != prefix.Host || !isClean(u.Path) {
		return false
	}
	root := strings.TrimSuffix(prefix.Path, "/")
	return u.Path == root || strings.HasPrefix(u.Path, root+"/")
}

func isClean(p string) bool {
	return p == "" || path.Clean("/"+p) == strings.TrimSuffix(p, "/") || p == "/"
}

// A goHead is what of an answer's head tells whether our token was refused.
type goHead struct {
	status  int
	bearer  bool // it has a Bearer challenge
	errored bool // a challenge has an error in it
}

// refuses reports whether the answer is to a request that had our token. One
// that go had from the start was sent. Else this may be the first request of
// this go: a server that got no token says so by a Bearer challenge without an
// error (RFC 6750 §3.1), and then the cached token is as good as before.
func (h goHead) refuses(sent bool) bool {
	if h.status != http.StatusUnauthorized {
		return false
	}
	return sent || h.errored || !h.bearer
}

// readGoHead reads the head of an HTTP answer as go writes it; nothing at all is
// an answer that is not known.
func readGoHead(in io.Reader) (h goHead, err error) {
	bad := func(why string) (goHead, error) { return goHead{}, fmt.Errorf("the answer that go passes on: %s", why) }
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return goHead{}, fmt.Errorf("the answer that go passes on: %w", err)
	case len(text) == 0:
		return goHead{}, nil
	case len(text) > maxInput:
		return bad(fmt.Sprintf("it is longer than %d bytes", maxInput))
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	lines, _, whole := strings.Cut("\n"+rest, "\n\n")
	switch {
	case strings.ContainsAny(string(text), "\r\x00"):
		return bad("a control character is in it")
	case !whole:
		return bad("it was cut off")
	}
	words := strings.Fields(first)
	if len(words) < 2 || !strings.HasPrefix(words[0], "HTTP/") {
		return bad("it does not begin with a status line")
	}
	if h.status, err = strconv.Atoi(words[1]); err != nil {
		return bad("its status is not a number")
	}
	for line := range strings.SplitSeq(lines, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "WWW-Authenticate") {
			h.bearer = h.bearer || hasChallenge(value, "Bearer")
			h.errored = h.errored || strings.Contains(value, "error=")
		}
	}
	return h, nil
}
