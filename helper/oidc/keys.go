package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/terradue/t2-cred/helper/hint"
)

// A keySet is the issuer's keys as published, each looked at only when a token
// names it: one that cannot be read must not hide the others.
type keySet struct {
	keys  []publishedKey
	asked bool // the issuer was asked for it just now
}

// A publishedKey is one JWK (RFC 7517 §4) with the fields it is chosen by.
type publishedKey struct {
	KeyID string   `json:"kid"`
	Type  string   `json:"kty"`
	Use   string   `json:"use"`
	Ops   []string `json:"key_ops"`
	Alg   string   `json:"alg"`
	// Of an RSA key, as written: bounded before anything computes with them.
	Modulus  string `json:"n"`
	Exponent string `json:"e"`
	raw      json.RawMessage
}

// maxKeys bounds the work that a hostile key set can ask for.
const maxKeys = 100

func parseKeySet(body []byte) (*keySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if members, err := readMembers(body); err == nil && len(members) == 0 {
		return &keySet{}, nil // as Authentik says that it has none
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.Keys == nil {
		return nil, &ConfigError{Detail: "jwks: the document is not a JWK set"}
	}
	if len(doc.Keys) > maxKeys {
		return nil, &ConfigError{
			Detail: fmt.Sprintf("jwks: %d keys, more than %d", len(doc.Keys), maxKeys),
			Remedy: hint.Say(AskAdmin + "take the keys out that sign nothing any more"),
		}
	}
	set := &keySet{}
	for _, raw := range doc.Keys {
		k := publishedKey{raw: raw}
		if json.Unmarshal(raw, &k) == nil {
			set.keys = append(set.keys, k)
		}
	}
	return set, nil
}

// candidates are the keys that may have made a signature with this header, in their
// order: the key id must be the same, the use must be signing, the algorithm the key's
// own. A key id names one key. A token without one is tried with each key that fits.
func (s *keySet) candidates(kid, alg string) []publishedKey {
	var found []publishedKey
	for _, k := range s.keys {
		if (kid == "" || k.KeyID == kid) && k.signs() && k.fits(alg) {
			found = append(found, k)
		}
	}
	if kid != "" && len(found) > 1 {
		found = found[:1]
	}
	return found
}

// fits reports whether a key can be one for an algorithm, by what it says of itself.
func (k publishedKey) fits(alg string) bool {
	if k.Alg != "" && k.Alg != alg && (!isEdDSA(k.Alg) || !isEdDSA(alg)) {
		return false
	}
	switch alg[:2] {
	case "RS", "PS":
		return k.Type == "RSA"
	case "ES":
		return k.Type == "EC"
	}
	return k.Type == "OKP"
}

// isEdDSA knows both names: RFC 9864 calls EdDSA with this curve Ed25519.
func isEdDSA(alg string) bool { return alg == "EdDSA" || alg == "Ed25519" }

// knows reports whether the set has a key of that id, for whatever use.
func (s *keySet) knows(kid string) bool {
	return slices.ContainsFunc(s.keys, func(k publishedKey) bool { return k.KeyID == kid })
}

// signs reports whether a key is one for signatures. A key set often holds
// encryption keys too, on Keycloak sometimes first.
func (k publishedKey) signs() bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	if len(k.Ops) == 0 {
		return true
	}
	for _, op := range k.Ops {
		if op == "verify" {
			return true
		}
	}
	return false
}

// keySet returns the issuer's keys. It is ErrOpaque for an issuer that publishes none.
func (i *Issuer) keySet(ctx context.Context, how asking) (*keySet, error) {
	i.mu.Lock()
	set := i.keys
	i.mu.Unlock()
	if set != nil && how != anew {
		return set, nil
	}
	asked := whenStale
	if how == never {
		asked = never
	}
	meta, err := i.metadata(ctx, asked)
	if err != nil {
		return nil, err
	}
	if meta.JWKSURI == "" {
		i.dropCachedMetadata() // the next document may name one
		return nil, &hint.Error{Kind: ErrOpaque, Detail: "the issuer's discovery document names no jwks_uri, so its tokens cannot be verified"}
	}
	kept, _ := i.readCache(keysKind)
	confirmed, err := i.fetch(ctx, keysKind, meta.JWKSURI, kept, how, func(body []byte) (err error) {
		set, err = parseKeySet(body)
		return err
	})
	if errors.Is(err, errNotCached) {
		return nil, err
	}
	if err != nil {
		i.dropCachedMetadata() // it named the place
		var refused *Error
		if errors.As(err, &refused) && !refused.Temporary() {
			refused.Remedy = hint.Say(AskAdmin + "let clients read the keys at " + Clean(meta.JWKSURI) + ", which the discovery document names")
		}
		return nil, err
	}
	set.asked = confirmed
	i.mu.Lock()
	i.keys = set
	i.mu.Unlock()
	return set, nil
}

// Recall begins to read the documents that are cached on disk, for a caller that waits
// for something else before it calls Ready. It asks nobody: what is missing or no
// longer fresh is left to Ready.
func (i *Issuer) Recall(ctx context.Context) {
	i.recalling.Go(func() {
		defer func() { _ = recover() }() // Ready meets it again, where a panic is reported without its value
		_ = i.ready(ctx, never)
	})
}

// Ready makes sure that all is at hand to ask for a token and to verify the
// answer, so that nothing is spent on an issuer that cannot be believed.
func (i *Issuer) Ready(ctx context.Context) error {
	i.recalling.Wait()
	return i.ready(ctx, whenStale)
}

func (i *Issuer) ready(ctx context.Context, how asking) error {
	if _, err := i.metadata(ctx, how); err != nil {
		return err
	}
	_, err := i.keySet(ctx, how)
	if errors.Is(err, ErrOpaque) {
		return nil // there are no keys to wait for
	}
	return err
}
