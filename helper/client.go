package helper

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// client is the profile's client with what it proves itself by. It is asked for when
// something is about to be sent, so a cached token costs no file and no command.
func (h *Helper) client(ctx context.Context, r Request) (oidc.Client, error) {
	return h.clientWith(ctx, r.Profile, func(what string) (secret.Secret, error) { return h.stored(ctx, r.Profile, what) })
}

// clientWith is client with another place for the store's item.
func (h *Helper) clientWith(ctx context.Context, p Profile, stored func(what string) (secret.Secret, error)) (oidc.Client, error) {
	c := oidc.Client{ID: p.ClientID, Auth: p.ClientAuth, KeyID: p.KeyID}
	var err error
	switch c.Auth {
	case oidc.AuthNone:
	case oidc.AuthKeyJWT:
		c.Key, err = clientKey(p, stored)
	case oidc.AuthJWTFile:
		c.AssertionAudience, c.AssertionType = p.AssertionAudience, p.AssertionType
		// Others can read it in a Kubernetes volume; that it is not theirs to write counts.
		c.Assertion = func() (secret.Secret, error) {
			return p.readSecretFile("client_assertion_file", p.AssertionFile, safefile.Ours)
		}
	case oidc.AuthTLS:
		var certificate secret.Secret
		if certificate, err = p.readSecretFile("client_cert_file", p.CertFile, anybody); err == nil {
			c.Certificate = certificate.Reveal() // it is no secret
			c.Key, err = clientKey(p, stored)
		}
	default:
		c.Secret, err = clientSecret(ctx, p, stored)
	}
	return c, err
}

func clientSecret(ctx context.Context, p Profile, stored func(what string) (secret.Secret, error)) (secret.Secret, error) {
	var value secret.Secret
	var err error
	switch {
	case len(p.SecretCommand) > 0:
		value, err = secretFromCommand(ctx, p.SecretCommand)
	case p.SecretFile != "":
		value, err = p.readSecretFile("client_secret_file", p.SecretFile, ownerOnly)
	default:
		return stored("client secret")
	}
	if err != nil {
		return "", err
	}
	if err := CheckClientSecret(value); err != nil {
		return "", &hint.Error{Kind: ErrProfile, Detail: fmt.Sprintf("profile %s: %v", p.Name, err), Remedy: hint.Say("client_secret_file or client_secret_command in the profile must give the secret and nothing else")}
	}
	return value, nil
}

func clientKey(p Profile, stored func(what string) (secret.Secret, error)) (secret.Secret, error) {
	if p.KeyFile == "" {
		return stored("client key")
	}
	return p.readSecretFile("client_key_file", p.KeyFile, ownerOnly)
}

// stored is the profile's secret, or its key, in the store.
func (h *Helper) stored(ctx context.Context, p Profile, what string) (secret.Secret, error) {
	s, err := h.Store.ClientSecret(ctx, p.Name)
	if errors.Is(err, store.ErrNotFound) {
		return "", &hint.Error{
			Kind: ErrProfile, Detail: fmt.Sprintf("profile %s has no %s in the store", p.Name, what),
			Remedy: hint.Do(hint.Run("profile", "set-secret", p.Name)),
		}
	}
	return s, err
}

// CheckClient reads what the profile's client proves itself by, and says what is wrong
// with it. Nobody is asked.
func (h *Helper) CheckClient(ctx context.Context, p Profile) error {
	c, err := h.client(ctx, Request{Profile: p})
	if err != nil {
		return err
	}
	return c.Check()
}

// CheckClientSecret refuses what cannot be a client's secret (RFC 6749 appendix A.2):
// none, or one with a control character or a line end in it.
func CheckClientSecret(value secret.Secret) error {
	v := value.Reveal() // looked at, not passed on
	if v == "" {
		return errors.New("the client's secret is empty")
	}
	for n := 0; n < len(v); n++ {
		if v[n] < ' ' || v[n] == 0x7f {
			return errors.New("the client's secret holds a control character or a line end; give it alone, on one line")
		}
	}
	return nil
}

// Who may read a file that the profile names.
const (
	anybody   = safefile.Anyone
	ownerOnly = safefile.Private
)

// readSecretFile reads the file that the configuration's key names. One with a secret
// in it that others may read is refused, as ssh does. (systemd gives a service's user
// its right to a credential by an ACL, whose mask looks like the group's right; those
// directories are the service's alone.)
func (p Profile) readSecretFile(key, path string, trust safefile.Trust) (secret.Secret, error) {
	if strings.HasPrefix(path, "/run/credentials/") {
		trust = safefile.Anyone
	}
	b, err := safefile.Read(path, safefile.Want{Max: secret.MaxSize, Trust: trust})
	if err == nil {
		return secret.WithoutLineEnd(b), nil
	}
	remedy := hint.Do(hint.Words("put the file there, or name another in the profile: "), hint.Run("profile", "show", p.Name))
	switch {
	case errors.Is(err, safefile.ErrNotRegular) && key == "client_secret_file":
		remedy = hint.Say("for what is made when it is asked for there is client_secret_command")
	case errors.Is(err, safefile.ErrNotOurs):
		remedy = nil // err knows the repair
	case errors.Is(err, safefile.ErrTooLarge):
		err = fmt.Errorf("%s holds more than %d bytes; that is not one secret", path, secret.MaxSize)
		remedy = nil
	}
	return "", &hint.Error{Kind: ErrProfile, Detail: key, Err: err, Remedy: remedy}
}

// secretFromCommand runs client_secret_command. What it says on standard error is shown
// only when it fails: that is for people, and cleaned as all words from outside are.
func secretFromCommand(ctx context.Context, argv []string) (secret.Secret, error) {
	value, err := secret.FromCommand(ctx, argv)
	if e, ok := errors.AsType[*secret.CommandError](err); ok {
		return "", &hint.Error{
			Kind: ErrProfile, Detail: "client_secret_command", Err: e,
			Remedy: hint.Say("run it by hand: it must print the client's secret and nothing else, and ask nobody"),
		}
	}
	return value, err
}
