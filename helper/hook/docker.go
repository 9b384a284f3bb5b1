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

// docker is a credential helper of docker, podman, skopeo, crane, oras, helm and
// buildkit: https://github.com/docker/docker-credential-helpers#development
var docker = Protocol{
	Name: "docker", Args: "get|store|erase|list|version", Alias: "docker-credential-t2",
	Short: "docker credential helper",
	Long: `Answer docker and all that shares its configuration, which run "docker-credential-t2
get|store|erase|list|version": make that name a link to t2-cred on PATH, and say in
~/.docker/config.json (podman and skopeo: auth.json):

  {"credHelpers": {"registry.example.org": "t2"}}

The registry must be among a profile's hosts. The token goes to it, or to its token server,
as the password of Basic, for the user "oauth2".`,
	Options: []Option{dockerUserOption},
	Serve:   serveDocker,
}

// dockerUserOption is the user beside the token, which is the password.
var dockerUserOption = Option{Name: "username", Default: "oauth2", Usage: "the user that the registry takes a token of"}

// What clients know by its words: after the first they go on without credentials.
var (
	errDockerNotFound = errors.New("credentials not found in native keychain")
	errDockerNoServer = errors.New("no credentials server URL")
	errDockerNoUser   = errors.New("no credentials username")
)

// dockerToken as a user makes clients spend the secret as a refresh token at the
// registry's token server, which ours never is.
const dockerToken = "<token>"

// serveDocker answers one word. A failure is told on standard output, too, where
// clients look for it.
func serveDocker(ctx context.Context, c *Call) error {
	err := dockerVerb(ctx, c)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, helper.ErrNotMine):
		err = errDockerNotFound
	case errors.Is(err, context.Canceled):
		return err
	}
	if _, err := fmt.Fprintln(c.Stdout, c.failure(err)); err != nil {
		return err
	}
	for _, words := range []error{errDockerNotFound, errDockerNoServer, errDockerNoUser} {
		if errors.Is(err, words) {
			return Exit(1) // these are said to the client, not to a person
		}
	}
	return err
}

func dockerVerb(ctx context.Context, c *Call) error {
	if len(c.Args) != 1 {
		return fmt.Errorf("%w: docker calls docker-credential-t2 get|store|erase|list|version", ErrUsage)
	}
	switch c.Args[0] {
	case "get":
		return dockerGet(ctx, c)
	case "store":
		return dockerStore(ctx, c)
	case "erase":
		return dockerErase(ctx, c)
	case "list":
		return dockerList(ctx, c)
	case "version":
		_, err := fmt.Fprintf(c.Stdout, "%s (github.com/terradue/t2-cred) %s\n", "docker-credential-t2", c.Version)
		return err
	}
	return fmt.Errorf("%w: %q is not get, store, erase, list or version", ErrUsage, c.Args[0])
}

func dockerGet(ctx context.Context, c *Call) error {
	user, err := dockerUser(c)
	if err != nil {
		return err
	}
	server, err := readDockerServer(c.Stdin)
	if err != nil {
		return err
	}
	cred, err := c.Get(ctx, helper.Request{URL: dockerURL(server)})
	if err != nil {
		return err
	}
	return writeDocker(c.Stdout, struct{ ServerURL, Username, Secret string }{server, user, cred.Token.Reveal()})
}

// dockerStore is called at the end of docker login. It keeps no secret. It accepts the
// token that get has just given to docker.
func dockerStore(ctx context.Context, c *Call) error {
	text, err := readAll(c.Stdin)
	if err != nil {
		return err
	}
	members, err := readObject(text)
	if err != nil {
		return fmt.Errorf("%w: what docker wants stored: %w", ErrUsage, err)
	}
	var server, user, password string
	err = errors.Join(member(members, "ServerURL", &server), member(members, "Username", &user), member(members, "Secret", &password))
	switch {
	case err != nil:
		return fmt.Errorf("%w: what docker wants stored: %w", ErrUsage, err)
	case server == "":
		return errDockerNoServer
	case user == "":
		return errDockerNoUser
	}
	if cred, err := c.Get(ctx, helper.Request{URL: dockerURL(server)}); err == nil && cred.Token.Reveal() == password {
		return nil
	}
	return &hint.Error{
		Kind: ErrUsage, Detail: fmt.Sprintf("docker login: t2-cred keeps no password that another program brings, so none for %q", server),
		Remedy: hint.Do(hint.Words("name the helpers of other registries in credHelpers; a profile's hosts need only: "), hint.Run("exchange", "--token-file", "FILE")),
	}
}

// dockerErase is docker logout. It neither drops the token, which no server refused, nor
// ends the grant, which serves other tools too.
func dockerErase(ctx context.Context, c *Call) error {
	server, err := readDockerServer(c.Stdin)
	if err != nil {
		return err
	}
	err = c.Serves(ctx, helper.Request{URL: dockerURL(server)})
	if errors.Is(err, helper.ErrNotMine) {
		return nil // nothing of it is kept
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stderr, "t2-cred: the token for %q comes from a grant that stays; t2-cred erase gives it back\n", server)
	return err
}

// dockerList names the registries that a token is at hand for, and may name hosts
// that are none: docker asks for each when it builds, and one that fails would
// stop it.
func dockerList(ctx context.Context, c *Call) error {
	user, err := dockerUser(c)
	if err != nil {
		return err
	}
	hosts, err := c.Hosts()
	if err != nil {
		return err
	}
	users := map[string]string{}
	for _, host := range hosts {
		_, err := c.Get(ctx, helper.Request{URL: placeURL("https", host)})
		if errors.Is(err, context.Canceled) {
			return err
		}
		if err == nil {
			users[host] = user
		}
	}
	return writeDocker(c.Stdout, users)
}

func dockerUser(c *Call) (string, error) {
	user := c.Option["username"]
	if user == "" || user == dockerToken || strings.ContainsFunc(user, isControl) || strings.ContainsAny(user, ":\t") {
		return "", fmt.Errorf("%w: --username %q is not a user's name", ErrUsage, user)
	}
	return user, nil
}

// readDockerServer reads the registry that is asked for, as it stands in the
// client's configuration: HOST[:PORT], at times with a path, or a URL.
func readDockerServer(in io.Reader) (string, error) {
	text, err := readAll(in)
	if err != nil {
		return "", err
	}
	server := strings.TrimRight(string(text), " \t\r\n") // clients add line ends and spaces
	if strings.Trim(server, " \t\r\n") == "" {
		return "", errDockerNoServer
	}
	if strings.ContainsFunc(server, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%w: the registry's name: a space or a control character is in it", ErrUsage)
	}
	return server, nil
}

// dockerURL is where a registry is. A name without a scheme is reached by https,
// except on loopback, where clients try http too.
func dockerURL(server string) *url.URL {
	scheme, rest, ok := strings.Cut(server, "://")
	if !ok {
		scheme, rest = "https", server
	}
	host, _, _ := strings.Cut(rest, "/")
	return placeURL(scheme, host)
}

func writeDocker(w io.Writer, answer any) error {
	b, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// readAll reads a request that is as long as its input.
func readAll(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("%w: the request is longer than any of the protocol's", ErrUsage)
	}
	return text, err
}
