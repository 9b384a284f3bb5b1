package helper

import (
	"net/url"
	"strings"
	"testing"
)

func TestServes_exactHostsAndNoLookAlikes(t *testing.T) {
	p := Profile{Hosts: []string{"api.example.org", "git.example.org:8443", "*.ellip.example.com", "*.co.uk", "*.org", "127.0.0.1:8080", "localhost:3000", "[::1]:9000"}}
	for raw, want := range map[string]bool{
		"https://api.example.org/path":        true,
		"https://API.Example.ORG/":            true,
		"https://api.example.org:443/":        true,
		"https://git.example.org:8443/x":      true,
		"https://a.ellip.example.com/":        true,
		"https://a.b.ellip.example.com/":      true,
		"http://127.0.0.1:8080/":              true,
		"http://localhost:3000/":              true,
		"http://[::1]:9000/":                  true,
		"http://api.example.org/":             false, // in clear
		"https://api.example.org:444/":        false, // another port
		"https://git.example.org/":            false, // the port is named
		"https://evil-api.example.org/":       false, // suffix
		"https://api.example.org.evil.com/":   false, // prefix
		"https://api.example.org./":           false, // trailing dot
		"https://user@api.example.org/":       false,
		"https://api.example.org@evil.com/":   false,
		"https://ellip.example.com/":          false, // a wildcard is for what is below
		"https://xellip.example.com/":         false,
		"https://shop.co.uk/":                 false, // a public suffix
		"https://wikipedia.org/":              false,
		"https://аpi.example.org/":            false, // Cyrillic а
		"https://api.example.org%2eevil.com/": false,
		"ftp://api.example.org/":              false,
		"//api.example.org/":                  false,
		"https:///":                           false,
		"http://127.0.0.1:8081/":              false,
		"http://127.0.0.2:8080/":              false,
		"https://a.ellip.example.com:8443/":   false,
	} {
		u, err := url.Parse(raw)
		if err != nil {
			if want {
				t.Errorf("%s: %v", raw, err)
			}
			continue
		}
		if got := p.Serves(u); got != want {
			t.Errorf("Serves(%s) = %v", raw, got)
		}
	}
}

// Who may register a name below a public suffix could have the token sent there.
// Each of these would match if the suffix were somebody's.
func TestServes_noWildcardBelowAPublicSuffix(t *testing.T) {
	for pattern, below := range map[string]string{
		"*.com":                   "evil.com",
		"*.co.uk":                 "evil.co.uk",
		"*.CO.UK":                 "evil.co.uk",
		"*.co.uk:8443":            "evil.co.uk:8443",
		"*.github.io":             "evil.github.io", // names that a private registry gives out
		"*.s3.amazonaws.com":      "evil.s3.amazonaws.com",
		"*.compute.amazonaws.com": "eu-west-1.compute.amazonaws.com", // the suffix is what matches
		"*.amazonaws.com":         "evil.s3.amazonaws.com",           // below a suffix that is below
		"*.blogspot.com":          "evil.blogspot.com",
		"*.ck":                    "evil.ck", // a wildcard rule of the list
		"*.gov.ck":                "evil.gov.ck",
		"*.xn--p1ai":              "evil.xn--p1ai", // .рф
		"*.internal":              "evil.internal", // a top-level domain that the list does not know
		"*.localhost":             "evil.localhost",
		"*.org.":                  "evil.org",
		"*.":                      "evil.org",
		"*":                       "evil.org",
		"*.*":                     "evil.org",
		"*.*.org":                 "evil.example.org",
		"**.example.org":          "evil.example.org",
		"e*.example.org":          "evil.example.org",
		"":                        "evil.org",
	} {
		u, err := url.Parse("https://" + below + "/")
		if err != nil {
			t.Fatal(err)
		}
		if (Profile{Hosts: []string{pattern}}).Serves(u) {
			t.Errorf("%q serves %s", pattern, below)
		}
		if !(Profile{Hosts: []string{below}}).Serves(u) {
			t.Errorf("%s is not served by its own name", below)
		}
	}
	// Below what somebody has registered there, it matches.
	for pattern, below := range map[string]string{"*.alice.co.uk": "a.alice.co.uk", "*.alice.github.io": "a.alice.github.io", "*.alice.internal": "a.alice.internal", "*.amazonaws.com": "sts.amazonaws.com"} {
		u, _ := url.Parse("https://" + below + "/")
		if !(Profile{Hosts: []string{pattern}}).Serves(u) {
			t.Errorf("%q does not serve %s", pattern, below)
		}
	}
}

