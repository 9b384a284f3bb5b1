package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzEndpoint: an address that is accepted as an endpoint is https or, where the issuer
// is on loopback too, http on loopback. A request for it goes to the host that was
// looked at, with no user in it.
func FuzzEndpoint(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://iam.example.org/token", "https://iam.example.org"}, {"http://127.0.0.1:8080/t", "http://localhost:8080"},
		{"http://127.0.0.1/t", "https://iam.example.org"}, {"http://localhost.evil.example/t", "http://localhost"},
		{"https://iam.example.org@evil.example/", "https://iam.example.org"}, {"https://[::1%25eth0]/", "http://[::1]"},
		{"HTTP://127.1/", "http://127.0.0.1"}, {"http://0x7f000001/", "http://127.0.0.1"}, {"https:/one/slash", "x"}, {"https://a/#b", "https://a"},
		{"http://[::ffff:127.0.0.1]/", "http://127.0.0.1"}, {"https://a\\@b/", "https://a"}, {"//a/b", "https://a"}, {"https://", ""}, {"https://:", "https://a"}, {"https://:443/", "https://a"},
		{"https://a:/t", "https://a"}, {"http://[::1]:/", "http://[::1]"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, endpoint, issuer string) {
		if u, err := secureURL(endpoint, issuer); err == nil {
			req, err := http.NewRequest(http.MethodPost, endpoint, nil)
			if err != nil {
				return // it is never asked
			}
			at, _ := url.Parse(issuer)
			switch {
			case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.User != nil, u.Fragment != "":
				t.Errorf("%q is accepted: %+v", endpoint, u)
			case u.Scheme == "http" && (!Loopback(u.Hostname()) || at == nil || !Loopback(at.Hostname())):
				t.Errorf("%q is accepted of %q", endpoint, issuer)
			case req.URL.Host != u.Host || req.URL.Scheme != u.Scheme || req.URL.User != nil:
				t.Errorf("%q was looked at as %s, and is asked as %s", endpoint, u, req.URL)
			}
		}
		places, err := wellKnown(issuer)
		if err != nil {
			return
		}
		id, err := url.Parse(issuer)
		if err != nil {
			t.Fatalf("%q: %v", issuer, err)
		}
		for _, place := range places {
			u, err := secureURL(place, place)
			if err != nil || u.Host != id.Host || !strings.Contains(u.Path, ".well-known") {
				t.Errorf("the document of %q is looked for at %q: %v", issuer, place, err)
			}
		}
	})
}
