package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// leeway is how far the issuer's clock and ours may be apart.
const leeway = 60 * time.Second

// algorithms that a signature may have. What is symmetric or "none" is not
// here, whatever a header or a key says (RFC 8725 §3.1, §3.2).
var algorithms = []jwa.SignatureAlgorithm{
	jwa.RS256, jwa.RS384, jwa.RS512, jwa.PS256, jwa.PS384, jwa.PS512,
	jwa.ES256, jwa.ES384, jwa.ES512, jwa.EdDSA, "Ed25519",
}

func accepted(alg string) bool { return slices.Contains(algorithms, jwa.SignatureAlgorithm(alg)) }

// Sizes of RSA keys in bits. Larger ones would let a hostile key set keep us busy.
const minRSA, maxRSA = 2048, 16384

// ErrOpaque says that a token is not a JWT, so there is nothing to verify. An
// issuer may give such access tokens.
var ErrOpaque = errors.New("the token is opaque: it is not a JWT")

// A VerifyError is a token that was looked at and refused.
type VerifyError struct {
	What string // "access_token", "id_token", …
	Why  string // cleaned
	// Identity tells a token that is not believed to be this issuer's word about
	// this user (signature, iss, sub, shape) from one that is, but does not serve
	// now or here (exp, nbf, aud, a key that is not published yet).
	Identity bool
	// OtherSubject is of a token that names another user than the one expected. An
	// answer with such a token is never adopted.
	OtherSubject bool
	// OtherReader is of an access token that is good but is meant for somebody else
	// to read. To its client it may be opaque (RFC 6749 §1.4).
	OtherReader bool
	// Endless is of a token that does not say when it ends (exp).
	Endless bool
	// Signature is of a token that no published key has signed, or that is of a type of
	// the issuer's own.
	Signature bool
	Remedy    hint.Remedy
}

func (e *VerifyError) Error() string { return fmt.Sprintf("%s refused: %s", e.What, e.Why) }

// Hint is what to do; nil when nothing is known.
func (e *VerifyError) Hint() hint.Remedy { return e.Remedy }

// Verify believes a JWT only when a key of the issuer signed it and its claims
// are as expected (RFC 7519 §7.2, RFC 8725, RFC 9068 §4). Errors: ErrOpaque,
// *VerifyError, and those of fetching keys.
func (i *Issuer) Verify(ctx context.Context, token secret.Secret, want Expect) (Claims, error) {
	refuse := func(identity bool, format string, args ...any) error {
		return &VerifyError{What: want.What, Why: fmt.Sprintf(format, args...), Identity: identity}
	}
	payload, unproven, err := i.payload(ctx, token, want)
	if err != nil {
		return Claims{}, err
	}
	c, err := parseClaims(payload)
	if err != nil {
		return Claims{}, refuse(true, "its claims are not well-formed: %s", Clean(err.Error()))
	}
	switch {
	case c.Issuer != i.id && (want.IDToken || c.Issuer == "" || c.Issuer != i.accessTokenIssuer()):
		// A name below the issuer's, signed with its key, is another reader's token: CILogon
		// and OSDF have some.
		below := !want.IDToken && strings.HasPrefix(c.Issuer, strings.TrimSuffix(i.id, "/")+"/")
		return Claims{}, &VerifyError{
			What: want.What, Why: fmt.Sprintf("iss is %q, not %q", Clean(c.Issuer), i.id), Identity: true, OtherReader: below,
			Remedy: hint.Say(AskAdmin + "have tokens name the issuer to the letter as its discovery document does (OpenID Connect Core §3.1.3.7)"),
		}
	case want.Subject != "" && c.Subject != "" && c.Subject != want.Subject:
		return Claims{}, &VerifyError{
			What: want.What, Identity: true, OtherSubject: true,
			Why: fmt.Sprintf("it is for another subject: sub is %q, the stored grant is of %q", Clean(c.Subject), Clean(want.Subject)),
		}
	case c.Type == "ID" && !want.IDToken, c.Type == "Refresh", c.Type == "Offline", c.Type == "Logout":
		return Claims{}, refuse(true, "it is not an access token: typ is %q", Clean(c.Type))
	case want.IDToken && c.Subject == "":
		return Claims{}, refuse(true, "it has no sub")
	case c.Expiry == nil:
		return Claims{}, &VerifyError{What: want.What, Why: "it has no exp", Identity: true, Endless: true}
	}
	if err := i.checkTimes(c, want); err != nil {
		return Claims{}, err
	}
	if err := checkAudience(c, want); err != nil {
		return Claims{}, err
	}
	claims := c.claims(payload)
	claims.Unproven = unproven
	return claims, nil
}

