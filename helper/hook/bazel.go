package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// bazel is Bazel's credential helper:
// https://github.com/EngFlow/credential-helper-spec/blob/main/spec.md
var bazel = Protocol{
	Name: "bazel", Args: "get", Alias: "bazel-credential-t2",
	Short: "Bazel credential helper",
	Long: `Answer bazel (7 or later), which runs "bazel-credential-t2 get". Make that name a link to
t2-cred, and in ~/.bazelrc say:

  common --credential_helper=cache.example.org=/usr/local/bin/bazel-credential-t2
  common --credential_helper_timeout=45s

The host must be among a profile's hosts; for others the answer is {}, no credentials.`,
	Options: []Option{minValidOption},
	Begins:  func(text []byte) bool { return beginsObject(text, "uri") },
	Serve:   serveBazel,
}

// bazelAnswer is the answer. bazel keeps one without expires for half an hour.
type bazelAnswer struct {
	Headers map[string][]string `json:"headers,omitempty"`
	Expires string              `json:"expires,omitempty"`
}

// serveBazel answers get. For hosts of no profile the answer is {}, since an exit code
// other than 0 fails the build.
func serveBazel(ctx context.Context, c *Call) error {
	if len(c.Args) != 1 || c.Args[0] != "get" {
		return fmt.Errorf("%w: bazel calls bazel-credential-t2 get", ErrUsage)
	}
	var (
		r   helper.Request
		err error
	)
	if r.MinValid, err = minValid(c); err != nil {
		return err
	}
	text, err := readAll(c.Stdin)
	if err != nil {
		return err
	}
	if r.URL, err = readBazel(text); err != nil {
		return fmt.Errorf("%w: bazel's request: %w", ErrUsage, err)
	}
	cred, err := c.Get(ctx, r)
	var answer bazelAnswer
	switch {
	case errors.Is(err, helper.ErrNotMine):
	case err != nil:
		return err
	default:
		answer.Headers = map[string][]string{"Authorization": {"Bearer " + cred.Token.Reveal()}}
		if !cred.Expiry.IsZero() {
			answer.Expires = cred.Expiry.UTC().Format(time.RFC3339)
		}
	}
	return json.NewEncoder(c.Stdout).Encode(answer)
}

// readBazel reads where bazel will send the token. Text that is no URL becomes a URL that
// no profile serves.
func readBazel(text []byte) (*url.URL, error) {
	members, err := readObject(text)
	if err != nil {
		return nil, err
	}
	var uri string
	if err := member(members, "uri", &uri); err != nil {
		return nil, err
	}
	if uri == "" {
		return nil, errors.New("uri is missing")
	}
	u, err := url.Parse(uri)
	if err != nil {
		return &url.URL{Opaque: "not a place"}, nil
	}
	return u, nil
}
