package oidctest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Status answers with a status and no body that would be the protocol's,
// without processing the request. headers are names and values in turn.
func Status(code int, headers ...string) Fault {
	return Fault{
		Name: "status-" + strconv.Itoa(code), Endpoint: Token,
		About: fmt.Sprintf("answers %d with an HTML page; nothing is processed", code),
		Before: func(*Call) *Answer {
			h := http.Header{"Content-Type": {"text/html"}}
			for n := 0; n+1 < len(headers); n += 2 {
				h.Set(headers[n], headers[n+1])
			}
			return &Answer{Status: code, Header: h, Body: []byte("<html><body><h1>" + http.StatusText(code) + "</h1></body></html>")}
		},
	}
}

// Slow lets d pass before the answer begins, which is then a good one.
func Slow(d time.Duration) Fault {
	return Fault{
		Name: "slow-headers", Endpoint: Token, Harmless: true,
		About: "waits " + d.String() + " before the answer",
		After: func(c *Call, _ *Answer) { c.wait(d) },
	}
}

// Drip sends the body in pieces of 64 bytes with a pause after each.
func Drip(pause time.Duration) Fault {
	return Fault{
		Name: "slow-body", Endpoint: Token, Harmless: true,
		About: "sends the body in pieces of 64 bytes, " + pause.String() + " apart",
		Send: func(c *Call, w http.ResponseWriter, a Answer) {
			writeHeader(w, a)
			for piece := range slices.Chunk(a.Body, 64) {
				_, _ = w.Write(piece)
				_ = http.NewResponseController(w).Flush()
				c.wait(pause)
			}
		},
	}
}

// Redirect answers with a status and a Location, without processing.
func Redirect(code int, location func(*Call) string) Fault {
	return Fault{
		Name: "redirect-" + strconv.Itoa(code), Endpoint: Token, About: "redirects",
		Before: func(c *Call) *Answer {
			return &Answer{Status: code, Header: http.Header{"Location": {location(c)}}}
		},
	}
}

// called gives a fault another name and description.
func (f Fault) called(name, about string) Fault {
	f.Name, f.About = name, about
	return f
}

func toOther(c *Call) string { return c.Issuer.other.url + c.Request.URL.Path }

// statusFaults are refusals of a server or of a proxy before it.
func statusFaults() []Fault {
	later := func(c *Call) string { return c.Issuer.Clock.Now().Add(time.Second).UTC().Format(http.TimeFormat) }
	return []Fault{
		Status(500), Status(502), Status(503), Status(504), Status(404), Status(403), Status(429),
		Status(503, "Retry-After", "1").called("status-503-seconds", "answers 503 with Retry-After in seconds"),
		Status(429, "Retry-After", "1").called("status-429-seconds", "answers 429 with Retry-After: 1"),
		Status(429, "Retry-After", "99999999999999999999").called("status-429-absurd", "answers 429 with a Retry-After beyond all numbers"),
		Status(429, "Retry-After", "86400").called("status-429-day", "answers 429 with a Retry-After of a day"),
		{
			Name: "status-429-date", Endpoint: Token, About: "answers 429 with Retry-After as a date",
			Before: func(c *Call) *Answer {
				return &Answer{Status: 429, Header: http.Header{"Retry-After": {later(c)}}}
			},
		},
		{
			Name: "status-500-after", Endpoint: Token, About: "processes the request, then answers 500",
			After: func(_ *Call, a *Answer) {
				*a = Answer{Status: 500, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("oops")}
			},
		},
	}
}

