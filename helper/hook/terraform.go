package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// terraform is the credentials helper of Terraform and OpenTofu:
// https://developer.hashicorp.com/terraform/internals/credentials-helpers
var terraform = Protocol{
	Name: "terraform", Args: "get|store|forget HOST", Alias: "terraform-credentials-t2", PluginDir: []string{".terraform.d", "plugins"},
	Short: "Terraform and OpenTofu credentials helper",
	Long: `Answer terraform and tofu, which run "terraform-credentials-t2 get HOST". Make that name
a link to t2-cred in ~/.terraform.d/plugins, and in ~/.terraformrc (~/.tofurc) say:

  credentials_helper "t2" {
    args = ["--profile", "gep"]   # or []
  }

The host of the registry must be among a profile's hosts.`,
	Options: []Option{longRunOption},
	Serve:   serveTerraform,
}

// serveTerraform answers get. It refuses store and forget: terraform would keep or drop
// a token of its own, while ours comes from a grant that only t2-cred erase gives back.
// On an exit code other than 0 terraform shows standard error.
func serveTerraform(ctx context.Context, c *Call) error {
	if len(c.Args) != 2 {
		return fmt.Errorf("%w: terraform calls terraform-credentials-t2 get|store|forget HOST", ErrUsage)
	}
	verb, host := c.Args[0], c.Args[1]
	r, err := forLongRun(c, helper.Request{URL: terraformURL(host)})
	if err != nil {
		return err
	}
	switch verb {
	case "get":
		return terraformGet(ctx, c, r)
	case "store":
		// The token on standard input is never read.
		return &hint.Error{
			Kind: ErrUsage, Detail: fmt.Sprintf("terraform login: t2-cred keeps no token that another program brings, so none for %q", host),
			Remedy: hint.Do(hint.Words("give terraform the token in "+terraformVariable(host)+", or in a credentials block; a profile's hosts need only: "), hint.Run("exchange", "--token-file", "FILE")),
		}
	case "forget":
		err := c.Serves(ctx, r)
		if errors.Is(err, helper.ErrNotMine) {
			return nil // nothing of it is kept
		}
		if err != nil {
			return err
		}
		return &hint.Error{
			Kind: ErrUsage, Detail: fmt.Sprintf("terraform logout: the token for %q comes from a grant that serves other tools too, so it is not terraform's to remove", host),
			Remedy: hint.Do(hint.Words("to see what ends the grant for all tools: "), hint.Run("erase", "--help")),
		}
	}
	return fmt.Errorf("%w: %q is not get, store or forget", ErrUsage, verb)
}

func terraformGet(ctx context.Context, c *Call, r helper.Request) error {
	cred, err := c.Get(ctx, r)
	if errors.Is(err, helper.ErrNotMine) {
		_, err := io.WriteString(c.Stdout, "{}\n")
		return err
	}
	if err != nil {
		return err
	}
	answer, err := json.Marshal(map[string]string{"token": cred.Token.Reveal()})
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(append(answer, '\n'))
	return err
}

// terraformURL is where terraform sends a token for HOST[:PORT], always by https.
// Any other text is a URL that no profile serves.
func terraformURL(host string) *url.URL {
	u, err := url.Parse("https://" + host + "/")
	if err != nil || u.Host != host || u.Path != "/" || u.RawQuery != "" {
		return &url.URL{Opaque: "not a host"}
	}
	return u
}

// terraformVariable is the variable that terraform reads a host's token from.
func terraformVariable(host string) string {
	return "TF_TOKEN_" + strings.NewReplacer(".", "_", "-", "__").Replace(host)
}
