package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/terradue/t2-cred/helper/secret"
)

// BenchmarkKeyring measures the steps of a refresh on a real gnome-keyring.
func BenchmarkKeyring(b *testing.B) {
	s := open(b, keyringOptions(b))
	ctx := context.Background()
	k := Key{"bench", "a"}
	put(b, s, k, sampleRecord("g1"))
	if err := s.SetClientSecret(ctx, "bench", "s3cret"); err != nil {
		b.Fatal(err)
	}
	steps := []struct {
		name string
		f    func(i int) error
	}{
		{"Token", func(int) error { _, err := s.Token(ctx, k); return err }},
		{"Load", func(int) error { _, err := s.Load(ctx, k); return err }},
		{"ClientSecret", func(int) error { _, err := s.ClientSecret(ctx, "bench"); return err }},
		{"CheckWritable", func(int) error { return s.CheckWritable(ctx) }},
		{"RefreshWithClientSecret", func(i int) error {
			_, err := refresh(ctx, s, k, nil, func(old Record) (Record, error) {
				if _, err := s.ClientSecret(ctx, "bench"); err != nil {
					return Record{}, err
				}
				old.Token = sampleToken(fmt.Sprint("tok", i))
				return old, nil
			})
			return err
		}},
		{"UpdateTokenOnly", func(i int) error {
			_, err := s.Update(ctx, k, func(old Record) (Record, error) {
				old.Token = sampleToken(fmt.Sprint("tok", i))
				return old, nil
			})
			return err
		}},
		{"UpdateRotated", func(i int) error {
			_, err := refresh(ctx, s, k, nil, func(old Record) (Record, error) {
				old.RefreshToken = secret.Secret(fmt.Sprintf("%0800d", i))
				old.Token = sampleToken(fmt.Sprint("tok", i))
				return old, nil
			})
			return err
		}},
	}
	for _, st := range steps {
		b.Run(st.name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i++
				if err := st.f(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
