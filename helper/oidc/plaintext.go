package oidc

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"unicode/utf16"
)

// plainText is the body of an answer in UTF-8. A server or a proxy may have compressed
// it although nobody asked, or have written UTF-16: a new refresh token is read all the
// same. The bytes tell, as the headers may be wrong. What breaks off is read so far.
func plainText(body []byte) []byte {
	if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		if r, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, _ = io.ReadAll(io.LimitReader(r, maxBody))
		}
	}
	// The first two characters of a JSON text are ASCII (RFC 4627 section 3).
	var order binary.ByteOrder
	switch {
	case len(body) < 2:
		return body
	case body[0] == 0xfe && body[1] == 0xff, body[0] == 0 && body[1] != 0:
		order = binary.BigEndian
	case body[0] == 0xff && body[1] == 0xfe, body[0] != 0 && body[1] == 0:
		order = binary.LittleEndian
	default:
		return body
	}
	units := make([]uint16, len(body)/2)
	for n := range units {
		units[n] = order.Uint16(body[2*n:])
	}
	return []byte(string(utf16.Decode(units)))
}
