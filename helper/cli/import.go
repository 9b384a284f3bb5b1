package cli

import (
	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
)

func (a *app) importCommand() *cobra.Command {
	var (
		file        string
		allowOnline bool
		replace     bool
	)
	cmd := &cobra.Command{
		Use: "import [--token-file FILE]", Short: "Keep a refresh token that the client has already", Args: noArgs,
		Long: `Keep a refresh token that the profile's client was given elsewhere: from --token-file,
from standard input, or from a hidden prompt on a terminal. One refresh
proves it first. If the issuer rotates refresh tokens, that refresh spends it. Its
successor is kept, and another holder of the old one can no longer use it.
Prints nothing on standard output (with --json: a report without tokens).`,
		Example: `  t2-cred import --profile gep --token-file refresh-token.txt
  other-tool show-refresh-token | t2-cred import --account alice`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			token, err := a.tokenFrom(cmd.Context(), file, "The refresh token")
			if err != nil {
				return err
			}
			r.Replace, r.MayReplace = replace, a.mayReplace()
			rec, err := h.Import(cmd.Context(), helper.ImportRequest{Request: r, RefreshToken: token, AllowOnline: allowOnline})
			if err != nil {
				return err
			}
			return a.reportKept(r, rec, h.Store)
		},
	}
	cmd.Flags().StringVar(&file, "token-file", "", "file with the refresh token; - for standard input")
	cmd.Flags().BoolVar(&allowOnline, "allow-online", false, "keep a refresh token that ends with the user's session")
	addReplace(cmd.Flags(), &replace)
	return cmd
}