// payload is that of a JWT whose signature is the issuer's, or of one that want lets pass
// without.
func (i *Issuer) payload(ctx context.Context, token secret.Secret, want Expect) (payload []byte, unproven bool, err error) {
	head, err := readHeader(token)
	switch {
	case errors.Is(err, ErrOpaque):
		return nil, false, err
	case err != nil && want.takesShared(err):
		return unverifiedPayload(token), true, nil
	case err != nil:
		return nil, false, &VerifyError{What: want.What, Why: err.Error(), Identity: true, Signature: errors.Is(err, errOwnType), Remedy: mendAlgorithm(head)}
	}
	payload, err = i.verifySignature(ctx, token, head)
	switch {
	case errors.Is(err, errNoKey) && want.takesOutlived(token, i.opt.Now()):
		return unverifiedPayload(token), true, nil
	case errors.Is(err, errNoKey), errors.Is(err, errSignature):
		return nil, false, &VerifyError{What: want.What, Why: err.Error(), Identity: !errors.Is(err, errNoKey), Signature: true}
	}
	return payload, false, err
}

var errSignature = errors.New("signature")

// errNoKey is no proof against a token: a key set that lags behind a rotation of
// the issuer's keys has it for a while.
var errNoKey = errors.New("signature")

// readHeader tells a JWT from an opaque token. What begins as a JWT does is one, or it
// is refused: a lenient reader elsewhere could take it for one. Keys that a header
// brings along (jwk, jku, x5u, x5c) are never looked at.
func readHeader(token secret.Secret) (header, error) {
	if !LooksLikeJWT(token) {
		return header{}, ErrOpaque
	}
	parts := strings.Split(token.Reveal(), ".") // taken apart, not passed on
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return header{}, errors.New("it begins as a JWT does and is not well-formed base64url")
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || !json.Valid(raw) {
		return header{}, errors.New("it begins as a JWT does and its header is no JSON object")
	}
	h, err := parseHeader(raw)
	switch {
	case err != nil:
		return h, fmt.Errorf("its header is not well-formed: %s", Clean(err.Error()))
	case len(parts) == 5 && h.Enc != "" && h.Alg != "":
		return h, ErrOpaque // a JWE is for the resource to read, not for us
	case len(parts) == 5:
		return h, errors.New("it has the 5 parts of a JWE, and its header names no enc")
	case len(parts) != 3:
		return h, fmt.Errorf("it has %d parts, a JWT has 3", len(parts))
	case h.Crit != nil || h.B64 != nil:
		return h, errors.New("its header demands extensions (crit or b64) that are not understood")
	case ownAccessToken(h.Type):
		return h, fmt.Errorf("%w: its header's typ is %q", errOwnType, Clean(h.Type))
	case otherKind(h.Type):
		return h, fmt.Errorf("it is not an access token: its header's typ is %q", Clean(h.Type))
	case slices.Contains(sharedAlgorithms, h.Alg):
		return h, fmt.Errorf("%w %q is not one that is accepted", errShared, h.Alg)
	case !accepted(h.Alg):
		return h, fmt.Errorf("its signature algorithm %q is not one that is accepted", Clean(h.Alg))
	}
	return h, nil
}

// errOwnType is of an access token in the issuer's own format.
var errOwnType = errors.New("it is for the issuer itself to read")

// ownAccessToken recognises an issuer's own type of access tokens, such as
// application/okta-internal-at+jwt.
func ownAccessToken(typ string) bool { return strings.HasSuffix(strings.ToLower(typ), "-at+jwt") }

// otherKind recognises the explicit types of JWTs that are not access tokens
// (RFC 8725 §3.11), such as logout+jwt and dpop+jwt.
func otherKind(typ string) bool {
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return strings.HasSuffix(typ, "+jwt") && typ != "at+jwt"
}

