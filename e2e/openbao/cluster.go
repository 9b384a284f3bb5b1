package openbao

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/terradue/t2-cred/e2e/lab"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/tb"
)

// Options of a cluster.
type Options struct {
	// Net has a machine for each server, which can be cut off; nil is this computer's
	// loopback.
	Net    *lab.Net
	Ledger *ledger.Ledger // is told every secret; may be nil
	// Quick has the servers miss a leader after 1 to 2 s instead of 5 to 10.
	Quick bool
	// Config is the configuration of the server bao-1.example.org, as docs/fleet.md has it,
	// in the place of our own. The others are bao-2 and bao-3. It takes a Net.
	Config string
	// LeaderReads has standbys answer no reads themselves.
	LeaderReads bool
}

// servers is how many there are: one may fail.
const servers = 3

// startTimeout is generous: it is 15 s on two idle cores, but the cores may be busy.
const startTimeout = 4 * time.Minute

// Cluster is a running OpenBao.
type Cluster struct {
	Nodes []*Node
	t     tb.T
	opts  Options
	dir   string
	ca    *authority
	root  string // the root token
	http  *http.Client
}

// Start starts a cluster that ends with the test, and waits until all servers are in it.
func Start(t tb.T, o Options) *Cluster {
	t.Helper()
	parts.Need(t, parts.OpenBao)
	c := &Cluster{t: t, opts: o}
	if err := c.start(); err != nil {
		t.Fatalf("openbao: %v%s", err, c.lastWords())
	}
	return c
}

func (c *Cluster) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var err error
	if c.dir, err = os.MkdirTemp("", "t2-cred-openbao-"); err != nil {
		return err
	}
	c.t.Cleanup(func() { _ = os.RemoveAll(c.dir) })
	if err := os.Chmod(c.dir, 0o755); err != nil { // the CA is for every machine
		return err
	}
	if c.ca, err = newAuthority(c.dir); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.ca.cert)
	c.http = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 8,
	}}
	// A static seal: a server that starts again opens itself.
	seal := make([]byte, 32)
	_, _ = rand.Read(seal)
	if err := os.WriteFile(filepath.Join(c.dir, "seal.key"), seal, 0o600); err != nil {
		return err
	}
	for n := range servers {
		node, err := c.newNode(n)
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, node)
	}
	for n, node := range c.Nodes {
		if err := node.configure(); err != nil {
			return err
		}
		if err := node.start(); err != nil {
			return err
		}
		if n == 0 {
			if err := c.initialize(ctx); err != nil {
				return err
			}
		}
	}
	return c.settle(ctx)
}

// initialize makes the first server the leader of a cluster of one. The others join it.
func (c *Cluster) initialize(ctx context.Context) error {
	first := c.Nodes[0]
	var made struct {
		Keys []string `json:"recovery_keys_base64"`
		Root string   `json:"root_token"`
	}
	err := poll(ctx, func() error {
		return c.call(ctx, first.URL, http.MethodPut, "sys/init", map[string]any{"recovery_shares": 1, "recovery_threshold": 1}, &made)
	})
	if err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	c.root = made.Root
	c.tell(c.root, made.Keys[0])
	// A server that joins becomes a voter after this time; the default is 10 s.
	return poll(ctx, func() error {
		return c.call(ctx, first.URL, http.MethodPost, "sys/storage/raft/autopilot/configuration",
			map[string]any{"server_stabilization_time": "1s"}, nil)
	})
}

// tell tells the ledger of secrets.
func (c *Cluster) tell(secrets ...string) {
	if c.opts.Ledger == nil {
		return
	}
	for _, s := range secrets {
		c.opts.Ledger.Add(ledger.Other, s)
	}
}

