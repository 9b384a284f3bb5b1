package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
)

func (a *app) getCommand() *cobra.Command {
	var (
		minValid time.Duration
		fresh    bool
		format   string
	)
	cmd := &cobra.Command{
		Use: "get", Short: "Print a fresh access token", Args: cobra.NoArgs,
		Long: `Print an access token that is valid for at least --min-valid, and one line feed,
on standard output; nothing else. A cached token is printed without any network;
else one is got with the stored refresh token. No browser, no prompt.

  --format token    the token (the default)
  --format header   Authorization: Bearer TOKEN
  --format json     {"access_token", "token_type", "expires_at", "expires_in", …}
  --format env      export T2_CRED_ACCESS_TOKEN='TOKEN'`,
		Example: `  curl -H "$(t2-cred get --format header)" https://api.example.org/
  eval "$(t2-cred get --format env)"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.flags.json && !cmd.Flags().Changed("format") {
				format = "json"
			}
			write, ok := formats[format]
			if !ok {
				return usageError(fmt.Errorf("--format %q is not one of token, header, json, env", format))
			}
			if minValid < 0 {
				return usageError(errors.New("--min-valid is less than nothing"))
			}
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			r.Fresh = fresh
			if cmd.Flags().Changed("min-valid") {
				r.MinValid = &minValid
			}
			c, err := h.Get(cmd.Context(), r)
			if err != nil {
				return err
			}
			return write(a, c)
		},
	}
	cmd.Flags().DurationVar(&minValid, "min-valid", helper.DefaultMinValid, "how long the token must still be valid, if the issuer's live that long")
	cmd.Flags().BoolVar(&fresh, "fresh", false, "get a new token although the cached one is still valid")
	cmd.Flags().StringVar(&format, "format", "token", "token, header, json or env")
	return cmd
}

// formats are the shapes in which a token leaves: here, and only here, it is
// revealed on standard output.
var formats = map[string]func(*app, helper.Credential) error{
	"token": func(a *app, c helper.Credential) error {
		_, err := fmt.Fprintf(a.Stdout, "%s\n", c.Token.Reveal())
		return err
	},
	"header": func(a *app, c helper.Credential) error {
		_, err := fmt.Fprintf(a.Stdout, "Authorization: %s %s\n", c.Type, c.Token.Reveal())
		return err
	},
	"env": func(a *app, c helper.Credential) error {
		// A token has no quote by RFC 6750, but what an issuer sends is not trusted.
		quoted := strings.ReplaceAll(c.Token.Reveal(), `'`, `'\''`)
		_, err := fmt.Fprintf(a.Stdout, "export T2_CRED_ACCESS_TOKEN='%s'\n", quoted)
		return err
	},
	"json": func(a *app, c helper.Credential) error {
		return a.printJSON(struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresAt   any    `json:"expires_at"`
			ExpiresIn   int64  `json:"expires_in"`
			Scope       string `json:"scope"`
			Subject     string `json:"subject"`
			Profile     string `json:"profile"`
			Account     string `json:"account"`
			Issuer      string `json:"issuer"`
		}{
			c.Token.Reveal(), c.Type, stamp(c.Expiry), int64(c.Expiry.Sub(a.Now()).Seconds()),
			strings.Join(c.Scopes, " "), c.Subject, c.Profile, c.Account, c.Issuer,
		})
	},
}
