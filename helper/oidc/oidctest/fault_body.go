package oidctest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
)

// withHeader adds a header to the answers of a fault.
func (f Fault) withHeader(name, value string) Fault {
	after := f.After
	f.After = func(c *Call, a *Answer) {
		if after != nil {
			after(c, a)
		}
		a.Header.Set(name, value)
	}
	return f
}

func (f Fault) harmless() Fault {
	f.Harmless = true
	return f
}

// bodyFaults are answers that are hard to read, at any endpoint.
func bodyFaults() []Fault {
	return []Fault{
		replaceBody("huge-body", "a good answer with 2 MiB of a further field", func(b []byte) []byte {
			return slicesJoin(b[:len(b)-1], []byte(`,"padding":"`), bytes.Repeat([]byte("x"), 2<<20), []byte(`"}`))
		}),
		replaceBody("huge-spaces", "a good answer after 2 MiB of spaces", func(b []byte) []byte {
			return append(bytes.Repeat([]byte(" "), 2<<20), b...)
		}),
		replaceBody("gzip-bomb", "8 MiB in 8 KiB of gzip", func(b []byte) []byte {
			return zip(slicesJoin(b[:len(b)-1], []byte(`,"padding":"`), bytes.Repeat([]byte("x"), 8<<20), []byte(`"}`)))
		}).withHeader("Content-Encoding", "gzip"),
		replaceBody("gzip", "a good answer, compressed", zip).withHeader("Content-Encoding", "gzip").harmless(),
		replaceBody("gzip-cut", "a good answer, compressed, the last bytes missing", func(b []byte) []byte {
			z := zip(b)
			return z[:len(z)-12]
		}).withHeader("Content-Encoding", "gzip"),
		replaceBody("gzip-not", "says it is compressed, but is not", same).withHeader("Content-Encoding", "gzip"),
		{
			Name: "huge-header", Endpoint: Token, About: "a good answer with a header of 12 MiB",
			After: func(_ *Call, a *Answer) { a.Header.Set("X-Padding", strings.Repeat("x", 12<<20)) },
		},
		replaceBody("text-plain", "a good answer, called text/plain", same).withHeader("Content-Type", "text/plain"),
		replaceBody("form-answer", "an answer as a form, which some very old servers give", func([]byte) []byte {
			return []byte("access_token=from-a-form&token_type=Bearer&expires_in=300")
		}).withHeader("Content-Type", "application/x-www-form-urlencoded"),
		replaceBody("html", "200 with a login page", func([]byte) []byte {
			return []byte("<!DOCTYPE html><html><title>Sign in</title><script>alert(1)</script></html>")
		}).withHeader("Content-Type", "text/html"),
		replaceBody("html-as-json", "200 with a page that is called JSON", func([]byte) []byte {
			return []byte("<!DOCTYPE html><html><title>Sign in</title></html>")
		}),
		replaceBody("empty", "200 without a body", func([]byte) []byte { return nil }),
		{
			Name: "status-204", Endpoint: Token, About: "204, no content",
			After: func(_ *Call, a *Answer) { a.Status, a.Body = http.StatusNoContent, nil },
		},
		replaceBody("truncated", "the first half of the JSON, as if it were all", func(b []byte) []byte { return b[:len(b)/2] }),
		replaceBody("malformed", "JSON with a comma too many", func(b []byte) []byte { return append(b[:len(b)-1], ",}"...) }),
		replaceBody("trailing", "good JSON with garbage after it", func(b []byte) []byte { return append(b, `}{"access_token":"other"`...) }),
		replaceBody("two-objects", "two JSON objects one after the other", func(b []byte) []byte {
			return slicesJoin([]byte(`{"error":"server_error"}`), b)
		}),
		replaceBody("duplicate-keys", "all fields once more at the end, with other values", duplicateKeys),
		replaceBody("deep", "a field nested 200,000 deep", func(b []byte) []byte {
			return slicesJoin(b[:len(b)-1], []byte(`,"deep":`), bytes.Repeat([]byte("["), 200_000), bytes.Repeat([]byte("]"), 200_000), []byte("}"))
		}),
		replaceBody("array", "the answer within an array", func(b []byte) []byte { return slicesJoin([]byte("["), b, []byte("]")) }),
		replaceBody("null", "null", func([]byte) []byte { return []byte("null") }),
		replaceBody("string", "a string", func([]byte) []byte { return []byte(`"eyJhbGciOiJub25lIn0.e30."`) }),
		replaceBody("utf16", "the answer in UTF-16", func(b []byte) []byte {
			out := []byte{0xff, 0xfe}
			for _, one := range b {
				out = append(out, one, 0)
			}
			return out
		}),
		replaceBody("nul-bytes", "NUL bytes before the JSON", func(b []byte) []byte { return append([]byte{0, 0, 0}, b...) }),
	}
}

func same(b []byte) []byte { return b }

func slicesJoin(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func zip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// duplicateKeys repeats what a client reads, so that two parsers see two
// answers. It repeats the keys of discovery and of a key set too.
func duplicateKeys(b []byte) []byte {
	var more bytes.Buffer
	for _, name := range []string{"access_token", "refresh_token", "issuer", "token_endpoint", "jwks_uri"} {
		if bytes.Contains(b, []byte(`"`+name+`"`)) {
			more.WriteString(`,"` + name + `":"https://idp.example/duplicate"`)
		}
	}
	if bytes.Contains(b, []byte(`"keys"`)) {
		more.WriteString(`,"keys":[]`)
	}
	return slicesJoin(b[:len(b)-1], more.Bytes(), []byte("}"))
}
