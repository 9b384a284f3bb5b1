package oidc

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// raw answers with these bytes and closes the connection.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte(text))
		_ = conn.Close()
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func inUTF16(text string, order binary.AppendByteOrder, mark bool) string {
	var b []byte
	if mark {
		b = order.AppendUint16(b, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// These make an answer out of a status line, header fields and a body.
func head(status string, fields ...string) string {
	return "HTTP/1.1 " + status + "\r\n" + strings.Join(append(fields, "Connection: close"), "\r\n") + "\r\n\r\n"
}

func length(n int) string { return fmt.Sprintf("Content-Length: %d", n) }

// TestSpend_oddHTTP: what is odd in the HTTP around a good answer costs no refresh token.
func TestSpend_oddHTTP(t *testing.T) {
	chunk := func(s string) string { return fmt.Sprintf("%x;ext=1\r\n%s\r\n", len(s), s) }
	const chunked = "Transfer-Encoding: chunked"
	for name, text := range map[string]string{
		"no length":                        head("200 OK") + goodBody,
		"a length that is too great":       head("200 OK", length(len(goodBody)+100)) + goodBody,
		"two lengths, the same":            head("200 OK", length(len(goodBody)), length(len(goodBody))) + goodBody,
		"bytes after the body":             head("200 OK", length(len(goodBody))) + goodBody + "HTTP/1.1 500 oops\r\n\r\n",
		"chunks with trailers":             head("200 OK", chunked, "Trailer: X-A") + chunk(goodBody[:9]) + chunk(goodBody[9:]) + "0\r\nX-A: b\r\n\r\n",
		"chunks without an end":            head("200 OK", chunked) + chunk(goodBody),
		"chunks, then none":                head("200 OK", chunked) + chunk(goodBody) + "zz\r\n",
		"chunks and a length":              head("200 OK", chunked, length(3)) + chunk(goodBody) + "0\r\n\r\n",
		"100 before it":                    "HTTP/1.1 100 Continue\r\n\r\n" + head("200 OK") + goodBody,
		"103 before it":                    strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 20) + head("200 OK") + goodBody,
		"HTTP/1.0":                         "HTTP/1.0 200 OK\r\n\r\n" + goodBody,
		"bare line feeds":                  "HTTP/1.1 200 OK\nConnection: close\n\n" + goodBody,
		"no reason":                        "HTTP/1.1 200\r\nConnection: close\r\n\r\n" + goodBody,
		"gzip":                             head("200 OK", "Content-Encoding: gzip") + gzipped(goodBody),
		"gzip without its end":             head("200 OK", "Content-Encoding: gzip") + gzipped(goodBody)[:len(gzipped(goodBody))-6],
		"GZIP, in capitals":                head("200 OK", "Content-Encoding: GZIP") + gzipped(goodBody),
		"x-gzip":                           head("200 OK", "Content-Encoding: x-gzip") + gzipped(goodBody),
		"gzip that nothing names":          head("200 OK") + gzipped(goodBody),
		"gzip that is named and is none":   head("200 OK", "Content-Encoding: gzip") + goodBody,
		"gzip with 100 MiB of spaces":      head("200 OK", "Content-Encoding: gzip") + gzipped(goodBody+strings.Repeat(" ", 100<<20)),
		"more than 1 MiB":                  head("200 OK") + goodBody + strings.Repeat(" ", 2<<20),
		"identity, named":                  head("200 OK", "Content-Encoding: identity") + goodBody,
		"UTF-8 with a mark":                head("200 OK") + "\ufeff" + goodBody,
		"UTF-16 with a mark":               head("200 OK", "Content-Type: application/json; charset=utf-16") + inUTF16(goodBody, binary.LittleEndian, true),
		"UTF-16, big end first":            head("200 OK", "Content-Type: application/json; charset=utf-16be") + inUTF16(goodBody, binary.BigEndian, false),
		"UTF-16 that nothing names":        head("200 OK") + inUTF16(goodBody, binary.LittleEndian, false),
		"201":                              head("201 Created") + goodBody,
		"299":                              head("299 Odd") + goodBody,
		"307 with the answer":              head("307 Temporary Redirect", "Location: https://elsewhere.example/token") + goodBody,
		"308 with the answer":              head("308 Permanent Redirect", "Location: /token") + goodBody,
		"302 whose Location is no address": head("302 Found", "Location: http://[::1") + goodBody,
		"300 without a Location":           head("300 Multiple Choices") + goodBody,
		"600":                              head("600 Beyond") + goodBody,
		"Set-Cookie, 1000 times":           head("200 OK", strings.TrimSuffix(strings.Repeat("Set-Cookie: a=b\r\n", 1000), "\r\n")) + goodBody,
		"a header with bytes beyond ASCII": head("200 OK", "X-Latin: caf\xe9") + goodBody,
		"a space before a colon":           head("200 OK", "X-Odd : a") + goodBody,
		"a folded header":                  head("200 OK", "X-Folded: a\r\n b") + goodBody,
		"HTTP/3.0 in its status line":      "HTTP/3.0 200 OK\r\nConnection: close\r\n\r\n" + goodBody,
	} {
		f := newTokenFront(t, false, raw(text))
		began := time.Now()
		r, err := f.spend(t.Context(), Spending{Wait: 3 * time.Second})
		if r.RefreshToken != newToken || f.posts.Load() != 1 {
			t.Errorf("%s: kept %t, %d requests, %s: %v", name, r.RefreshToken == newToken, f.posts.Load(), time.Since(began).Round(time.Millisecond), err)
		}
	}
}

// TestSpend_brokenHTTP: what is not HTTP, and a status that has no body, are no answer.
// The token may have been spent, and nothing of what came is quoted.
func TestSpend_brokenHTTP(t *testing.T) {
	for name, text := range map[string]string{
		"a long header":              head("200 OK", "X-Long: "+strings.Repeat("a", 200<<10)) + goodBody,
		"a header without a colon":   head("200 OK", "this is none") + goodBody,
		"two lengths that differ":    head("200 OK", length(len(goodBody)), length(3)) + goodBody,
		"a length that is no number": head("200 OK", "Content-Length: many") + goodBody,
		"an unknown transfer coding": head("200 OK", "Transfer-Encoding: odd") + goodBody,
		"HTTP/0.9":                   goodBody,
		"HTTP/2 in its status line":  "HTTP/2 200 OK\r\nConnection: close\r\n\r\n" + goodBody,
		"ICY":                        "ICY 200 OK\r\n\r\n" + goodBody,
		"204 with the answer":        head("204 No Content") + goodBody,
		"304 with the answer":        head("304 Not Modified") + goodBody,
		"101 with the answer":        head("101 Switching Protocols", "Upgrade: odd") + goodBody,
		"205 with the answer":        head("205 Reset Content", "Content-Length: 0") + goodBody,
	} {
		f := newTokenFront(t, false, raw(text))
		r, err := f.spend(t.Context(), Spending{Wait: 3 * time.Second})
		if r.RefreshToken != "" || OutcomeOf(err) != NoAnswer || f.posts.Load() != 1 {
			t.Errorf("%s: kept %t, outcome %d, %d requests: %v", name, r.RefreshToken != "", OutcomeOf(err), f.posts.Load(), err)
			continue
		}
		for _, quoted := range []string{"a2Rk0pAQue", "kP3sWn9J", "T1yUe8G"} {
			if strings.Contains(err.Error(), quoted) {
				t.Errorf("%s: the error quotes the answer: %v", name, err)
			}
		}
	}
}
