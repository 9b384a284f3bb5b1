package helper

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
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

// target is u's host in its one spelling and its port, if a token may go there at all.
// User information is refused, and so is each host that isName refuses: another program
// may take it for another machine.
func target(u *url.URL) (host, port string, ok bool) {
	if u.User != nil || u.Opaque != "" {
		return "", "", false
	}
	if strings.HasPrefix(u.Host, "[") {
		host, ok = literalIPv6(u.Hostname())
	} else {
		host = strings.ToLower(u.Hostname())
		ok = isName(host) && !strings.Contains(u.Host, "]")
	}
	if !ok {
		return "", "", false
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
	if literal, ok := literalIPv6(name); ok {
		name = literal
	}
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

// isName reports whether host is labels of letters, digits, "-" and "_", with dots
// between them, in lower case.
func isName(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for n := range len(label) {
			if c := label[n]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// literalIPv6 is the canonical spelling of an IPv6 address without brackets and zone.
func literalIPv6(text string) (canonical string, ok bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", false
	}
	return addr.String(), true
}

// CheckHost is the normal form of one entry of a profile's hosts: "name", "name:port",
// "*.domain", "*.domain:port" or an IPv6 address in brackets. It takes an https URL
// without a path for its host, and writes an international name in its xn-- form. Its
// error says why an entry would never match, and does not repeat the entry, which may
// be a secret in the wrong place.
func CheckHost(entry string) (normal string, err error) {
	text := entry
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if text = strings.TrimSuffix(rest, "/"); !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
			return "", errors.New("a token goes to https only")
		}
		if name, _, err := splitHost(text); err == nil && strings.EqualFold(scheme, "http") && !oidc.Loopback(name) {
			return "", errors.New("a token goes to https only, and to http on loopback")
		}
	}
	switch {
	case text == "":
		return "", errors.New("it is empty")
	case strings.ContainsAny(text, ", \t\r\n;"):
		return "", errors.New("it must be one host; give each host its own --host")
	case strings.Contains(text, "@"):
		return "", errors.New("it must not name a user")
	case strings.ContainsAny(text, `/\?#`):
		return "", errors.New("it must be a host without a path")
	}
	name, port, err := splitHost(text)
	if err != nil {
		return "", err
	}
	if literal, ok := literalIPv6(name); ok {
		return "[" + literal + "]" + port, nil
	}
	domain, wild := strings.CutPrefix(name, "*.")
	if domain, err = asciiName(domain); err != nil {
		return "", err
	}
	if !wild {
		return domain + port, nil
	}
	if _, err := publicsuffix.EffectiveTLDPlusOne(domain); err != nil {
		return "", errors.New("anybody can register names below this domain, so a wildcard for it matches nothing")
	}
	return "*." + domain + port, nil
}

// splitHost takes an entry apart. port is empty or begins with its colon.
func splitHost(text string) (name, port string, err error) {
	if _, ok := literalIPv6(text); ok {
		return text, "", nil
	}
	name, port = text, ""
	if rest, ok := strings.CutPrefix(text, "["); ok {
		name, port, ok = strings.Cut(rest, "]")
		if _, six := literalIPv6(name); !ok || !six {
			return "", "", errors.New("what is in brackets must be an IPv6 address without a zone")
		}
		if port != "" && port[0] != ':' {
			return "", "", errors.New("only a port may follow the brackets")
		}
	} else if n := strings.IndexByte(text, ':'); n >= 0 {
		name, port = text[:n], text[n:]
	}
	if port == "" {
		return name, "", nil
	}
	if n, err := strconv.ParseUint(port[1:], 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port[1:] {
		return "", "", errors.New("its port must be a number from 1 to 65535")
	}
	return name, port, nil
}

// asciiName is a host name in lower case and ASCII.
func asciiName(name string) (string, error) {
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", errors.New("it is not an international host name that IDNA allows")
		}
		name = ascii
	}
	name = strings.ToLower(name)
	switch {
	case strings.Contains(name, "*"):
		return "", errors.New(`a "*" must be the whole first label: *.example.org`)
	case strings.HasSuffix(name, "."):
		return "", errors.New("it must not end with a dot")
	case !isName(name):
		return "", errors.New("it must consist of letters, digits, - and _, with dots between")
	}
	return name, nil
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
