package agefile

import (
	"bytes"
	"io"

	"filippo.io/age"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// Seal encrypts a value to one recipient, as an age file.
func Seal(to age.Recipient, value secret.Secret) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, value.Reveal()); err != nil { // leaves encrypted
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

// Unseal decrypts what Seal made. The error says nothing about its content.
func Unseal(sealed []byte, ids ...age.Identity) (secret.Secret, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), ids...)
	if err != nil {
		return "", err
	}
	value, err := io.ReadAll(io.LimitReader(r, backend.MaxValue+1))
	return secret.Secret(value), err
}
