package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// kubernetes is the exec credential plugin of client-go, and so of kubectl, k9s
// and the rest: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
var kubernetes = Protocol{
	Name:  "kubernetes",
	Short: "Kubernetes exec credential plugin",
	Long: `Answer kubectl and all else that client-go is in. In the kubeconfig:

  users:
  - name: t2
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: t2-cred
        args: [kubernetes, --url, "https://k8s.example.org:6443"]
        interactiveMode: Never
        provideClusterInfo: true

With --url the token is for that server alone, which must be among a profile's hosts.
With provideClusterInfo the client names the server, which must be the same one, or one of
a profile's hosts. Some clients never name it (Python's kubernetes_asyncio, client-node):
then the token goes to the server that the kubeconfig names, whatever --url says.`,
	Options: []Option{{Name: "url", Usage: "the one server that the token is for"}},
	Serve:   serveKubernetes,
}

// execKind is the one kind of object, in both directions, and execVersions are
// the versions of it that are spoken; their shape is the same. The last is what
// is answered when nobody asked for one.
const execKind = "ExecCredential"

var execVersions = [...]string{"client.authentication.k8s.io/v1beta1", "client.authentication.k8s.io/v1"}

// maxExecInfo bounds KUBERNETES_EXEC_INFO, which carries the cluster's CAs.
const maxExecInfo = 1 << 20

type execCredential struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Status     execStatus `json:"status"`
}

type execStatus struct {
	Token string `json:"token"`
	// Without it a client uses the token until a server refuses it, and that request
	// fails.
	Expiration string `json:"expirationTimestamp"`
}

// serveKubernetes never reads standard input, which is the terminal's.
func serveKubernetes(ctx context.Context, c *Call) error {
	if len(c.Args) > 0 {
		return fmt.Errorf("%w: kubernetes takes no arguments, got %q", ErrUsage, c.Args[0])
	}
	version, server, err := readExecInfo(c.Getenv("KUBERNETES_EXEC_INFO"))
	if err != nil {
		return err
	}
	if server, err = bindServer(c.Option["url"], server); err != nil {
		return err
	}
	cred, err := c.Get(ctx, helper.Request{URL: server})
	if err != nil {
		return err
	}
	return json.NewEncoder(c.Stdout).Encode(execCredential{
		APIVersion: version, Kind: execKind,
		Status: execStatus{Token: cred.Token.Reveal(), Expiration: cred.Expiry.UTC().Format(time.RFC3339)},
	})
}

// bindServer is the server of --url. One that the client names must be the same.
func bindServer(option string, named *url.URL) (*url.URL, error) {
	if option == "" {
		return named, nil
	}
	bound, err := url.Parse(option)
	if err != nil || bound.Host == "" || bound.User != nil {
		return nil, fmt.Errorf("%w: --url is not https://HOST[:PORT]", ErrUsage)
	}
	if named != nil && (named.Scheme != bound.Scheme || !strings.EqualFold(named.Hostname(), bound.Hostname()) || portOf(named) != portOf(bound)) {
		return nil, &hint.Error{
			Kind:   helper.ErrNotMine,
			Detail: fmt.Sprintf("--url is for another server than %.100q, which the kubeconfig names", named.Host),
			Remedy: hint.Say("give each server in the kubeconfig a user of its own, with its own --url"),
		}
	}
	return bound, nil
}

// portOf is the port of a URL, which may be that of the scheme.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"https": "443", "http": "80"}[u.Scheme]
}

// readExecInfo reads what client-go says of the call: the version that it must be
// answered in and, where the kubeconfig has it say so, the server.
func readExecInfo(info string) (version string, server *url.URL, err error) {
	if info == "" { // called by hand
		return execVersions[len(execVersions)-1], nil, nil
	}
	bad := func(err error) (string, *url.URL, error) {
		return "", nil, fmt.Errorf("%w: KUBERNETES_EXEC_INFO: %w", ErrUsage, err)
	}
	if len(info) > maxExecInfo {
		return bad(errors.New("longer than 1 MiB"))
	}
	object, err := readObject([]byte(info))
	if err != nil {
		return bad(err)
	}
	var kind string
	var spec, cluster json.RawMessage
	if err := errors.Join(member(object, "kind", &kind), member(object, "apiVersion", &version), member(object, "spec", &spec)); err != nil {
		return bad(err)
	}
	if kind != execKind {
		return bad(fmt.Errorf("kind is %.100q, not %q", kind, execKind))
	}
	if version != execVersions[0] && version != execVersions[1] {
		return bad(fmt.Errorf("apiVersion is %.100q; the kubeconfig must say %s", version, strings.Join(execVersions[:], " or ")))
	}
	if isNull(spec) {
		return version, nil, nil
	}
	members, err := readObject(spec)
	if err == nil {
		err = member(members, "cluster", &cluster)
	}
	if err != nil {
		return bad(fmt.Errorf("spec: %w", err))
	}
	if isNull(cluster) {
		return version, nil, nil
	}
	if members, err = readObject(cluster); err != nil {
		return bad(fmt.Errorf("spec.cluster: %w", err))
	}
	server, err = readCluster(members)
	return version, server, err
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// readCluster returns the server, if a token may be sent to it as the kubeconfig
// says.
func readCluster(cluster map[string]json.RawMessage) (*url.URL, error) {
	var address, proxy, serverName string
	var insecure bool
	err := errors.Join(member(cluster, "server", &address), member(cluster, "insecure-skip-tls-verify", &insecure),
		member(cluster, "proxy-url", &proxy), member(cluster, "tls-server-name", &serverName))
	if err != nil {
		return nil, fmt.Errorf("%w: KUBERNETES_EXEC_INFO: spec.cluster: %w", ErrUsage, err)
	}
	server, err := url.Parse(address)
	if err != nil || server.Host == "" {
		return nil, fmt.Errorf("%w: the cluster's server is %.100q, not https://HOST[:PORT]", helper.ErrNotMine, address)
	}
	var setting, remedy string
	switch {
	case proxy != "": // even on loopback: a proxy may lead anywhere, and the kubeconfig's CA vouch for it
		setting, remedy = "proxy-url", "remove proxy-url from the kubeconfig and set HTTPS_PROXY in the environment"
	case onLoopback(server.Hostname()):
	case insecure:
		setting = "insecure-skip-tls-verify"
		remedy = "name the cluster's CA in the kubeconfig instead: kubectl config set-cluster NAME --certificate-authority FILE --embed-certs"
	case serverName != "":
		setting, remedy = "tls-server-name", "remove tls-server-name from the kubeconfig and name the server as its certificate does"
	}
	if setting == "" {
		return server, nil
	}
	return nil, &hint.Error{
		Kind:   helper.ErrNotMine,
		Detail: fmt.Sprintf("the kubeconfig has %s for %.100q, so another server could get the token", setting, address),
		Remedy: hint.Say(remedy),
	}
}

func onLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