// verifySignature checks the signature with the key that the header names. When
// that fails with keys from the disk, the issuer is asked for them once: it may
// have rotated them.
func (i *Issuer) verifySignature(ctx context.Context, token secret.Secret, h header) ([]byte, error) {
	set, err := i.keySet(ctx, whenStale)
	if errors.Is(err, ErrOpaque) {
		i.dropCachedMetadata() // the next run asks whether the issuer has keys by now
	}
	if err != nil {
		return nil, err
	}
	payload, err := set.verify(ctx, token, h)
	if err == nil || ctx.Err() != nil {
		return payload, err
	}
	i.dropCachedMetadata() // the place where the keys are may be another by now
	if set.asked {
		return nil, err
	}
	if set, err = i.keySet(ctx, anew); err != nil {
		return nil, err
	}
	return set.verify(ctx, token, h)
}

// maxTried is how many keys are tried for one token.
const maxTried = 8

// verify ends when ctx does, except for the first key: an answer that came late is worth the
// milliseconds that one try takes, as key sizes are bounded.
func (s *keySet) verify(ctx context.Context, token secret.Secret, h header) ([]byte, error) {
	why := errNoKey
	if h.Kid == "" || s.knows(h.Kid) || h.bringsKeys() {
		why = errSignature // a key of that name is there, but not for this
	}
	err := fmt.Errorf("%w: the issuer publishes no signing key %q for %s", why, Clean(h.Kid), h.Alg)
	for n, k := range s.candidates(h.Kid, h.Alg) {
		if n == maxTried {
			break
		}
		if n > 0 && ctx.Err() != nil {
			return nil, unreachable("verification", ctx.Err())
		}
		key, keyErr := k.public(jwa.SignatureAlgorithm(h.Alg))
		if keyErr != nil {
			err = fmt.Errorf("%w: %w", errSignature, keyErr)
			continue
		}
		payload, verifyErr := verifyWith(token, h.Alg, key)
		if verifyErr == nil {
			return payload, nil
		}
		err = fmt.Errorf("%w: it was not made by the issuer's key", errSignature)
	}
	return nil, err
}

// verifyWith checks a signature with one key and returns the payload.
func verifyWith(token secret.Secret, alg string, key any) ([]byte, error) {
	if isEdDSA(alg) {
		alg = jwa.EdDSA.String() // jwx does not know RFC 9864's name
	}
	return jws.Verify([]byte(token.Reveal()), jws.WithKey(jwa.SignatureAlgorithm(alg), key), jws.WithCompact())
}

// decisive are the members that make the key. Others, such as a certificate that cannot be
// read, must not hide it.
func (k publishedKey) decisive() []byte {
	var all, key map[string]json.RawMessage
	if json.Unmarshal(k.raw, &all) != nil {
		return k.raw
	}
	key = map[string]json.RawMessage{}
	for _, name := range []string{"kty", "n", "e", "crv", "x", "y", "d"} {
		if raw, ok := all[name]; ok {
			key[name] = raw
		}
	}
	text, err := json.Marshal(key)
	if err != nil {
		return k.raw
	}
	return text
}

// public is the JWK's public key, if it is strong enough and of the kind that
// alg signs with.
func (k publishedKey) public(alg jwa.SignatureAlgorithm) (any, error) {
	refuse := func(why string) (any, error) {
		return nil, fmt.Errorf("the issuer's key %q %s", Clean(k.KeyID), why)
	}
	if len(k.Exponent) > 6 { // base64url of four bytes
		return refuse("has an exponent beyond 2^32")
	}
	if len(k.Modulus) > (maxRSA/8+2)*4/3 {
		return refuse(fmt.Sprintf("has more than %d bits", maxRSA))
	}
	parsed, err := jwk.ParseKey(k.decisive())
	if err != nil {
		return refuse("cannot be read")
	}
	if parsed, err = parsed.PublicKey(); err != nil {
		return refuse("cannot be read")
	}
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return refuse("cannot be read")
	}
	family := alg.String()[:2]
	switch key := raw.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return refuse(fmt.Sprintf("has %d bits, too few", key.N.BitLen()))
		}
		if family == "RS" || family == "PS" {
			return key, nil
		}
	case *ecdsa.PublicKey:
		if want := map[jwa.SignatureAlgorithm]int{jwa.ES256: 256, jwa.ES384: 384, jwa.ES512: 521}[alg]; want == key.Curve.Params().BitSize {
			return key, nil
		}
	case ed25519.PublicKey:
		if family == "Ed" {
			return key, nil
		}
	}
	return refuse("is not one for " + alg.String())
}
