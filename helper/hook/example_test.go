package hook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hook"
)

// oneToken is a Getter with one token for one host.
type oneToken struct{ host string }

func (o oneToken) Serves(_ context.Context, r helper.Request) error {
	if r.URL == nil || !(helper.Profile{Hosts: []string{o.host}}).Serves(r.URL) {
		return helper.ErrNotMine
	}
	return nil
}

func (o oneToken) Get(ctx context.Context, r helper.Request) (helper.Credential, error) {
	if err := o.Serves(ctx, r); err != nil {
		return helper.Credential{}, err
	}
	return helper.Credential{Token: "0123456789abcdef", Type: "Bearer", Expiry: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
}

func (o oneToken) Reject(ctx context.Context, r helper.Request, _ string) error {
	return o.Serves(ctx, r)
}

// The protocol of git answers a request that git writes to standard input.
func ExampleProtocols() {
	for _, p := range hook.Protocols {
		if p.Alias != "git-credential-t2" {
			continue
		}
		err := p.Serve(context.Background(), &hook.Call{
			Args: []string{"get"}, Stdin: strings.NewReader("protocol=https\nhost=git.example.org\n\n"),
			Stdout: os.Stdout, Stderr: os.Stderr, Getter: oneToken{"git.example.org"},
		})
		fmt.Println("error:", err)
	}
	// Output:
	// username=oauth2
	// password=0123456789abcdef
	// password_expiry_utc=1893456000
	// error: <nil>
}

// A protocol for a tool that writes a URL to standard input and reads a header. For a
// host of no profile the tool expects the word "none".
func ExampleProtocol() {
	toy := hook.Protocol{
		Name: "toy", Alias: "toy-credential-t2", Short: "toy's credential helper",
		Serve: func(ctx context.Context, c *hook.Call) error {
			text, err := io.ReadAll(io.LimitReader(c.Stdin, 4<<10))
			if err != nil {
				return err
			}
			place, err := url.Parse(strings.TrimSuffix(string(text), "\n"))
			if err != nil {
				return fmt.Errorf("%w: toy's request is not a URL", hook.ErrUsage)
			}
			cred, err := c.Get(ctx, helper.Request{URL: place})
			if errors.Is(err, helper.ErrNotMine) {
				_, err = io.WriteString(c.Stdout, "none\n")
				return err
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.Stdout, "Authorization: Bearer %s\n", cred.Token.Reveal())
			return err
		},
	}
	for _, place := range []string{"https://toy.example.org/a\n", "https://toy.example.org.evil.org/a\n"} {
		err := toy.Serve(context.Background(), &hook.Call{Stdin: strings.NewReader(place), Stdout: os.Stdout, Stderr: os.Stderr, Getter: oneToken{"toy.example.org"}})
		if err != nil {
			fmt.Println("error:", err)
		}
	}
	// Output:
	// Authorization: Bearer 0123456789abcdef
	// none
}
