package oidc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// A proxyError is a proxy that does not let us through to the issuer: nothing was sent
// to whom it was for. net/http has its status line alone, which looks like the issuer's.
type proxyError struct {
	host   string
	status int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answers %d %s", Clean(e.host), e.status, http.StatusText(e.status))
}

// hint is what to do. (tinyproxy says 401 where RFC 9110 §15.5.8 has 407.)
func (e *proxyError) hint() string {
	switch e.status {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized:
		return "the proxy wants to know who asks: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT in the environment"
	case http.StatusForbidden:
		return "the proxy does not let anybody through to this issuer; ask who runs it, or name the issuer in NO_PROXY if it is reached without"
	}
	return "check the proxy: HTTPS_PROXY in the environment, and NO_PROXY for hosts that are reached without it"
}

// proxyAnswer looks at a proxy's answer to CONNECT. Its host is all that is told of it:
// its URL has the password.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{host: proxy.Host, status: answer.StatusCode}
}