// connectionFaults are answers that come late, in part, or not at all.
func connectionFaults() []Fault {
	return []Fault{
		Slow(time.Second), Drip(10 * time.Millisecond),
		{
			Name: "hang", Endpoint: Token, About: "takes the request and never answers; nothing is processed",
			Before: func(c *Call) *Answer { c.waitForever(); panic(http.ErrAbortHandler) },
		},
		{
			Name: "hang-after", Endpoint: Token, About: "processes the request and never answers",
			After: func(c *Call, _ *Answer) { c.waitForever(); panic(http.ErrAbortHandler) },
		},
		{
			Name: "hang-in-body", Endpoint: Token, About: "sends half of the answer, then nothing more",
			Send: func(c *Call, w http.ResponseWriter, a Answer) { sendHalf(w, a); c.waitForever() },
		},
		{
			Name: "drip-forever", Endpoint: Token, About: "sends a space every 20 ms and never ends",
			Send: func(c *Call, w http.ResponseWriter, a Answer) {
				a.Header.Set("Content-Length", "500000")
				writeHeader(w, a)
				for c.Request.Context().Err() == nil && !c.Issuer.isClosed() {
					_, _ = w.Write([]byte(" "))
					_ = http.NewResponseController(w).Flush()
					c.wait(20 * time.Millisecond)
				}
			},
		},
		{
			Name: "cut-before", Endpoint: Token, About: "closes the connection; nothing is processed",
			Before: func(*Call) *Answer { panic(http.ErrAbortHandler) },
		},
		{
			Name: "cut-after", Endpoint: Token, About: "processes the request, then closes the connection",
			After: func(*Call, *Answer) { panic(http.ErrAbortHandler) },
		},
		{
			Name: "reset-after", Endpoint: Token, About: "processes the request, then resets the connection",
			Send: func(_ *Call, w http.ResponseWriter, _ Answer) { reset(w) },
		},
		{
			Name: "cut-in-body", Endpoint: Token, About: "closes the connection in the middle of the body",
			Send: func(_ *Call, w http.ResponseWriter, a Answer) { sendHalf(w, a); panic(http.ErrAbortHandler) },
		},
		{
			Name: "not-http", Endpoint: Token, About: "answers with bytes that are not HTTP",
			Send: func(_ *Call, w http.ResponseWriter, _ Answer) { sendRaw(w, "SSH-2.0-OpenSSH_9.2\r\n") },
		},
	}
}

// redirectFaults lead elsewhere.
func redirectFaults() []Fault {
	return []Fault{
		Redirect(302, toOther).called("redirect-302-other-host", "redirects to another host"),
		Redirect(307, toOther).called("redirect-307-other-host", "redirects to another host, method and body to be kept"),
		Redirect(308, toOther).called("redirect-308-other-host", "redirects for good to another host, method and body to be kept"),
		Redirect(307, func(c *Call) string { return c.Request.URL.Path }).called("redirect-loop", "redirects to itself"),
		Redirect(307, func(*Call) string { return "http://idp.example/token" }).called("redirect-plain-http", "redirects to plain http"),
		Redirect(302, func(*Call) string { return "file:///etc/passwd" }).called("redirect-file", "redirects to a file"),
		Redirect(302, func(*Call) string { return "http://\x1b[31mred\x1b[0m.example/" }).called("redirect-ansi", "redirects to a name with ANSI escapes"),
		Redirect(302, func(c *Call) string { return toOther(c) + "?t=" + c.anySecret() }).called("redirect-echo", "redirects to an address with the request's own secret"),
	}
}

func (c *Call) waitForever() {
	select {
	case <-c.Request.Context().Done():
	case <-c.Issuer.closed:
	}
}

func (i *Issuer) isClosed() bool {
	select {
	case <-i.closed:
		return true
	default:
		return false
	}
}

// anySecret is one of the request's secrets.
func (c *Call) anySecret() string {
	for _, s := range secretsOf(c) {
		if s != "" {
			return s
		}
	}
	return ""
}

func sendHalf(w http.ResponseWriter, a Answer) {
	writeHeader(w, a)
	_, _ = w.Write(a.Body[:len(a.Body)/2])
	_ = http.NewResponseController(w).Flush()
}

func sendRaw(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(text))
	_ = conn.Close()
}

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// replaceBody changes the bytes of an answer after all else.
func replaceBody(name, about string, f func(body []byte) []byte) Fault {
	return Fault{
		Name: name, Endpoint: Token, About: about,
		After: func(_ *Call, a *Answer) { a.Body = f(bytes.Clone(a.Body)) },
	}
}
