package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// kubelet is an image credential provider of the kubelet:
// https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/ and
// https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/
var kubelet = Protocol{
	Name:  "kubelet",
	Short: "Kubernetes image credential provider of the kubelet",
	Long: `Answer the kubelet (1.26 or later), which asks before it pulls an image. Put t2-cred into
the directory of --image-credential-provider-bin-dir. The file that
--image-credential-provider-config names says:

  apiVersion: kubelet.config.k8s.io/v1
  kind: CredentialProviderConfig
  providers:
  - name: t2-cred
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    args: [kubelet]
    env: [{name: HOME, value: /var/lib/t2-cred}]
    matchImages: [registry.example.org]
    defaultCacheDuration: 0s

The registry must be among a profile's hosts; for others the answer has no credentials. The
token goes to the registry, or to its token server, as the password of Basic, for the user
"oauth2". The kubelet keeps it until shortly before it expires.`,
	Options: []Option{dockerUserOption, minValidOption},
	Begins:  func(text []byte) bool { return beginsObject(text, kubeletRequest) },
	Serve:   serveKubelet,
}

// The one version that is spoken, and its two kinds of object.
const (
	kubeletVersion  = "credentialprovider.kubelet.k8s.io/v1"
	kubeletRequest  = "CredentialProviderRequest"
	kubeletResponse = "CredentialProviderResponse"
)

// kubeletMargin is how long before its end the kubelet forgets a token: a pull that
// begins with it asks the registry's token server at once.
const kubeletMargin = time.Minute

type (
	kubeletAuth struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	kubeletAnswer struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		// The token is for all images of the registry.
		CacheKeyType  string                 `json:"cacheKeyType"`
		CacheDuration string                 `json:"cacheDuration"`
		Auth          map[string]kubeletAuth `json:"auth"`
	}
)

// serveKubelet answers one request. The answer for a registry of no profile has no
// credentials, and the kubelet then pulls without.
func serveKubelet(ctx context.Context, c *Call) error {
	if len(c.Args) > 0 {
		return fmt.Errorf("%w: kubelet takes no arguments, got %q", ErrUsage, c.Args[0])
	}
	user, err := dockerUser(c)
	if err != nil {
		return err
	}
	var r helper.Request
	if r.MinValid, err = minValid(c); err != nil {
		return err
	}
	text, err := readAll(c.Stdin)
	if err != nil {
		return err
	}
	registry, err := readKubelet(text)
	if err != nil {
		return fmt.Errorf("%w: the kubelet's request: %w", ErrUsage, err)
	}
	r.URL, r.Prefer = placeURL("https", registry), 2*kubeletMargin
	answer := kubeletAnswer{APIVersion: kubeletVersion, Kind: kubeletResponse, CacheKeyType: "Registry", CacheDuration: "0s", Auth: map[string]kubeletAuth{}}
	cred, err := c.Get(ctx, r)
	switch {
	case errors.Is(err, helper.ErrNotMine):
	case err != nil:
		return err
	default:
		answer.Auth[registry] = kubeletAuth{user, cred.Token.Reveal()}
		if left := cred.Expiry.Sub(c.Now()) - kubeletMargin; !cred.Expiry.IsZero() && left > 0 {
			answer.CacheDuration = left.Truncate(time.Second).String()
		}
	}
	return json.NewEncoder(c.Stdout).Encode(answer)
}

// readKubelet reads the registry of the image, HOST[:PORT]. The service account's token,
// which newer kubelets may send, is not used.
func readKubelet(text []byte) (registry string, err error) {
	members, err := readObject(text)
	if err != nil {
		return "", err
	}
	var kind, version, image string
	if err := errors.Join(member(members, "kind", &kind), member(members, "apiVersion", &version), member(members, "image", &image)); err != nil {
		return "", err
	}
	switch {
	case kind != kubeletRequest:
		return "", fmt.Errorf("kind is %.100q, not %q", kind, kubeletRequest)
	case version != kubeletVersion:
		return "", fmt.Errorf("apiVersion is %.100q; the provider's configuration must say %s", version, kubeletVersion)
	case image == "":
		return "", errors.New("image is missing")
	}
	return registryOf(image), nil
}

// registryOf is the first part of an image's name, if that is a host. Else the image is
// Docker Hub's: https://pkg.go.dev/github.com/distribution/reference
func registryOf(image string) string {
	host, _, ok := strings.Cut(image, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "docker.io"
	}
	return host
}
