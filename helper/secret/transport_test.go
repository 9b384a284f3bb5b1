package secret

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestTransportError: an answer that is not HTTP is quoted by net/http, and not by us.
func TestTransportError(t *testing.T) {
	const token = "zL8wQtokenInAnAnswerThatIsNotHTTP5rVn"
	for _, answer := range []string{
		token + "\r\n\r\n", "HTTP/1.1 " + token + "\r\n\r\n", token + "/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + token + "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: " + token + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + token + "\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: http://[" + token + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + token + "\r\n\r\n",
	} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		_ = l.Close()
		if err == nil || !strings.Contains(err.Error(), token) {
			t.Errorf("%q: net/http does not quote it, so this shows nothing: %v", answer, err)
			continue
		}
		shown := TransportError(err)
		if strings.Contains(shown.Error(), token) || !errors.Is(shown, err) {
			t.Errorf("%q: %v", answer, shown)
		}
	}
}

// TestTransportError_tells what is no answer's.
func TestTransportError_tells(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, "dial tcp: connection refused"},
		{&net.OpError{Op: "proxyconnect", Net: "tcp", Err: errors.New(`malformed HTTP response "x"`)}, "proxyconnect tcp: the answer is not HTTP, or the connection failed"},
		{io.ErrUnexpectedEOF, "the connection was cut"},
		{context.DeadlineExceeded, "no answer in time"},
		{errors.New("tls: no cipher suite"), "tls: no cipher suite"},
		{errors.New(`malformed HTTP response "tls: x"`), "the answer is not HTTP, or the connection failed"},
	} {
		if got := TransportError(tt.err); got.Error() != tt.want {
			t.Errorf("%v: %v, want %s", tt.err, got, tt.want)
		}
	}
	if TransportError(nil) != nil {
		t.Error("an error out of none")
	}
}
