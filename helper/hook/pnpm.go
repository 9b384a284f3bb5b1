package hook

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/terradue/t2-cred/helper"
)

// pnpm is pnpm's tokenHelper: https://pnpm.io/settings#tokenhelper
var pnpm = Protocol{
	Name: "pnpm", Alias: "pnpm-credential-t2",
	Short: "pnpm tokenHelper",
	Long: `Answer pnpm, which wants an Authorization header of the program that ~/.npmrc names:

  //npm.example.org/:tokenHelper=/usr/local/bin/t2-cred pnpm --url https://npm.example.org/

pnpm 10 gives no arguments, so there it is a link named pnpm-credential-t2:

  //npm.example.org/:tokenHelper=/usr/local/bin/pnpm-credential-t2

pnpm does not say which registry asks. With --url the token is refused unless it is for
a host of the profile's. Without, it is that of --profile, T2_CRED_PROFILE, or the default
profile, and goes to the registry that the line in ~/.npmrc names.`,
	Options: []Option{{Name: "url", Usage: "the registry that the token is for"}, longRunOption},
	Serve:   servePnpm,
}

// servePnpm prints the header with its scheme: pnpm 11 and later add a missing one, and
// pnpm 10 does not. It prints no line end, since pnpm 10 may take the output as it is. An exit code other than 0 fails the install.
func servePnpm(ctx context.Context, c *Call) error {
	if len(c.Args) > 0 {
		return fmt.Errorf("%w: pnpm gives no arguments; see t2-cred pnpm --help", ErrUsage)
	}
	r, err := forLongRun(c, helper.Request{})
	if err != nil {
		return err
	}
	if registry := c.Option["url"]; registry != "" {
		if r.URL, err = url.Parse(registry); err != nil || r.URL.Host == "" {
			return fmt.Errorf("%w: --url %q is not the URL of a registry", ErrUsage, registry)
		}
	}
	cred, err := c.Get(ctx, r)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.Stdout, "Bearer "+cred.Token.Reveal())
	return err
}
