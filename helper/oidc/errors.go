package oidc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

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
	RetryAfter  time.Duration // from Retry-After; zero when not given
	Remedy      string        // what to do, where more than the words is known
}

func (e *Error) Error() string {
	switch {
	case e.Code != "" && e.Description != "":
		return fmt.Sprintf("%s %q", e.Code, e.Description)
	case e.Code != "":
		return e.Code
	}
	return fmt.Sprintf("HTTP %d %s", e.Status, http.StatusText(e.Status))
}

// Temporary reports whether nothing was decided: the issuer is overloaded or broken
// (429, 5xx, the codes that RFC 6749 §4.1.2.1 has for it), or the answer of a token
// endpoint has no OAuth error code, so something before the issuer may have answered.
// Keycloak 24 to 26 answers 500 when no provider takes an exchange; that one is a
// refusal.
func (e *Error) Temporary() bool {
	if r := e.remedy(); r != nil && r.refusal {
		return false
	}
	return e.overloaded() || e.Code == "" && e.Op != "discovery" && e.Op != "jwks"
}

// overloaded is of an answer that a second try may better.
func (e *Error) overloaded() bool {
	if r := e.remedy(); r != nil && r.refusal {
		return false
	}
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout || e.Status >= 500 ||
		e.Code == "temporarily_unavailable" || e.Code == "server_error"
}

// Hint says what to do about a refusal that is known, or is empty.
func (e *Error) Hint() string {
	if e.Remedy != "" {
		return e.Remedy
	}
	if r := e.remedy(); r != nil {
		return r.do
	}
	return ""
}

// A ConfigError is a profile and an issuer that do not fit together: a wrong
// issuer URL, an issuer of another name, endpoints that are not https.
type ConfigError struct {
	Detail string
	Remedy string
}

func (e *ConfigError) Error() string { return e.Detail }

// Hint is the next command to type, or empty.
func (e *ConfigError) Hint() string { return e.Remedy }

// unreachable wraps a failure to get an answer; sent are the secrets that the
// request carried.
func unreachable(op string, err error, sent ...secret.Secret) error {
	why := cleanWords(err.Error(), sent...)
	if errors.Is(err, context.DeadlineExceeded) {
		why = "no answer in time"
	}
	return &netError{text: fmt.Sprintf("%s: %s", op, why), err: err}
}

type netError struct {
	text string
	err  error
}

func (e *netError) Error() string   { return fmt.Sprintf("%s: %s", ErrUnreachable, e.text) }
func (e *netError) Unwrap() []error { return []error{ErrUnreachable, e.err} }

// Hint tells a certificate nobody vouches for from a network that is down.
func (e *netError) Hint() string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var op *net.OpError
	var proxy *proxyError
	switch {
	case errors.As(e.err, &op) && op.Op == "proxyconnect":
		return "check the proxy: HTTPS_PROXY in the environment, and NO_PROXY for hosts that are reached without it"
	case errors.As(e.err, &proxy):
		return proxy.hint()
	case errors.As(e.err, &unknown):
		return "if the issuer's certificate is from a private CA, name its PEM file: ca_file in the profile (profile add --ca-file)"
	case errors.As(e.err, &host):
		return "the certificate is for another host; check the issuer's address"
	}
	return ""
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
