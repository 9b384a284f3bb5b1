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
	for _, raw := range []string{"https://api.example.org/", "https://a.wild.example.com:8443/x", "https://u@api.example.org", "http://127.0.0.1", "https://api.example.org./"} {
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
