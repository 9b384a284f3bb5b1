package secret

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// A quietError is an error of net/http without what it quotes.
type quietError struct {
	text string
	err  error
}

func (e *quietError) Error() string { return e.text }
func (e *quietError) Unwrap() error { return e.err }

// TransportError is an error of a request, or of reading the answer, as it may be shown
// or logged. Those of net/http quote the line that it could not read, and that line may
// be the answer with its tokens. The error wraps err.
func TransportError(err error) error {
	if err == nil {
		return nil
	}
	text := "the answer is not HTTP, or the connection failed"
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var number syscall.Errno
	switch {
	case errors.As(err, &certificate):
		text = certificate.Error()
	case errors.As(err, &op) && op.Op == "proxyconnect":
		text = "proxyconnect " + op.Net + ": " + TransportError(op.Err).Error()
	case errors.As(err, &op):
		text = op.Error()
	case errors.As(err, &record):
		text = record.Error()
	case errors.Is(err, http.ErrSchemeMismatch):
		text = http.ErrSchemeMismatch.Error()
	case errors.As(err, &number):
		text = number.Error()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		text = "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "the connection was cut"
	case strings.HasPrefix(err.Error(), "tls: "): // of the handshake, before any answer
		text = err.Error()
	}
	return &quietError{text, err}
}
