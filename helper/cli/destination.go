package cli

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// A destination is where a token is to be sent, if its caller says it: the URL,
// or the environment variable that has it. A variable is another program's, and may hold
// more than an address, so its content is never shown.
type destination struct{ url, variable string }

func (d *destination) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.url, "url", "", "where the token is to be sent; it must be at a host of a profile")
	cmd.Flags().StringVar(&d.variable, "url-env", "", "the environment variable that has the address for --url")
}

// given reports whether the caller has said one.
func (d *destination) given(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("url") || cmd.Flags().Changed("url-env")
}

// openHelperFor is openHelper, with the profile that serves the destination, and with
// the profile's narrow table for it.
func (a *app) openHelperFor(d destination) (*helper.Helper, helper.Request, error) {
	switch {
	case d.url != "" && d.variable != "":
		return nil, helper.Request{}, usageError(errors.New("--url and --url-env: one of them"))
	}
	address, what := d.url, "--url"
	if d.variable != "" {
		if !isVariable(d.variable) {
			return nil, helper.Request{}, usageError(fmt.Errorf("--url-env %q is not the name of a variable: letters, digits and _", d.variable))
		}
		address, what = a.Getenv(d.variable), "the address in "+d.variable
	}
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil, helper.Request{}, usageError(errors.New(what + " is empty or not set"))
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, helper.Request{}, usageError(errors.New(what + " is not a URL such as https://api.example.org/"))
	case u.User != nil:
		return nil, helper.Request{}, usageError(errors.New(what + " has a user name; t2-cred takes an address without one"))
	}
	h, r, err := (&getter{app: a}).resolve(helper.Request{URL: u})
	if errors.Is(err, helper.ErrNotMine) && d.variable != "" {
		err = &hint.Error{
			Kind: helper.ErrNotMine, Detail: fmt.Sprintf("%v: that of %s", helper.ErrNotMine, what),
			Remedy: hint.Do(hint.Run("profile", "list")),
		}
	}
	return h, r, err
}
