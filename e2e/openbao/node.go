package openbao

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/e2e/lab"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/proc"
)

// Node is one server.
type Node struct {
	Name string
	URL  string // https://ADDRESS:PORT

	c       *Cluster
	dir     string
	host    string
	ports   [2]string    // of the API, and of the servers among themselves
	machine *lab.Machine // nil on loopback
	process *proc.Process
}

func (c *Cluster) newNode(number int) (*Node, error) {
	n := &Node{Name: fmt.Sprintf("bao-%d", number+1), c: c, host: "127.0.0.1", ports: [2]string{"8200", "8201"}}
	n.dir = filepath.Join(c.dir, n.Name)
	if err := os.MkdirAll(filepath.Join(n.dir, "data"), 0o700); err != nil {
		return nil, err
	}
	if c.opts.Net != nil {
		n.machine = c.opts.Net.Machine(n.Name)
		n.host = n.machine.Address
	} else {
		for i := range n.ports {
			var err error
			if n.ports[i], err = freePort(); err != nil {
				return nil, err
			}
		}
	}
	n.URL = "https://" + net.JoinHostPort(n.host, n.ports[0])
	return n, c.ca.server(n.dir, n.host)
}

// configure writes the server's configuration, which names all servers.
func (n *Node) configure() error {
	text := n.c.opts.Config
	if text == "" {
		text = n.config()
	} else {
		text = n.fromPage(text)
	}
	return os.WriteFile(filepath.Join(n.dir, "node.hcl"), []byte(text), 0o600)
}

// fromPage puts this server's names and files in the place of a page's.
func (n *Node) fromPage(text string) string {
	places := []string{
		"/etc/openbao/server", filepath.Join(n.dir, "server"), "/etc/openbao/seal.key", filepath.Join(n.c.dir, "seal.key"),
		"/etc/openbao/ca.pem", n.c.CAFile(), "/var/lib/openbao", filepath.Join(n.dir, "data"), "/var/log/openbao", n.dir,
		`"bao-1"`, fmt.Sprintf("%q", n.Name), "bao-1.example.org", n.host,
	}
	number := 1
	for _, other := range n.c.Nodes {
		if other != n {
			number++
			places = append(places, fmt.Sprintf("bao-%d.example.org", number), other.host)
		}
	}
	return strings.NewReplacer(places...).Replace(text)
}

func (n *Node) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `ui = false
api_addr = %q
cluster_addr = "https://%s:%s"
`, n.URL, n.host, n.ports[1])
	if n.c.opts.LeaderReads {
		b.WriteString("disable_standby_reads = true\n")
	}
	fmt.Fprintf(&b, `listener "tcp" {
  address = "%s:%s"
  cluster_address = "%s:%s"
  tls_cert_file = %q
  tls_key_file = %q
}
seal "static" {
  current_key_id = "1"
  current_key = "file://%s"
}
storage "raft" {
  path = %q
  node_id = %q
`, n.host, n.ports[0], n.host, n.ports[1], filepath.Join(n.dir, "server.pem"), filepath.Join(n.dir, "server-key.pem"),
		filepath.Join(n.c.dir, "seal.key"), filepath.Join(n.dir, "data"), n.Name)
	if n.c.opts.Quick {
		b.WriteString("  performance_multiplier = 1\n")
	}
	for _, other := range n.c.Nodes {
		if other != n {
			fmt.Fprintf(&b, "  retry_join {\n    leader_api_addr = %q\n    leader_ca_cert_file = %q\n  }\n", other.URL, n.c.CAFile())
		}
	}
	b.WriteString("}\n")
	return b.String()
}

func (n *Node) start() error {
	bao, err := parts.Find("bin/bao")
	if err != nil {
		return fmt.Errorf("%w: run e2e/setup.sh openbao", err)
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(bao, "server", "-config", filepath.Join(n.dir, "node.hcl")) //nolint:noctx // ended by the test
	cmd.Dir = n.dir
	cmd.Env = []string{"HOME=" + n.dir, "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = log, log
	if n.machine != nil {
		cmd = n.machine.On(cmd)
	}
	p, err := proc.Start(cmd)
	if err != nil {
		return err
	}
	n.process = p
	n.c.t.Cleanup(p.Kill)
	return nil
}

type health struct {
	Initialized bool `json:"initialized"`
	Sealed      bool `json:"sealed"`
	Standby     bool `json:"standby"`
}

// health asks the server, and waits a short time only: it may be stopped or cut off.
func (n *Node) health(ctx context.Context) (h health, err error) {
	if !n.alive() {
		return h, errors.New("the server has ended")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/v1/sys/health?standbyok=true&sealedcode=200&uninitcode=200", nil)
	if err != nil {
		return h, err
	}
	res, err := n.c.http.Do(req)
	if err != nil {
		return h, err
	}
	defer func() { _ = res.Body.Close() }()
	return h, json.NewDecoder(res.Body).Decode(&h)
}

func (n *Node) alive() bool { return n.process != nil && n.process.Alive() }

// Kill ends the server by SIGKILL.
func (n *Node) Kill() { n.process.Kill() }

// Stop stops the server by SIGSTOP, so that connections stay open.
func (n *Node) Stop() { n.signal(syscall.SIGSTOP) }

// Continue undoes Stop.
func (n *Node) Continue() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(sig syscall.Signal) {
	n.c.t.Helper()
	if err := n.process.Signal(sig); err != nil {
		n.c.t.Fatalf("openbao: %s: %v", n.Name, err)
	}
}

// Restart starts the server on its data, after it has ended by Kill or is ended now. It
// does not wait for the server to be in the cluster: see [Cluster.Settle].
func (n *Node) Restart() {
	n.c.t.Helper()
	n.process.Stop(10 * time.Second)
	if err := n.start(); err != nil {
		n.c.t.Fatalf("openbao: start %s: %v", n.Name, err)
	}
}

// Partition cuts the server off from all, in a cluster on a [lab.Net].
func (n *Node) Partition() {
	n.c.t.Helper()
	n.onMachine().Cut()
}

// Heal undoes Partition.
func (n *Node) Heal() {
	n.c.t.Helper()
	n.onMachine().Heal()
}

func (n *Node) onMachine() *lab.Machine {
	n.c.t.Helper()
	if n.machine == nil {
		n.c.t.Fatalf("openbao: %s is on loopback", n.Name)
	}
	return n.machine
}

// Relay gives the server, where it is on a machine, a server of the computer's loopback,
// such as an issuer whose keys it asks for.
func (c *Cluster) Relay(address string) {
	c.t.Helper()
	for _, n := range c.Nodes {
		if n.machine != nil {
			n.machine.Relay(address)
		}
	}
}

// Bao runs lines of shell with bao in PATH, as an administrator whose token is the root
// token, in a directory. It gives what they printed.
func (c *Cluster) Bao(dir, lines string) (string, error) {
	c.t.Helper()
	program, err := parts.Find("bin/bao")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", lines) //nolint:noctx // it ends at once
	cmd.Dir = dir
	cmd.Env = []string{
		"HOME=" + dir, "PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"),
		"BAO_ADDR=" + c.Leader().URL, "BAO_CACERT=" + c.CAFile(), "BAO_TOKEN=" + c.root,
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// LogTail is the end of the server's log.
func (n *Node) LogTail() string {
	b, err := os.ReadFile(n.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}

func (n *Node) logFile() string { return filepath.Join(n.dir, "log") }

// AuditLog is the leader's file of that kind, where the configuration asks for one.
func (c *Cluster) AuditLog() string { return filepath.Join(c.Leader().dir, "audit.log") }
