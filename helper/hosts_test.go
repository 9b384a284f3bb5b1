package helper

import (
	"net/url"
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
