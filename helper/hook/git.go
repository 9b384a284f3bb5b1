package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/terradue/t2-cred/helper"
)

// git is a credential helper of git and git-lfs: https://git-scm.com/docs/gitcredentials
// and https://git-scm.com/docs/git-credential.
var git = Protocol{
	Name: "git", Args: "get|store|erase|capability", Alias: "git-credential-t2",
	Short: "git credential helper",
	Long: `Answer git, which runs "git credential-t2 get|store|erase": make git-credential-t2 a link
to t2-cred on PATH, or give git the whole command. The empty helper comes first, so that no
other one gets to keep the token:

  [credential "https://git.example.org"]
      helper =
      helper = /usr/local/bin/t2-cred git

The host must be among a profile's hosts. git 2.46 or later sends the token as Bearer where
the server takes that. Otherwise it goes as the password of Basic, for the user that git
names (credential.username) or "oauth2".`,
	Begins: beginsGit,
	Serve:  serveGit,
}

// beginsGit wants the attributes that every request has: git writes them first, after
// its capabilities, and gitoxide after the url. One line alone may be anybody's.
func beginsGit(text []byte) bool {
	if bytes.HasPrefix(text, []byte("capability[]=")) {
		return true
	}
	first, _, _ := strings.Cut(string(text), "=")
	known := slices.Contains([]string{"protocol", "host", "path", "username", "password", "url", "wwwauth[]", "state[]", "authtype", "credential"}, first)
	lines := "\n" + string(text)
	return known && strings.Contains(lines, "\nprotocol=") && strings.Contains(lines, "\nhost=")
}

// gitUser is the user that GitLab, Gitea and most others take an OAuth token of.
const gitUser = "oauth2"

// serveGit answers one word. It ignores an unknown word, which a later git may have.
func serveGit(ctx context.Context, c *Call) error {
	if len(c.Args) != 1 {
		return fmt.Errorf("%w: git calls git-credential-t2 get|store|erase|capability", ErrUsage)
	}
	var err error
	switch c.Args[0] {
	case "get":
		err = gitGet(ctx, c)
	case "erase":
		err = gitErase(ctx, c)
	case "capability":
		_, err = io.WriteString(c.Stdout, "version 0\ncapability authtype\n")
	}
	if errors.Is(err, helper.ErrNotMine) {
		return nil // the next helper's turn
	}
	return err
}

// gitGet prints a credential. git uses the output even if the exit code is not 0.
func gitGet(ctx context.Context, c *Call) error {
	asked, err := readGit(c.Stdin)
	if err != nil {
		return err
	}
	if asked.scheme == "" {
		c.explain("git or the server wants another scheme than Bearer and Basic")
		return nil
	}
	cred, err := c.Get(ctx, helper.Request{URL: asked.url})
	if err != nil {
		return err
	}
	token := cred.Token.Reveal()
	answer := attributes{{"username", asked.user}, {"password", token}}
	if asked.scheme == bearer {
		// No password beside it, since curl would be given both.
		answer = attributes{{"capability[]", "authtype"}, {"authtype", "Bearer"}, {"credential", token}, {"ephemeral", "1"}}
	}
	if !cred.Expiry.IsZero() {
		answer = append(answer, attribute{"password_expiry_utc", strconv.FormatInt(cred.Expiry.Unix(), 10)})
	}
	return answer.write(c.Stdout)
}

// gitErase drops the cached token when a server has refused it: git says so after
// a 401, with what it had sent. Without a token nothing was refused.
func gitErase(ctx context.Context, c *Call) error {
	asked, err := readGit(c.Stdin)
	if err != nil || asked.secret == "" {
		return err
	}
	return c.Reject(ctx, helper.Request{URL: asked.url}, asked.secret)
}

// The schemes of Authorization that a token travels in.
const (
	basic  = "basic"
	bearer = "bearer"
)

// A gitRequest is what git says about the server and the credential.
type gitRequest struct {
	url    *url.URL
	user   string // as git named it, or gitUser
	scheme string // basic, bearer, or empty for one that we have nothing for
	secret string // what was sent, in erase
}

func readGit(in io.Reader) (gitRequest, error) {
	said, err := readAttributes(in)
	if err != nil {
		return gitRequest{}, fmt.Errorf("%w: git's request: %w", ErrUsage, err)
	}
	value := map[string]string{}
	for _, key := range []string{"protocol", "host", "username", "password", "credential"} {
		value[key], _ = said.get(key)
		if strings.Contains(value[key], "\t") {
			return gitRequest{}, fmt.Errorf("%w: git's request: a control character is in %s", ErrUsage, key)
		}
	}
	if value["protocol"] == "" || value["host"] == "" {
		// Blank ones have matched everything before (CVE-2020-11008).
		return gitRequest{}, fmt.Errorf("%w: git's request: it must have a protocol and a host", ErrUsage)
	}
	if address, ok := said.get("url"); ok && !samePlace(address, value["protocol"], value["host"]) {
		return gitRequest{}, fmt.Errorf("%w: git's request: the url must name the same protocol and host", ErrUsage)
	}
	r := gitRequest{
		url:  placeURL(value["protocol"], value["host"]),
		user: value["username"], scheme: gitScheme(said), secret: value["credential"],
	}
	if r.user == "" {
		r.user = gitUser
	}
	if r.secret == "" {
		r.secret = value["password"]
	}
	return r, nil
}

// samePlace reports whether a url names that protocol and host. git takes a url apart
// before it asks, but gitoxide sends it too.
func samePlace(address, protocol, host string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != protocol || u.Opaque != "" || strings.ContainsAny(address, "\\\t ") {
		return false
	}
	_, password := u.User.Password()
	return strings.EqualFold(u.Host, host) && !password
}

// gitScheme is Bearer where git can (2.46) and the server does not say that it
// takes something else alone, as GitLab does. Older servers say nothing, and
// neither does one that git has not spoken to yet (http.proactiveAuth).
func gitScheme(said attributes) string {
	challenges := said.list("wwwauth[]")
	offers := func(scheme string) bool {
		return len(challenges) == 0 || slices.ContainsFunc(challenges, func(c string) bool { return hasChallenge(c, scheme) })
	}
	wanted, _ := said.get("authtype")
	wants := func(scheme string) bool { return wanted == "" || strings.EqualFold(wanted, scheme) }
	switch able := slices.Contains(said.list("capability[]"), "authtype"); {
	case able && wants(bearer) && offers(bearer):
		return bearer
	case wants(basic):
		return basic
	}
	return ""
}
