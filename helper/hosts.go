package helper

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/terradue/t2-cred/helper/oidc"
)

// ErrNotMine says that no profile sends tokens to that host. A hook answers it
// with its protocol's words for "ask somebody else".
var ErrNotMine = errors.New("no profile is for that host")

// Serves reports whether the profile's hosts name where u points to. A host is
// named exactly, with its port unless that is the scheme's own, or by an explicit
// leading "*." for the names below a domain that are its owner's: a wildcard below
// a public suffix ("*.co.uk") matches nothing, and none reaches across one
// ("*.amazonaws.com" is not for alice.s3.amazonaws.com). Tokens go to https, and to
// http on loopback only.
func (p Profile) Serves(u *url.URL) bool {
	host, port, ok := target(u)
	if !ok {
		return false
	}
	for _, pattern := range p.Hosts {
		if matchHost(pattern, host, port, u.Scheme) {
			return true
		}
	}
	return false
}

// target is u's host in lower case and its port, if a token may go there at all.
// An empty label, a trailing dot, user information, or a host that is not plain ASCII names the
// same machine in another way to somebody, so they are nobody's.
func target(u *url.URL) (host, port string, ok bool) {
	host = strings.ToLower(u.Hostname())
	if host == "" || u.User != nil || u.Opaque != "" || strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".") || strings.Contains(host, "..") {
		return "", "", false
	}
	for n := 0; n < len(host); n++ {
		if c := host[n]; c <= ' ' || c >= 0x7f || strings.IndexByte(`/\@?#%*`, c) >= 0 {
			return "", "", false
		}
	}
	switch {
	case u.Scheme == "https":
		port = "443"
	case u.Scheme == "http" && oidc.Loopback(host):
		port = "80"
	default:
		return "", "", false
	}
	if p := u.Port(); p != "" {
		port = p
	}
	return host, port, true
}

// matchHost compares with one entry of hosts, "name", "name:port", "*.domain" or
// "*.domain:port".
func matchHost(pattern, host, port, scheme string) bool {
	name, wantPort := strings.ToLower(pattern), ""
	if h, p, err := net.SplitHostPort(name); err == nil {
		name, wantPort = h, p
	}
	name = strings.Trim(name, "[]") // an IPv6 address without a port
	if wantPort == "" {
		wantPort = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	if port != wantPort {
		return false
	}
	if domain, ok := strings.CutPrefix(name, "*."); ok {
		return strings.HasSuffix(host, "."+domain) && sameOwner(host, domain)
	}
	return host == name
}

// sameOwner reports whether a host and the domain above it are one registrant's:
// neither is domain a public suffix, nor is there one between the two, as within
// amazonaws.com, where anybody gets names below the service's own.
func sameOwner(host, domain string) bool {
	ours, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return false
	}
	theirs, err := publicsuffix.EffectiveTLDPlusOne(host)
	return err == nil && ours == theirs
}