// settle waits until there is a leader, and all servers are voters that answer.
func (c *Cluster) settle(ctx context.Context) error {
	return poll(ctx, func() error {
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		var peers struct {
			Data struct {
				Config struct {
					Servers []struct {
						Voter bool `json:"voter"`
					} `json:"servers"`
				} `json:"config"`
			} `json:"data"`
		}
		if err := c.call(ctx, leader.URL, http.MethodGet, "sys/storage/raft/configuration", nil, &peers); err != nil {
			return err
		}
		voters := 0
		for _, s := range peers.Data.Config.Servers {
			if s.Voter {
				voters++
			}
		}
		if voters < servers {
			return fmt.Errorf("%d of %d servers vote", voters, servers)
		}
		for _, n := range c.Nodes {
			if h, err := n.health(ctx); err != nil || h.Sealed || !h.Initialized {
				return fmt.Errorf("%s is not ready: %+v, %w", n.Name, h, err)
			}
		}
		return nil
	})
}

// stuckTime is for how long an election may last. The longest that was measured has 16 s.
const stuckTime = 45 * time.Second

// Settle waits until all servers are in the cluster again. A server of OpenBao 2.7.2 may win
// the election, log "another namespace key synchronization is still running", and never
// become active, or be active and answer no write. Then the servers are restarted, as an
// administrator has to do.
func (c *Cluster) Settle() {
	c.t.Helper()
	stuck, cancel := context.WithTimeout(context.Background(), stuckTime)
	defer cancel()
	if poll(stuck, func() error { return c.writes(stuck) }) != nil {
		c.t.Logf("openbao: no server becomes active and writes, so all are restarted%s", c.lastWords())
		for _, n := range c.Nodes {
			n.Restart()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := c.settle(ctx); err != nil {
		c.t.Fatalf("openbao: %v%s", err, c.lastWords())
	}
}

// writes is nil when there is a leader that writes something within a few seconds.
func (c *Cluster) writes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	leader, err := c.leader(ctx)
	if err != nil {
		return err
	}
	return c.call(ctx, leader.URL, http.MethodPut, "sys/policies/acl/probe", map[string]string{"policy": Policy("probe")}, nil)
}

// Watch looks for a leader that writes until stop is called. Stop says for how long there
// was none at a stretch.
func (c *Cluster) Watch() (stop func() time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	longest := make(chan time.Duration, 1)
	go func() {
		var gap time.Duration
		for seen := time.Now(); ; time.Sleep(500 * time.Millisecond) {
			err := c.writes(context.WithoutCancel(ctx))
			gap = max(gap, time.Since(seen))
			if err == nil {
				seen = time.Now()
			}
			if ctx.Err() != nil {
				longest <- gap
				return
			}
		}
	}()
	return func() time.Duration {
		cancel()
		return <-longest
	}
}

// Leader is the raft leader. It waits for one.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var leader *Node
	err := poll(ctx, func() (err error) {
		leader, err = c.leader(ctx)
		return err
	})
	if err != nil {
		c.t.Fatalf("openbao: %v%s", err, c.lastWords())
	}
	return leader
}

// Standby is a server that is not the leader.
func (c *Cluster) Standby() *Node {
	c.t.Helper()
	leader := c.Leader()
	for _, n := range c.Nodes {
		if n != leader && n.alive() {
			return n
		}
	}
	c.t.Fatalf("openbao: no standby")
	return nil
}

func (c *Cluster) leader(ctx context.Context) (*Node, error) {
	for _, n := range c.Nodes {
		if h, err := n.health(ctx); err == nil && h.Initialized && !h.Sealed && !h.Standby {
			return n, nil
		}
	}
	return nil, errors.New("there is no leader")
}

// Addresses are the base URLs of all servers, as a configuration lists them.
func (c *Cluster) Addresses() []string {
	all := make([]string, 0, len(c.Nodes))
	for _, n := range c.Nodes {
		all = append(all, n.URL)
	}
	return all
}

// CAFile is the certificate authority of all servers. Every user can read it.
func (c *Cluster) CAFile() string { return c.ca.file() }

// lastWords is the end of each server's log.
func (c *Cluster) lastWords() string {
	text := ""
	for _, n := range c.Nodes {
		text += "\n" + n.Name + ":\n" + n.LogTail()
	}
	return text
}

// poll calls f until it gives no error. Its last error is that of a wait in vain.
func poll(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func freePort() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}
