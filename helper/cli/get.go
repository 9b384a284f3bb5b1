package cli

import (
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
)

func (a *app) getCommand() *cobra.Command {
	var (
		minValid time.Duration
		fresh    bool
		format   string
		less     narrowFlags
	)
	cmd := &cobra.Command{
		Use: "get", Short: "Print a fresh access token", Args: noArgs,
		Long: `Print an access token that is valid for at least --min-valid, and one line feed, on
standard output. A cached token is printed without any network. If there is none, get
spends the stored refresh token. It opens no browser and asks nobody.

With --scope or --audience get prints a narrower token: the issuer exchanges our own access
token for one with these scopes, or for this audience, alone. With --url get prints the
token that hooks send there. A narrower token is cached apart. If it cannot be had, get
fails with exit code 8, and prints no broader one.

--timeout bounds everything until the refresh token is sent. get then waits up to 30 s
more for the answer, and no signal ends that wait.

  --format token    the token (the default)
  --format header   Authorization: Bearer TOKEN
  --format headers  {"Authorization": "Bearer TOKEN"}
  --format json     {"access_token", "token_type", "expires_at", "expires_in", …}
  --format env      export T2_CRED_ACCESS_TOKEN='TOKEN'
  --format rattler  {"HOST": {"BearerToken": "TOKEN"}}, for the profile's exact hosts

With --url, or with --url-env for programs that put the address into a variable, the
profile is the one that has the address's host among its hosts, as for hooks. Every other
host is refused.`,
		Example: `  t2-cred get --format header | curl -H @- https://api.example.org/
  eval "$(t2-cred get --format env)"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.flags.json && !cmd.Flags().Changed("format") {
				format = "json"
			}
			shape, err := formatNamed(format)
			if err != nil {
				return err
			}
			if minValid < 0 {
				return usageError(errors.New("--min-valid must not be negative"))
			}
			if a.StdoutClosed {
				return stdoutError(os.ErrClosed)
			}
			h, r, err := a.openNarrow(cmd, less)
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
			b, err := shape(r.Profile, c, a.Now())
			if err != nil {
				return err
			}
			// Last, to see what a tool writes after it has started us.
			if err := a.refuseHookInput("get"); err != nil {
				return err
			}
			_, err = a.Stdout.Write(b)
			return err
		},
	}
	cmd.Flags().DurationVar(&minValid, "min-valid", helper.DefaultMinValid, "how long the token must still be valid, if the issuer's tokens live that long")
	cmd.Flags().BoolVar(&fresh, "fresh", false, "get a new token although the cached one is still valid, or the issuer has refused one before")
	cmd.Flags().StringVar(&format, "format", "token", "one of "+formatNames())
	less.add(cmd)
	return cmd
}
