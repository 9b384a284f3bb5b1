package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// google is the executable of Google's external_account credentials:
// https://google.aip.dev/auth/4117
var google = Protocol{
	Name: "google", Quiet: true,
	Short: "Google external_account executable",
	Long: `Answer Google's client libraries, where workload identity federation trusts the issuer.
In the file that GOOGLE_APPLICATION_CREDENTIALS names (gcloud iam workload-identity-pools
create-cred-config writes it with --executable-command):

  "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
  "credential_source": {"executable": {
    "command": "/usr/local/bin/t2-cred google --url https://sts.googleapis.com/"}}

and GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1. The libraries do not say where the token
goes. With --url it is refused unless that is a host of the profile's; without, it is that
of --profile, T2_CRED_PROFILE, or the default profile.`,
	Options: []Option{{Name: "url", Usage: "the token_url that the token is for"}, minValidOption},
	Serve:   serveGoogle,
}

// The types of tokens that are spoken. There are also SAML's.
const (
	googleJWT     = "urn:ietf:params:oauth:token-type:jwt"
	googleIDToken = "urn:ietf:params:oauth:token-type:id_token"
)

// googleAnswer is the answer, for success and failure.
type googleAnswer struct {
	Version    int    `json:"version"`
	Success    bool   `json:"success"`
	TokenType  string `json:"token_type,omitempty"`
	IDToken    string `json:"id_token,omitempty"`
	Expiration int64  `json:"expiration_time,omitempty"`
	Code       string `json:"code,omitempty"`
	Message    string `json:"message,omitempty"`
}

// serveGoogle answers with exit code 0 whatever happens, since of others the
// libraries show no more than all that was printed.
func serveGoogle(ctx context.Context, c *Call) error {
	answer, err := googleToken(ctx, c)
	if errors.Is(err, context.Canceled) {
		return err
	}
	if err != nil {
		answer = googleAnswer{Version: 1, Code: googleCode(err), Message: c.failure(err)}
	}
	enc := json.NewEncoder(c.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(answer)
}

// googleToken never writes GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE, which would keep a
// token in clear. Libraries that find nothing there ask us again.
func googleToken(ctx context.Context, c *Call) (googleAnswer, error) {
	if len(c.Args) > 0 {
		return googleAnswer{}, fmt.Errorf("%w: google takes no arguments, got %q", ErrUsage, c.Args[0])
	}
	if c.Getenv("GOOGLE_EXTERNAL_ACCOUNT_REVOKE") == "1" {
		return googleAnswer{}, &hint.Error{
			Kind: ErrUsage, Detail: "revoke: the token comes from a grant that serves other tools too", Remedy: hint.Do(hint.Words("to see what ends the grant for all tools: "), hint.Run("erase", "--help")),
		}
	}
	kind := c.Getenv("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE")
	switch kind {
	case googleJWT, googleIDToken:
	case "":
		kind = googleJWT
	default:
		return googleAnswer{}, &hint.Error{
			Kind: ErrUsage, Detail: fmt.Sprintf("there is no token of the type %q", kind), Remedy: hint.Say("say subject_token_type " + googleJWT),
		}
	}
	var (
		r   helper.Request
		err error
	)
	if r.MinValid, err = minValid(c); err != nil {
		return googleAnswer{}, err
	}
	if where := c.Option["url"]; where != "" {
		if r.URL, err = url.Parse(where); err != nil || r.URL.Host == "" {
			return googleAnswer{}, fmt.Errorf("%w: --url %q is not the URL of a token endpoint", ErrUsage, where)
		}
	}
	cred, err := c.Get(ctx, r)
	if err != nil {
		return googleAnswer{}, err
	}
	answer := googleAnswer{Version: 1, Success: true, TokenType: kind, IDToken: cred.Token.Reveal()}
	if !cred.Expiry.IsZero() {
		answer.Expiration = cred.Expiry.Unix()
	}
	return answer, nil
}

// googleCode is for people: libraries only show it.
func googleCode(err error) string {
	switch {
	case errors.Is(err, helper.ErrLoginRequired):
		return "401"
	case errors.Is(err, helper.ErrNotMine):
		return "403"
	case errors.Is(err, ErrUsage):
		return "400"
	}
	return "500"
}
