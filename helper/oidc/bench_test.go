package oidc

import (
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/secret"
)

func BenchmarkRedact(b *testing.B) {
	long := secret.Secret(strings.Repeat("aB3dE5gH7jK9", 170)) // a JWT's length
	b.Run("no words", func(b *testing.B) {
		for b.Loop() {
			Redact("Bearer", long, long, long)
		}
	})
	b.Run("a sentence", func(b *testing.B) {
		for b.Loop() {
			Redact("Maximum allowed refresh token reuse exceeded", long, long, long)
		}
	})
}
