package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// keyring is the command line of Python's keyring, as pip and uv call it:
// https://pip.pypa.io/en/stable/topics/authentication/#keyring-support
var keyring = Protocol{
	Name: "keyring", Args: "get SERVICE USER", Alias: keyringName, Shared: "pip and uv ask that one", RawArgs: true,
	Short: "keyring command for pip and uv",
	Long: `Answer pip, uv and pixi, which run "keyring get URL USER" when a package index wants a
password. Make "keyring" a link to t2-cred, in a directory that comes early on PATH:

  ln -s /usr/local/bin/t2-cred ~/.local/bin/keyring
  pip install --keyring-provider subprocess --index-url https://USER@pypi.example.org/simple/ PACKAGE

The host of the index must be among a profile's hosts. The profile is the one that
T2_CRED_PROFILE names, or the first that serves the host. What is not for such a host goes
to the next keyring on PATH, as it is.`,
	Serve: serveKeyring,
}

// keyringName is the name by which it is called.
const keyringName = "keyring"

// keyringUser is the user of an answer where nobody named one.
const keyringUser = "oauth2"

// keyringCall is a command line of keyring's. It has no verb if the call is not for us.
type keyringCall struct {
	verb, service, user string
	creds, json         bool
}

// serveKeyring answers for the hosts of profiles, and steps aside for all else.
func serveKeyring(ctx context.Context, c *Call) error {
	k := readKeyring(c.Args)
	place := keyringURL(k.service)
	if k.verb == "" || place == nil {
		c.explain("the call is not one of pip's or uv's, or its service is neither a URL nor a host")
		return nextKeyring(c)
	}
	r := helper.Request{URL: place, Prefer: longRun} // pip and uv do not ask again
	var err error
	if k.verb == "get" {
		err = keyringGet(ctx, c, r, k)
	} else if err = c.Serves(ctx, r); err == nil {
		// The password on standard input is never read.
		err = &hint.Error{
			Kind: ErrUsage, Detail: fmt.Sprintf("keyring %s: the token for %q comes from a grant, which no password can be kept for or taken from", k.verb, place.Host),
			Remedy: hint.Do(hint.Words("to see what ends the grant for all tools: "), hint.Run("erase", "--help")),
		}
	}
	if errors.Is(err, helper.ErrNotMine) {
		return nextKeyring(c)
	}
	return err
}

func keyringGet(ctx context.Context, c *Call, r helper.Request, k keyringCall) error {
	if k.user == "" && !k.creds {
		if err := c.Serves(ctx, r); err != nil {
			return err
		}
		return fmt.Errorf("%w: keyring get SERVICE USER, or keyring get SERVICE --mode creds", ErrUsage)
	}
	cred, err := c.Get(ctx, r)
	if err != nil {
		return err
	}
	answer := struct {
		User     string `json:"username,omitempty"`
		Password string `json:"password"`
	}{Password: cred.Token.Reveal()}
	if k.creds {
		answer.User = k.user
		if answer.User == "" {
			answer.User = keyringUser
		}
	}
	if k.json {
		return json.NewEncoder(c.Stdout).Encode(answer)
	}
	text := answer.Password + "\n"
	if k.creds {
		text = answer.User + "\n" + text
	}
	_, err = io.WriteString(c.Stdout, text)
	return err
}

// readKeyring reads a command line. A call that names a backend of keyring's, or has an
// unknown flag, is not for us.
func readKeyring(args []string) (k keyringCall) {
	var words []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") {
			words = append(words, arg)
			continue
		}
		name, value, joined := strings.Cut(arg, "=")
		if !joined && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		switch name + " " + value {
		case "--mode password", "--mode creds":
			k.creds = value == "creds"
		case "--output plain", "--output json":
			k.json = value == "json"
		default:
			return keyringCall{}
		}
	}
	if len(words) < 2 || len(words) > 3 || !slices.Contains([]string{"get", "set", "del"}, words[0]) {
		return keyringCall{}
	}
	k.verb, k.service = words[0], words[1]
	if len(words) == 3 {
		k.user = words[2]
	}
	if strings.ContainsFunc(k.user, isControl) { // it would be a line of the answer
		return keyringCall{}
	}
	return k
}

// keyringURL is where a service is: a URL, or HOST[:PORT] as clients fall back to.
// Other services, which any program may name as it likes, have no place.
func keyringURL(service string) *url.URL {
	if strings.Contains(service, "://") {
		u, err := url.Parse(service)
		if err != nil || u.Host == "" || u.User != nil {
			return nil
		}
		return u
	}
	if u := placeURL("https", service); u.Opaque == "" {
		return u
	}
	return nil
}