// FuzzServes: the URL that is served has one of two names, in plain letters.
func FuzzServes(f *testing.F) {
	for _, raw := range []string{"https://api.example.org/", "https://a.wild.example.com:8443/x", "https://u@api.example.org", "http://127.0.0.1", "https://api.example.org./", "https://].wild.example.com:8443"} {
		f.Add(raw)
	}
	p := Profile{Hosts: []string{"api.example.org", "*.wild.example.com:8443", "*.org", "*.co.uk"}}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil || !p.Serves(u) {
			return
		}
		host := strings.ToLower(u.Host)
		if u.Scheme != "https" || u.User != nil {
			t.Fatalf("%q", raw)
		}
		if name, wild := strings.CutSuffix(host, ".wild.example.com:8443"); wild {
			if name == "" || strings.ContainsAny(name, "/@:?#[]% ") || strings.HasPrefix(name, ".") || strings.Contains(name, "..") {
				t.Fatalf("%q", raw)
			}
		} else if strings.TrimSuffix(strings.TrimSuffix(host, "443"), ":") != "api.example.org" {
			t.Fatalf("%q", raw)
		}
	})
}

// What another parser may take for another machine is served by no profile.
func TestServes_onlyPlainNames(t *testing.T) {
	p := Profile{Hosts: []string{"*.wild.example.com:8443", "[2001:DB8:0::1]:8443", "my_host.example.com"}}
	for _, served := range []string{"https://a-b_c.wild.example.com:8443/", "https://[2001:db8::1]:8443/", "https://[2001:0db8:0000::0001]:8443/", "https://my_host.example.com/"} {
		if u, err := url.Parse(served); err != nil || !p.Serves(u) {
			t.Errorf("%s is not served, %v", served, err)
		}
	}
	for _, host := range []string{"]", "[", "a]", "a[b", "a,b", "a;b", "a!b", "a'b", "a(b)", "a+b", "a=b", "a&b", "a$b", "a~b", `a"b`, "a<b", "a>b", "a|b", "a`b", "a{b}", "a^b", "a%5db", strings.Repeat("a", 64), "a:b"} {
		u := &url.URL{Scheme: "https", Host: host + ".wild.example.com:8443", Path: "/"}
		if p.Serves(u) {
			t.Errorf("%q is served", u.Host)
		}
	}
	for _, host := range []string{"[2001:db8::1%25eth0]:8443", "[2001:db8::1]]:8443", "[[2001:db8::1]:8443", "2001:db8::1:8443", "[my_host.example.com]"} {
		if p.Serves(&url.URL{Scheme: "https", Host: host, Path: "/"}) {
			t.Errorf("%q is served", host)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for entry, want := range map[string]string{
		"git.example.net": "git.example.net", "GIT.Example.NET": "git.example.net", "git.example.net:8443": "git.example.net:8443", "git.example.net:443": "git.example.net:443",
		"https://git.example.net/": "git.example.net", "https://git.example.net:8443": "git.example.net:8443", "HTTPS://GIT.example.net/": "git.example.net",
		"*.ellip.example:8443": "*.ellip.example:8443", "*.Example.ORG": "*.example.org", "https://*.example.org/": "*.example.org",
		"bücher.example": "xn--bcher-kva.example", "*.BÜCHER.example:8443": "*.xn--bcher-kva.example:8443", "https://bücher.example/": "xn--bcher-kva.example", "пример.рф": "xn--e1afmkfd.xn--p1ai",
		"localhost": "localhost", "localhost:3000": "localhost:3000", "127.0.0.1:8080": "127.0.0.1:8080", "http://127.0.0.1:8080/": "127.0.0.1:8080", "http://localhost:3000": "localhost:3000",
		"::1": "[::1]", "[::1]": "[::1]", "[::1]:9000": "[::1]:9000", "[2001:DB8:0:0::1]:8443": "[2001:db8::1]:8443", "http://[::1]:9000/": "[::1]:9000", "2001:db8::1": "[2001:db8::1]",
		"my_host": "my_host", "a-b.example": "a-b.example",
	} {
		got, err := CheckHost(entry)
		if got != want || err != nil {
			t.Errorf("%q: %q, %v, not %q", entry, got, err, want)
		}
		if again, err := CheckHost(got); again != got || err != nil {
			t.Errorf("%q becomes %q, %v", got, again, err)
		}
	}
	for entry, why := range map[string]string{
		"": "empty", "https://": "empty", "a,b": "one host", "a.example, b.example": "one host", "a.example b.example": "one host", "a.example\n": "one host", "a;b": "one host",
		"user@h.example": "user", "https://user:long-password-0123@h.example/": "user", "h.example/path": "path", "https://h.example/path": "path", "h.example?a": "path", "h.example#a": "path", `h.example\a`: "path", "h.example//": "path",
		"*.com": "wildcard", "*.co.uk": "wildcard", "*.github.io": "wildcard", "*.рф": "wildcard", "*.internal": "wildcard", "*.localhost:3000": "wildcard",
		"*": `"*"`, "*.*": `"*"`, "*.*.org": `"*"`, "**.example.org": `"*"`, "e*.example.org": `"*"`, "a.*.example.org": `"*"`,
		"http://h.example": "https only", "ftp://h.example/": "https only", "ssh://h.example": "https only",
		"h.example:": "port", "h.example:0": "port", "h.example:08443": "port", "h.example:65536": "port", "h.example:-1": "port", "h.example:https": "port", "h.example:1:2": "port", "[::1]:": "port",
		"[::1": "IPv6", "::1]": "port", "[h.example]": "IPv6", "[::1%eth0]": "IPv6", "[::1]x": "brackets", "[::1]x:1": "brackets", "[1.2.3.4]": "IPv6",
		"h.example.": "dot", ".example.org": "letters", "a..example": "letters", "h%2eexample": "letters", "h.example\x00": "letters", "a!b": "letters", "*.": "", strings.Repeat("a", 64) + ".example": "letters", strings.Repeat("a.", 200) + "example": "letters",
		"a\u202eb.example": "international", "\u2028.example": "international",
	} {
		got, err := CheckHost(entry)
		if got != "" || err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %q, %v, not about %q", entry, got, err, why)
			continue
		}
		if strings.Contains(err.Error(), "h.example") || strings.Contains(err.Error(), "long-password") {
			t.Errorf("%q is repeated in %q", entry, err)
		}
	}
}

// FuzzCheckHost: an entry that passes is a name of plain letters and serves itself.
func FuzzCheckHost(f *testing.F) {
	for _, entry := range []string{"https://git.example.net/", "*.example.org:8443", "bücher.example", "[::1]:9000", "a,b", "*.com"} {
		f.Add(entry)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		normal, err := CheckHost(entry)
		if err != nil {
			return
		}
		if again, err := CheckHost(normal); again != normal || err != nil {
			t.Fatalf("%q: %q, then %q, %v", entry, normal, again, err)
		}
		u, err := url.Parse("https://" + strings.Replace(normal, "*.", "a.", 1) + "/")
		if err != nil || !(Profile{Hosts: []string{normal}}).Serves(u) {
			t.Fatalf("%q: %q does not serve %v, %v", entry, normal, u, err)
		}
	})
}
