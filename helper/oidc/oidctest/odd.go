package oidctest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Odd are answers to a refresh that are good except for one detail: each field of the
// answer and each claim missing, null, of another type or too long, each status with
// each content type, each fault of a signature. Where the issuer rotates, what an
// odd answer brings is the only refresh token that is left.
func Odd() []Fault {
	faults := slices.Concat(
		oddFields(), oddClaimFaults(), oddHTTP(), oddBodies(),
		algorithmFaults(), signatureFaults(), headerFaults(), shapeFaults(), timeFaults(), idTokenFaults(),
	)
	for n := range faults {
		faults[n].Grant = "refresh_token"
	}
	return faults
}

// An oddity is a value that a field or claim should not have.
type oddity struct {
	name  string
	value any
}

func oddities() []oddity {
	return []oddity{
		{"missing", absent}, {"null", nil}, {"empty", ""}, {"text", "neither-expected-nor-long"}, {"number", 7}, {"fraction", 299.5},
		{"negative", -3}, {"true", true}, {"list", []any{"one", "two"}}, {"object", map[string]any{"a": "b"}}, {"long", strings.Repeat("long-", 1600)},
	}
}

// oddFields are answers with one odd field. Those of the refresh token itself bring
// none.
func oddFields() (all []Fault) {
	for _, field := range []string{
		"access_token", "refresh_token", "id_token", "token_type", "expires_in", "refresh_expires_in", "scope", "session_state", "not-before-policy",
	} {
		for _, o := range oddities() {
			all = append(all, set("field "+field+" "+o.name, field, field+": "+o.name, to(o.value)))
		}
	}
	// A field that nobody asked for.
	for _, field := range []string{"error", "error_description", "issued_token_type", "expires_at", "extra"} {
		for _, o := range oddities()[1:] {
			all = append(all, Fault{
				Name: "further field " + field + " " + o.name, Endpoint: Token, About: "also " + field + ": " + o.name,
				Edit: func(_ *Call, object map[string]any) {
					if _, good := object["access_token"]; good {
						object[field] = o.value
					}
				},
			})
		}
	}
	return all
}

// oddClaimFaults are tokens, well signed, with one odd claim.
func oddClaimFaults() (all []Fault) {
	for _, name := range []string{
		"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "typ", "jti", "scope", "sid", "acr", "name", "given_name", "family_name",
		"preferred_username", "email", "email_verified", "realm_access", "resource_access", "allowed-origins",
	} {
		for _, o := range oddities() {
			all = append(all, onAccess("claim "+name+" "+o.name, name+": "+o.name, claim(name, o.value)))
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "azp", "at_hash", "auth_time", "preferred_username", "email"} {
		for _, o := range oddities() {
			all = append(all, onID("ID token's "+name+" "+o.name, name+": "+o.name, claim(name, o.value)))
		}
	}
	return all
}

// oddHTTP are good bodies with another status or content type.
func oddHTTP() (all []Fault) {
	for _, status := range []int{200, 201, 202, 203, 206, 299, 400, 401, 403, 404, 408, 429, 500, 502, 503, 504} {
		for _, kind := range []string{
			"application/json", "application/json;charset=UTF-8", "application/jwt", "text/plain", "text/html", "application/x-www-form-urlencoded", "nonsense", "",
		} {
			all = append(all, Fault{
				Name: fmt.Sprintf("status %d, type %q", status, kind), Endpoint: Token, About: "a good body",
				After: func(_ *Call, a *Answer) {
					a.Status = status
					a.Header.Set("Content-Type", kind)
					if kind == "" {
						a.Header["Content-Type"] = nil // net/http would guess one
					}
				},
			})
		}
	}
	return all
}

// oddBodies are good objects in an odd wrapping.
func oddBodies() []Fault {
	body := func(name string, f func([]byte) []byte) Fault {
		return Fault{Name: "body " + name, Endpoint: Token, About: name, After: func(_ *Call, a *Answer) { a.Body = f(a.Body) }}
	}
	return []Fault{
		body("after a byte order mark", func(b []byte) []byte { return slicesJoin([]byte("\xef\xbb\xbf"), b) }),
		body("after line feeds", func(b []byte) []byte { return slicesJoin([]byte("\r\n\r\n"), b) }),
		body("before a line feed", func(b []byte) []byte { return slicesJoin(b, []byte("\n")) }),
		body("before 100 KiB of spaces", func(b []byte) []byte { return slicesJoin(b, bytes.Repeat([]byte(" "), 100<<10)) }),
		body("before a NUL", func(b []byte) []byte { return slicesJoin(b, []byte{0}) }),
		body("before a page", func(b []byte) []byte { return slicesJoin(b, []byte("<!-- served by a proxy -->")) }),
		body("with 100 KiB of another field", func(b []byte) []byte {
			return slicesJoin(b[:len(b)-1], []byte(`,"padding":"`), bytes.Repeat([]byte("x"), 100<<10), []byte(`"}`))
		}),
		body("with a field that is nested deep", func(b []byte) []byte {
			return slicesJoin(b[:len(b)-1], []byte(`,"deep":`), bytes.Repeat([]byte("["), 500), bytes.Repeat([]byte("]"), 500), []byte("}"))
		}),
		body("with bytes that are not UTF-8", func(b []byte) []byte { return slicesJoin(b[:len(b)-1], []byte(",\"x\":\"\xff\xfe\"}")) }),
		{
			Name: "body in chunks", Endpoint: Token, About: "no length",
			Send: func(_ *Call, w http.ResponseWriter, a Answer) {
				for name, values := range a.Header {
					w.Header()[name] = values
				}
				w.WriteHeader(a.Status)
				for piece := range slices.Chunk(a.Body, 100) {
					_, _ = w.Write(piece)
					_ = http.NewResponseController(w).Flush()
				}
			},
		},
		{
			Name: "body shorter than its length", Endpoint: Token, About: "all of the body, but a length of one more",
			Send: func(_ *Call, w http.ResponseWriter, a Answer) {
				a.Header.Set("Content-Length", fmt.Sprint(len(a.Body)+1))
				send(w, a)
				panic(http.ErrAbortHandler)
			},
		},
	}
}
