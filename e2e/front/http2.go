package front

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A Manner is how an HTTP/2 front treats a POST. HTTP/1.1 is always served well.
type Manner int32

// The manners.
const (
	Good Manner = iota
	// GoAway answers a POST with GOAWAY(last stream 0) and closes: nothing was processed.
	GoAway
	// GoAwayAfter has the first POST processed, then answers it so, as all later ones.
	GoAwayAfter
	// Refuse answers a POST with RST_STREAM(REFUSED_STREAM).
	Refuse
	// RefuseAfter has the first POST processed, then answers it so, as all later ones.
	RefuseAfter
)

// HTTP2 is a front with TLS that offers HTTP/2 and HTTP/1.1.
type HTTP2 struct {
	arrivals
	// Base is its address, https://HOST:PORT.
	Base string
	// CA is its certificate authority, in PEM.
	CA []byte

	server *http.Server
	issuer http.Handler
	manner atomic.Int32
	passed atomic.Bool // a POST was processed since Treat
}

// NewHTTP2 starts a front. It is to be closed.
func NewHTTP2(issuer http.Handler) (*HTTP2, error) {
	f := &HTTP2{issuer: issuer}
	cert, ca, err := certificate()
	if err != nil {
		return nil, err
	}
	f.CA = ca
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.Base = "https://" + l.Addr().String()
	f.server = &http.Server{
		Handler: http.HandlerFunc(f.serve1), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) { f.serve2(c) }},
	}
	go func() { _ = f.server.ServeTLS(l, "", "") }()
	return f, nil
}

// Treat sets how POSTs are treated from now on.
func (f *HTTP2) Treat(m Manner) {
	f.passed.Store(false)
	f.manner.Store(int32(m))
}

// Close stops the front.
func (f *HTTP2) Close() { _ = f.server.Close() }

// serve1 serves HTTP/1.1.
func (f *HTTP2) serve1(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		a := f.begin("HTTP/1.1")
		f.change(func() { a.Whole = true })
	}
	f.issuer.ServeHTTP(w, r)
}

// serve2 serves one connection with HTTP/2 (RFC 9113), as far as a front needs it.
func (f *HTTP2) serve2(c *tls.Conn) {
	defer func() { _ = c.Close() }()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	framer := http2.NewFramer(c, c)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if framer.WriteSettings() != nil {
		return
	}
	streams := map[uint32]*stream{}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		id := frame.Header().StreamID
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			err = framer.WritePing(true, frame.Data)
		case *http2.MetaHeadersFrame:
			s := newStream(frame)
			streams[id] = s
			if s.method == http.MethodPost {
				s.arrival = f.begin("HTTP/2")
				if !f.mayPass() {
					if f.rebuff(framer, id) {
						return
					}
					delete(streams, id)
					continue
				}
			}
			if frame.StreamEnded() {
				err = f.answer(framer, id, s)
			}
		case *http2.DataFrame:
			s := streams[id]
			if s == nil {
				continue // of a stream that was refused
			}
			s.body.Write(frame.Data())
			if !frame.StreamEnded() {
				continue
			}
			f.change(func() { s.arrival.Bytes, s.arrival.Whole = s.body.Len(), true })
			if m := Manner(f.manner.Load()); m == GoAwayAfter || m == RefuseAfter {
				f.passed.Store(true)
				f.ask(s)
				if f.rebuff(framer, id) {
					return
				}
				continue
			}
			err = f.answer(framer, id, s)
		}
		if err != nil {
			return
		}
	}
}

// mayPass tells whether a POST is to be read and processed.
func (f *HTTP2) mayPass() bool {
	switch Manner(f.manner.Load()) {
	case GoAway, Refuse:
		return false
	case GoAwayAfter, RefuseAfter:
		return !f.passed.Load()
	case Good:
	}
	return true
}

// rebuff says that a stream was not processed, and whether the connection ends.
func (f *HTTP2) rebuff(framer *http2.Framer, id uint32) (ends bool) {
	if m := Manner(f.manner.Load()); m == GoAway || m == GoAwayAfter {
		_ = framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		return true
	}
	return framer.WriteRSTStream(id, http2.ErrCodeRefusedStream) != nil
}

// A stream is one request of HTTP/2.
type stream struct {
	method, path string
	header       http.Header
	body         bytes.Buffer
	arrival      *Arrival // of a POST
}

func newStream(frame *http2.MetaHeadersFrame) *stream {
	s := &stream{header: http.Header{}}
	for _, field := range frame.Fields {
		switch field.Name {
		case ":method":
			s.method = field.Value
		case ":path":
			s.path = field.Value
		default:
			if !strings.HasPrefix(field.Name, ":") {
				s.header.Add(field.Name, field.Value)
			}
		}
	}
	return s
}

// ask has the issuer process a request.
func (f *HTTP2) ask(s *stream) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), s.method, f.Base+s.path, &s.body)
	r.Header = s.header
	w := httptest.NewRecorder()
	f.issuer.ServeHTTP(w, r)
	return w
}

// answer asks and answers.
func (f *HTTP2) answer(framer *http2.Framer, id uint32, s *stream) error {
	w := f.ask(s)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	fields := []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(w.Code)}}
	for name, values := range w.Header() {
		for _, v := range values {
			fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: v})
		}
	}
	for _, field := range fields {
		if err := enc.WriteField(field); err != nil {
			return err
		}
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	body := w.Body.Bytes()
	for len(body) > 16000 {
		if err := framer.WriteData(id, false, body[:16000]); err != nil {
			return err
		}
		body = body[16000:]
	}
	return framer.WriteData(id, true, body)
}

// certificate makes a CA and a certificate of it for loopback.
func certificate() (cert tls.Certificate, caPEM []byte, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "front CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return cert, nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return cert, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}
