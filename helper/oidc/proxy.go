package oidc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
)

// A proxyError is of a proxy that does not let us through to the issuer: the request
// was not sent. net/http tells its status line alone, which looks like the issuer's.
type proxyError struct {
	host    string
	status  int
	schemes []string // of Proxy-Authenticate
}

func (e *proxyError) Error() string {
	text := fmt.Sprintf("the proxy %s answers %d %s", Clean(e.host), e.status, http.StatusText(e.status))
	if len(e.schemes) > 0 {
		text += " (" + strings.Join(e.schemes, ", ") + ")"
	}
	return text
}

const checkProxy = "check the proxy: HTTPS_PROXY in the environment, and NO_PROXY for hosts that are reached without it"

// hint is what to do. (tinyproxy says 401 where RFC 9110 §15.5.8 has 407.)
func (e *proxyError) hint() hint.Remedy {
	switch e.status {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized:
		if len(e.schemes) > 0 && !slices.ContainsFunc(e.schemes, func(s string) bool { return strings.EqualFold(s, "Basic") }) {
			return hint.Say("the proxy asks for " + strings.Join(e.schemes, " or ") + ", and t2-cred speaks Basic alone; ask the operator of the proxy for another way, or name the issuer in NO_PROXY if it is reached without one")
		}
		return hint.Say("the proxy asks for a user name: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT in the environment")
	case http.StatusForbidden:
		return hint.Say("the proxy lets nobody through to this issuer; ask its operator, or name the issuer in NO_PROXY if it is reached without one")
	}
	return hint.Say(checkProxy)
}

// proxyAnswer looks at a proxy's answer to CONNECT. Its host is all that is told of it:
// its URL has the password.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	e := &proxyError{host: proxy.Host, status: answer.StatusCode}
	for _, challenge := range answer.Header.Values("Proxy-Authenticate") {
		if scheme, _, _ := strings.Cut(challenge, " "); scheme != "" {
			e.schemes = append(e.schemes, Clean(strings.TrimRight(scheme, ",")))
		}
	}
	return e
}

// ProxyFromEnvironment is the proxy of HTTPS_PROXY, HTTP_PROXY and NO_PROXY for a
// request. An address that cannot be read is an error without it, as a password may be
// in it.
func ProxyFromEnvironment(req *http.Request) (*url.URL, error) {
	return checkedProxy(http.ProxyFromEnvironment(req))
}

func checkedProxy(proxy *url.URL, err error) (*url.URL, error) {
	// What is no URL is taken for one without a scheme: the rest is then a path, with
	// the password in it.
	if err != nil || proxy != nil && (strings.Trim(proxy.Path, "/") != "" || proxy.Hostname() == "") {
		return nil, &ConfigError{Detail: "the address of the proxy cannot be read", Remedy: hint.Say("correct HTTPS_PROXY or HTTP_PROXY: http://HOST:PORT")}
	}
	return proxy, nil
}

// A proxyFailure is of a connection that a proxy was to make, and that did not come
// about: it hangs, or answers what is not HTTP.
type proxyFailure struct {
	host string
	err  error
}

func (e *proxyFailure) Error() string {
	return fmt.Sprintf("no connection through the proxy %s: %s", Clean(e.host), kindOf(e.err))
}

func (e *proxyFailure) Unwrap() error { return e.err }
