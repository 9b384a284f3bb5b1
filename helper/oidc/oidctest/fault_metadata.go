package oidctest

import "strings"

// meta changes a field of the discovery document.
func meta(name, field, about string, value func(c *Call) any) Fault {
	return Fault{
		Name: name, Endpoint: Discovery, About: about,
		Edit: func(c *Call, object map[string]any) {
			if v := value(c); v == absent {
				delete(object, field)
			} else {
				object[field] = v
			}
		},
	}
}

func fixed(v any) func(*Call) any { return func(*Call) any { return v } }

// metadataFaults are discovery documents that lead elsewhere or nowhere.
func metadataFaults() []Fault {
	all := []Fault{
		meta("issuer-other", "issuer", "the issuer of the document is another", fixed("https://idp.example/realms/test")),
		meta("issuer-slash", "issuer", "the issuer of the document has a trailing slash", func(c *Call) any { return c.Issuer.url + "/" }),
		meta("issuer-missing", "issuer", "no issuer", fixed(absent)),
		meta("issuer-number", "issuer", "the issuer is a number", fixed(7)),
		meta("issuer-ansi", "issuer", "the issuer has ANSI escapes", fixed("\x1b[31mhttps://idp.example\x1b[0m\n")),
		meta("issuer-bidi", "issuer", "the issuer has a bidi override", fixed("https://idp.example/\u202etset")),
		meta("issuer-long", "issuer", "an issuer of 100 KB", fixed("https://idp.example/"+strings.Repeat("x", 100_000))),
		meta("issuer-case", "issuer", "the issuer in capitals", func(c *Call) any { return strings.ToUpper(c.Issuer.url) }),
		meta("revocation-missing", "revocation_endpoint", "no revocation endpoint", fixed(absent)).harmless(),
		meta("grants-without-exchange", "grant_types_supported", "token exchange is not among the grants", fixed([]string{"authorization_code", "refresh_token"})),
		meta("grants-missing", "grant_types_supported", "no grant_types_supported", fixed(absent)).harmless(),
		meta("grants-string", "grant_types_supported", "grant_types_supported is a string", fixed("refresh_token")),
		meta("auth-methods-other", "token_endpoint_auth_methods_supported", "only private_key_jwt to authenticate by", fixed([]string{"private_key_jwt"})),
		meta("extra-hostile", "x_banner", "a further field with ANSI escapes", fixed("\x1b[2J\x1b[31mowned\n")).harmless(),
	}
	for _, field := range []string{"token_endpoint", "jwks_uri", "revocation_endpoint"} {
		all = append(all, endpointFaults(field)...)
	}
	return all
}

// endpointFaults are those of one address in the discovery document.
func endpointFaults(field string) []Fault {
	name := strings.NewReplacer("_endpoint", "", "_", "-").Replace(field)
	what := "the " + strings.ReplaceAll(field, "_", " ")
	on := func(suffix, about string, value func(c *Call) any) Fault {
		return meta(name+"-"+suffix, field, what+" "+about, value)
	}
	path := func(c *Call) string { return c.Issuer.path + "/protocol" }
	all := []Fault{
		on("http", "is plain http on a host that is not loopback", func(c *Call) any { return "http://idp.example" + path(c) }),
		on("other-port", "is on another port of loopback, where an attacker listens", func(c *Call) any { return c.Issuer.other.url + path(c) }),
		on("other-host", "is on a host that does not exist", func(c *Call) any { return "https://idp.invalid" + path(c) }),
		on("javascript", "is a javascript: URL", fixed("javascript:alert(1)")),
		on("file", "is a file: URL", fixed("file:///etc/passwd")),
		on("relative", "is relative", fixed("/token")),
		on("userinfo", "has a user and a password in it", func(c *Call) any { return strings.Replace(c.Issuer.url, "://", "://user:pass@", 1) + "/token" }),
		on("userinfo-host", "has the issuer's host as user of another", func(c *Call) any {
			return strings.Replace(c.Issuer.url, "/realms/", "@idp.example/realms/", 1) + "/token"
		}),
		on("fragment", "has a fragment", func(c *Call) any { return c.Issuer.url + "/token#frag" }),
		on("empty", "is empty", fixed("")),
		on("number", "is a number", fixed(7)),
		on("lf", "has a line feed in it", func(c *Call) any { return c.Issuer.url + "/token\nHost: idp.example" }),
		on("ansi", "has ANSI escapes in it", fixed("https://\x1b[31midp.example/token")),
	}
	if name != "revocation" {
		all = append(all, on("missing", "is missing", fixed(absent)))
	}
	if name == "token" {
		all = append(all, on("query", "has credentials in its query", func(c *Call) any {
			return c.Issuer.endpoint(Token) + "?client_id=evil&client_secret=evil"
		}))
	}
	return all
}
