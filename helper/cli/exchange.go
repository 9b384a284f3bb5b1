package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

func (a *app) exchangeCommand() *cobra.Command {
	var (
		file, requested, kind, from string
		resource                    []string
		allowOnline, replace        bool
	)
	cmd := &cobra.Command{
		Use: "exchange [--token-file FILE]", Short: "Turn a user's access token into an offline token of our own, and keep it", Args: noArgs,
		Long: `Exchange a user's access token (RFC 8693) for an offline token of the profile's
client, verify the answer, and keep it. The user's token comes from --token-file, from
standard input, or from a hidden prompt on a terminal. It is not kept.
Prints nothing on standard output (with --json: a report without tokens).`,
		Example: `  t2-cred exchange --profile gep --token-file user.jwt
  portal-cli token | t2-cred exchange --account alice`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			kind = subjectTokenType(kind)
			if err := checkURI("subject-token-type", []string{kind}, "access_token", "id_token", "jwt"); err != nil {
				return err
			}
			if err := checkURI("requested-token-type", []string{requested}); err != nil {
				return err
			}
			if err := checkURI("resource", resource); err != nil {
				return err
			}
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			token, err := a.tokenFrom(cmd.Context(), file, "The user's access token")
			if err != nil {
				return err
			}
			r.Replace, r.MayReplace = replace, a.mayReplace()
			rec, err := h.Exchange(cmd.Context(), helper.ExchangeRequest{
				Request: r, SubjectToken: token, RequestedTokenType: requested,
				SubjectTokenType: kind, SubjectIssuer: from, Resource: resource, AllowOnline: allowOnline,
			})
			if err != nil {
				return err
			}
			return a.reportKept(r, rec, h.Store)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "token-file", "", "file with the user's access token; - for standard input")
	f.BoolVar(&allowOnline, "allow-online", false, "keep a refresh token that ends with the user's session, if that is all the issuer gives")
	addReplace(f, &replace)
	f.StringVar(&requested, "requested-token-type", "", "RFC 8693 requested_token_type, for issuers that want one")
	f.StringVar(&kind, "subject-token-type", "", "what the token is: access_token (the default), id_token, jwt, or a URI of RFC 8693")
	f.StringVar(&from, "subject-issuer", "", "Keycloak's alias of the identity provider that made the token, if it was another issuer")
	f.StringArrayVar(&resource, "resource", nil, "RFC 8693 resource, a URI; may be repeated")
	return cmd
}

// subjectTokenType is the URI of RFC 8693 §3 for a short name.
func subjectTokenType(name string) string {
	switch name {
	case "access_token":
		return oidc.TypeAccessToken
	case "id_token":
		return oidc.TypeIDToken
	case "jwt":
		return oidc.TypeJWT
	}
	return name
}

// checkURI refuses a word that is neither a URI nor one of the short names of a flag. An
// issuer would blame the token for it.
func checkURI(flag string, typed []string, short ...string) error {
	for _, word := range typed {
		if word != "" && !strings.Contains(word, ":") {
			kinds := strings.Join(append(slices.Clone(short), "a URI (RFC 8693)"), " or ")
			return usageError(fmt.Errorf("--%s %q is not %s%s", flag, shownWord(word), kinds, didYouMean(word, short)))
		}
	}
	return nil
}

// tokenFrom takes a token from where it is offered: a file, standard input or a
// hidden prompt.
func (a *app) tokenFrom(ctx context.Context, file, what string) (secret.Secret, error) {
	if file == "" && a.StdinTerminal {
		t, err := a.ask(what + " (not shown): ")
		if errors.Is(err, errNobody) {
			return "", usageError(fmt.Errorf("no token given, and %w", err))
		}
		if err == nil && t == "" {
			err = usageError(errors.New("nothing was typed at the prompt"))
		}
		return t, err
	}
	t, err := a.secretFrom(ctx, or(file, "-"))
	if err == nil && strings.TrimSpace(t.Reveal()) == "" { // looked at only
		return "", usageError(errors.New("no token given: standard input or the file is empty; name the file with --token-file"))
	}
	// Line ends inside are refused later; around it they are a paste's.
	return secret.Secret(strings.TrimSpace(t.Reveal())), err
}

// reportKept says on standard error what was kept, for how long, and where.
func (a *app) reportKept(r helper.Request, rec store.Record, s *store.Store) error {
	kindWord := "an online token"
	if rec.Offline {
		kindWord = "an offline token"
	}
	if a.flags.json {
		account, err := s.Account(context.Background(), store.Key{Profile: r.Profile.Name, Account: r.Account})
		if err != nil {
			return err
		}
		return a.printJSON(accountJSON(account, stateOK))
	}
	who := or(rec.Username, rec.Subject, "an unnamed subject")
	now := a.Now()
	fmt.Fprintf(a.Stderr, "kept %s for %s as %s/%s in the %s store\n", kindWord, clean(who), r.Profile.Name, r.Account, s.Name())
	fmt.Fprintf(a.Stderr, "the grant: %s; the access token: %s\n", ahead(rec.RefreshExpiry, now), ahead(rec.Token.Expiry, now))
	if !rec.Offline {
		a.warn("an online token ends with the user's session at the issuer")
	}
	if rec.Subject == "" {
		a.warn("the issuer's answer names no subject")
	}
	return nil
}
