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
        args: [kubernetes]
        interactiveMode: Never
        provideClusterInfo: true

With provideClusterInfo the cluster's server must be among a profile's hosts.
Without it nothing is known of the server, and the token goes to whichever one the
kubeconfig names.`,
	Serve: serveKubernetes,
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
	cred, err := c.Get(ctx, helper.Request{URL: server})
	if err != nil {
		return err
	}
	return json.NewEncoder(c.Stdout).Encode(execCredential{
		APIVersion: version, Kind: execKind,
		Status: execStatus{Token: cred.Token.Reveal(), Expiration: cred.Expiry.UTC().Format(time.RFC3339)},
	})
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
	var address string
	var insecure bool
	if err := errors.Join(member(cluster, "server", &address), member(cluster, "insecure-skip-tls-verify", &insecure)); err != nil {
		return nil, fmt.Errorf("%w: KUBERNETES_EXEC_INFO: spec.cluster: %w", ErrUsage, err)
	}
	server, err := url.Parse(address)
	if err != nil || server.Host == "" {
		return nil, fmt.Errorf("%w: the cluster's server is %.100q, not https://HOST[:PORT]", helper.ErrNotMine, address)
	}
	if insecure && !onLoopback(server.Hostname()) {
		return nil, &helper.Problem{
			Kind:   helper.ErrNotMine,
			Detail: fmt.Sprintf("the kubeconfig has insecure-skip-tls-verify for %.100q, so whoever answers there would get the token", address),
			Remedy: "name the cluster's CA in the kubeconfig instead: kubectl config set-cluster NAME --certificate-authority FILE --embed-certs",
		}
	}
	return server, nil
}

func onLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
