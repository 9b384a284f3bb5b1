package oidc

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// ErrUnreachable is wrapped by every failure to get an answer that can be
// understood: no connection, a timeout, a cut connection, an answer that is not
// the protocol's. Nothing was decided by the issuer; try later.
var ErrUnreachable = errors.New("issuer unreachable")

// An Error is the issuer's own refusal (RFC 6749 §5.2), or an HTTP status
// without one.
type Error struct {
	Op          string        // what was asked: "exchange", "refresh", "revoke", "discovery"
	Status      int           // HTTP status
	Code        string        // `error`; empty when the answer had none
	Description string        // `error_description`, cleaned
	Redacted    bool          // a secret was taken out of Code or Description: keep neither
	RetryAfter  time.Duration // from Retry-After; zero when not given
	Product     Product       // of the server; empty when it is not known
	Address     string        // that was asked, cleaned; empty when it is not known
	Remedy      hint.Remedy   // what to do, where more than the words is known

	// Profile and Account are what the commands of a hint name.
	Profile, Account string
}

func (e *Error) Error() string {
	switch {
	case e.Code != "" && e.Description != "":
		return fmt.Sprintf("%s %q", e.Code, e.Description)
	case e.Code != "":
		return e.Code
	}
	status := fmt.Sprintf("HTTP %d %s", e.Status, http.StatusText(e.Status))
	if e.Op == discoveryKind || e.Op == keysKind {
		status = e.Op + ": " + status
	}
	if e.Description != "" {
		return fmt.Sprintf("%s %q", status, e.Description)
	}
	return status
}

// NotThere reports whether nothing answers the request at this address.
func (e *Error) NotThere() bool {
	return e.Code == "" && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}

// stoppedBefore is of an answer that is no OAuth error and not one of an overloaded server.
func (e *Error) stoppedBefore() bool {
	public := e.Op == discoveryKind || e.Op == keysKind
	return e.Code == "" && !public && e.Status >= 300 && e.Status < 500 && !e.overloaded()
}

// hintByMeaning is what to do where the issuer's words are not known, but what they mean.
func (e *Error) hintByMeaning() hint.Remedy {
	switch means := e.Means(); {
	case means == MeansClientRefused:
		return setSecret(e)
	case means == MeansUserTokenRefused && e.Op == opExchange:
		return newSubject(tokenEnded)(e)
	case e.stoppedBefore():
		return hint.Say("that is no OAuth error, so a gateway before the issuer may have answered; try later, or " + AskAdmin + "let requests through to " + cmp.Or(e.Address, "it"))
	}
	return nil
}

// A ConfigError is a profile and an issuer that do not fit together: a wrong
// issuer URL, an issuer of another name, endpoints that are not https.
type ConfigError struct {
	Detail string
	Remedy hint.Remedy
}

func (e *ConfigError) Error() string { return e.Detail }

// Hint is what to do; nil when nothing is known.
func (e *ConfigError) Hint() hint.Remedy { return e.Remedy }

// unreachable wraps a failure to get an answer; sent are the secrets that the
// request carried.
func unreachable(op string, err error, sent ...secret.Secret) error {
	why := cleanWords(err.Error(), sent...)
	var proxy *proxyFailure
	switch {
	case errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &proxy):
		why = "no answer in time"
	case errors.Is(err, http.ErrSchemeMismatch):
		why = "the server speaks http on this port, and not https" + addressOf(err)
	}
	return &netError{text: fmt.Sprintf("%s: %s", op, why), err: err}
}

// addressOf is the address that a request went to, as the end of a message.
func addressOf(err error) string {
	var asked *url.Error
	if !errors.As(err, &asked) {
		return ""
	}
	u, err := url.Parse(asked.URL)
	if err != nil {
		return ""
	}
	return ": " + cleanWords(u.Host)
}

type netError struct {
	text string
	err  error
}

func (e *netError) Error() string   { return fmt.Sprintf("%s: %s", ErrUnreachable, e.text) }
func (e *netError) Unwrap() []error { return []error{ErrUnreachable, e.err} }

// A redirectError is the answer of a token endpoint that names another place.
type redirectError struct{ to string }

func (e *redirectError) Error() string {
	return fmt.Sprintf("the token endpoint redirects to %s; tokens do not follow redirects", e.to)
}

// Hint tells a certificate nobody vouches for from a network that is down.
func (e *netError) Hint() hint.Remedy {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var name *net.DNSError
	var op *net.OpError
	var proxy *proxyError
	var failure *proxyFailure
	var wrong *ConfigError
	var redirect *redirectError
	switch {
	case errors.As(e.err, &redirect):
		return hint.Say("a gateway or a login page may stand before the issuer; " + AskAdmin + "answer at the token endpoint itself")
	case errors.As(e.err, &wrong):
		return wrong.Remedy
	case errors.As(e.err, &op) && op.Op == "proxyconnect":
		return hint.Say(checkProxy)
	case errors.As(e.err, &proxy):
		return proxy.hint()
	case errors.As(e.err, &failure):
		return hint.Say(checkProxy)
	case errors.As(e.err, &unknown):
		return hint.Say("if the issuer's certificate is from a private CA, name its PEM file: ca_file in the profile (profile add --ca-file)")
	case errors.As(e.err, &host):
		return hint.Say("the certificate is for another host; check the issuer's address")
	case errors.As(e.err, &invalid) && invalid.Reason == x509.Expired:
		return hint.Say("check this machine's clock; if it is right, " + AskAdmin + "renew the server's certificate")
	case errors.Is(e.err, http.ErrSchemeMismatch):
		return hint.Say("check the scheme and the port of the issuer's address: https has a port of its own, and http is for loopback alone")
	case errors.As(e.err, &name) && name.IsNotFound:
		return hint.Say("no server has the name " + cleanWords(name.Name) + ": check the issuer's address and this machine's DNS; behind a proxy, set HTTPS_PROXY")
	}
	return hint.Say("check the network, the issuer's address, and HTTPS_PROXY and NO_PROXY; -v shows what was asked")
}

// retryAfter reads a Retry-After header (RFC 9110 §10.2.3), seconds or date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil && s >= 0 {
		return time.Duration(min(s, 24*3600)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}
