package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
)

// auth is how the profile's client proves itself. A profile that does not say it says
// it by what it names; empty is by the secret, basic or post as the issuer takes.
func (p profileConfig) auth() string {
	switch {
	case p.ClientAuth != "":
		return p.ClientAuth
	case p.CertFile != "":
		return oidc.AuthTLS
	case p.KeyFile != "":
		return oidc.AuthKeyJWT
	case p.AssertionFile != "":
		return oidc.AuthJWTFile
	}
	return ""
}

// usesKey reports whether a client proves itself by a private key.
func usesKey(auth string) bool { return auth == oidc.AuthKeyJWT || auth == oidc.AuthTLS }

func clientAuths() []string {
	return []string{oidc.AuthBasic, oidc.AuthPost, oidc.AuthNone, oidc.AuthKeyJWT, oidc.AuthSecretJWT, oidc.AuthTLS, oidc.AuthJWTFile}
}

// meantAuth proposes a method for one that is not known. Issuers' documents have longer names
// for some of ours.
func meantAuth(typed string, known []string) string {
	longer := map[string]string{
		"client_secret_basic": oidc.AuthBasic, "client_secret_post": oidc.AuthPost, "tls_client_auth": oidc.AuthTLS,
		"self_signed_tls_client_auth": oidc.AuthTLS, "public": oidc.AuthNone,
	}
	if ours, ok := longer[strings.ToLower(typed)]; ok {
		return "; did you mean " + ours + "?"
	}
	return didYouMean(typed, known)
}

// checkClientAuth refuses what does not go together: a key that is never used would be
// trusted in.
func checkClientAuth(p profileConfig) error {
	known, auth := clientAuths(), p.auth()
	switch {
	case auth != "" && !slices.Contains(known, auth):
		return fmt.Errorf("client_auth is %q, not one of %s%s", shownWord(auth), strings.Join(known, ", "), meantAuth(auth, known))
	case auth == oidc.AuthTLS && p.CertFile == "":
		return errors.New("client_auth is tls, and client_cert_file is missing")
	case auth == oidc.AuthJWTFile && p.AssertionFile == "":
		return errors.New("client_auth is jwt_file, and client_assertion_file is missing")
	case auth != oidc.AuthJWTFile && (p.AssertionFile != "" || p.AssertionAudience != "" || p.AssertionType != ""):
		return fmt.Errorf("client_assertion_file, _audience and _type are for client_auth jwt_file, not %s", auth)
	case p.AssertionType != "" && p.AssertionType != oidc.AssertionJWT && p.AssertionType != oidc.AssertionSPIFFE:
		return fmt.Errorf("client_assertion_type is %q, not %s or %s", p.AssertionType, oidc.AssertionJWT, oidc.AssertionSPIFFE)
	case auth != oidc.AuthTLS && p.CertFile != "":
		return fmt.Errorf("client_cert_file is for client_auth tls, not %s", auth)
	case !usesKey(auth) && p.KeyFile != "":
		return fmt.Errorf("client_key_file is for client_auth private_key_jwt and tls, not %s", auth)
	case auth != oidc.AuthKeyJWT && p.KeyID != "":
		return errors.New("client_key_id is for client_auth private_key_jwt")
	case (usesKey(auth) || auth == oidc.AuthNone || auth == oidc.AuthJWTFile) && (p.SecretFile != "" || len(p.SecretCommand) > 0):
		return fmt.Errorf("client_auth %s has no client secret, so neither client_secret_file nor client_secret_command", auth)
	case p.SecretFile != "" && len(p.SecretCommand) > 0:
		return errors.New("client_secret_file and client_secret_command: one of them")
	case len(p.SecretCommand) > 0 && !filepath.IsAbs(p.SecretCommand[0]):
		return errors.New("client_secret_command must begin with an absolute path (what is there is not shown: it may be the secret itself)")
	}
	for _, file := range [][2]string{{"client_secret_file", p.SecretFile}, {"client_key_file", p.KeyFile}, {"client_cert_file", p.CertFile}, {"client_assertion_file", p.AssertionFile}} {
		if file[1] != "" && !filepath.IsAbs(file[1]) {
			return fmt.Errorf("%s must be an absolute path (what is there is not shown: it may be the secret itself)", file[0])
		}
	}
	return nil
}

// secretElsewhere is the key of the profile that names where its client's secret or
// key comes from; empty when that is the store.
func secretElsewhere(p helper.Profile) string {
	switch {
	case p.SecretFile != "":
		return "client_secret_file"
	case len(p.SecretCommand) > 0:
		return "client_secret_command"
	case p.KeyFile != "":
		return "client_key_file"
	case p.AssertionFile != "":
		return "client_assertion_file"
	}
	return ""
}

// absolute makes the names of files that were typed into what a profile holds.
func (p *profileConfig) absolute() error {
	for _, file := range []*string{&p.KeyFile, &p.CertFile, &p.CAFile, &p.AssertionFile} {
		if *file == "" {
			continue
		}
		full, err := filepath.Abs(*file)
		if err != nil {
			return err
		}
		*file = full
	}
	return nil
}

// offered checks that the issuer lists a method that the client can use. A secret is sent
// as basic or post; the first request finds out which one the issuer accepts.
func offered(p profileConfig, m *oidc.Metadata) error {
	if p.auth() != "" || len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, "client_secret_basic") || slices.Contains(m.AuthMethods, "client_secret_post") {
		return nil
	}
	if slices.Contains(m.AuthMethods, "client_secret_jwt") {
		return configErrorf(hint.Say("if this client has a secret, say --client-auth client_secret_jwt; else --client-key-file FILE for private_key_jwt"),
			"the issuer takes no client secret as it is; it lists %s", clean(strings.Join(m.AuthMethods, ", ")))
	}
	return configErrorf(
		hint.Say("--client-key-file FILE for private_key_jwt, --client-cert-file FILE with it for tls, or say --client-auth"),
		"the issuer takes no client secrets; it lists %s", clean(strings.Join(m.AuthMethods, ", ")))
}

// clientSecret takes a client's secret, or its private key, from a file, standard
// input ("-") or a hidden prompt; empty when none is offered and there is nobody to
// ask. A key has lines, so it is not asked for.
func (a *app) clientSecret(ctx context.Context, auth, file string) (secret.Secret, error) {
	if file != "" {
		value, err := a.secretFrom(ctx, file)
		if err != nil {
			return "", err
		}
		return value, checkSecret(auth, value)
	}
	if !a.StdinTerminal || usesKey(auth) || auth == oidc.AuthJWTFile {
		return "", nil
	}
	value, err := a.ask("The client's secret (not shown): ")
	if errors.Is(err, errNobody) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return value, checkSecret(auth, value)
}

func checkSecret(auth string, value secret.Secret) error {
	if usesKey(auth) {
		return oidc.Client{Auth: oidc.AuthKeyJWT, Key: value}.Check()
	}
	if err := helper.CheckClientSecret(value); err != nil {
		return usageError(err)
	}
	return nil
}
