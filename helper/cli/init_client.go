package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
)

func (g *guide) askIssuer(ctx context.Context) error {
	typed, err := g.askLine("The issuer's URL", or(g.profile.Issuer, "https://iam.terradue.com/auth/realms/master"))
	if err != nil {
		return err
	}
	if looksSecret(typed) {
		return usageError(errors.New("that looks like a secret, and not like the issuer's URL"))
	}
	g.profile.Issuer = typed
	return proven(ctx, func(ctx context.Context) error {
		p := g.profile
		p.ClientAuth = oidc.AuthNone // how the client proves itself is asked next
		issuer, notes, err := oidc.Find(ctx, typed, g.issuerOptions(p.named(g.name)))
		for _, n := range notes {
			fmt.Fprintf(g.Stderr, "note: %s\n", clean(n))
		}
		if err != nil {
			return err
		}
		g.meta, err = issuer.Metadata(ctx)
		if err != nil {
			return err
		}
		g.profile.Issuer = issuer.ID()
		fmt.Fprintf(g.Stderr, "ok: discovered %s\n\n", clean(issuer.ID()))
		return nil
	})
}

// bySecret stands for basic or post, as the issuer takes.
const bySecret = "secret"

// askClient asks for the client, how it proves itself and by what, and has it do so.
func (g *guide) askClient(ctx context.Context) error {
	id, err := g.askLine("The client's id", g.profile.ClientID)
	if err != nil {
		return err
	}
	if id == "" {
		return usageError(errors.New("there is no usual client: the issuer's admin knows its id"))
	}
	g.profile.ClientID = id
	methods := append([]string{bySecret}, clientAuths()...)
	methods = slices.DeleteFunc(methods, func(m string) bool { return m == oidc.AuthJWTFile }) // profile add sets that up
	auth, err := g.askLine("How the client proves itself: "+strings.Join(methods, ", "), or(g.profile.ClientAuth, bySecret))
	if err != nil {
		return err
	}
	p := profileConfig{Issuer: g.profile.Issuer, ClientID: id, ClientAuth: auth}
	if !slices.Contains(methods, auth) {
		return usageError(fmt.Errorf("%s is not one of these%s", shownWord(auth), meantAuth(auth, methods)))
	}
	if auth == bySecret {
		p.ClientAuth = ""
	}
	if p, err = g.askKeyFiles(p); err != nil {
		return err
	}
	g.profile.ClientID, g.profile.ClientAuth, g.profile.KeyFile, g.profile.CertFile = p.ClientID, p.ClientAuth, p.KeyFile, p.CertFile
	if err := errors.Join(checkProfile(g.name, p), offered(p, g.meta)); err != nil {
		return usageError(err)
	}
	g.secret = ""
	if p.ClientAuth != oidc.AuthNone && !usesKey(p.ClientAuth) {
		if g.secret, err = g.ask("The client's secret (not shown): "); err != nil {
			return err
		}
		if err := checkSecret(p.ClientAuth, g.secret); err != nil {
			return err
		}
	}
	return proven(ctx, func(ctx context.Context) error {
		s, err := g.openStore(g.config)
		if err != nil {
			return err
		}
		if err := g.prove(ctx, s, p.named(g.name), g.secret, hint.Say("the id or the secret is wrong; give them again")); err != nil {
			return err
		}
		fmt.Fprintf(g.Stderr, "ok: the issuer takes client %s\n\n", clean(id))
		return nil
	})
}

// askKeyFiles asks for the files of a client that has a key in place of a secret.
func (g *guide) askKeyFiles(p profileConfig) (profileConfig, error) {
	var err error
	if usesKey(p.ClientAuth) {
		if p.KeyFile, err = g.askLine("The file with the client's private key", g.profile.KeyFile); err != nil {
			return p, err
		}
		if p.KeyFile = g.fromHome(p.KeyFile); p.KeyFile == "" {
			return p, usageError(errors.New("the client needs the file with its private key"))
		}
	}
	if p.ClientAuth == oidc.AuthTLS {
		if p.CertFile, err = g.askLine("The file with the client's certificate", g.profile.CertFile); err != nil {
			return p, err
		}
		p.CertFile = g.fromHome(p.CertFile)
	}
	return p, p.absolute()
}
