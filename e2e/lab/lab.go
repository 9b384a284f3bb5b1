// Package lab makes machines of a fleet on one computer: network, mount and UTS
// namespaces, joined by a bridge in a namespace of its own. Each has an address, a host
// name, a machine id, and loopback for itself. A machine can be cut off. All of it goes
// with the processes that hold it, however they end.
//
// It takes root.
package lab

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/tb"
)

// Net is a network of machines. The computer itself, and so the test, is in it too.
type Net struct {
	t    tb.T
	dir  string
	id   string // in the names of links
	net  string // the first three bytes of all addresses
	hub  *holder
	mu   sync.Mutex
	used int
}

// New makes a network that ends with the test. Without root the test skips or fails, as
// [parts.Need] does.
func New(t tb.T) *Net {
	t.Helper()
	if os.Geteuid() != 0 {
		if parts.Required() {
			t.Fatalf("root alone can make networks")
		}
		t.Skipf("NOT CHECKED: root alone can make networks")
	}
	dir, err := os.MkdirTemp("", "t2-lab-")
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // its files are for other users of the machines
		t.Fatalf("lab: %v", err)
	}
	b := make([]byte, 3)
	_, _ = rand.Read(b)
	// 198.18.0.0/15 is for tests of networks (RFC 2544).
	n := &Net{t: t, dir: dir, id: hex.EncodeToString(b), net: fmt.Sprintf("198.%d.%d.", 18+b[0]&1, b[1])}
	n.hub = n.hold("true")
	n.inside(n.hub, "ip link add name br0 type bridge && ip link set br0 up && ip link set lo up")
	n.plug(n.hub, "", "254")
	return n
}

// A Machine is a set of namespaces.
type Machine struct {
	Name    string
	Address string
	net     *Net
	holder  *holder
	port    string // its link's end at the bridge
}

// Machine makes a machine. Its name is its host name.
func (n *Net) Machine(name string) *Machine {
	n.t.Helper()
	n.mu.Lock()
	n.used++
	last := fmt.Sprint(10 + n.used)
	n.mu.Unlock()
	id := filepath.Join(n.dir, name+".machine-id")
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	if err := os.WriteFile(id, []byte(hex.EncodeToString(b)+"\n"), 0o644); err != nil {
		n.t.Fatalf("lab: %v", err)
	}
	if _, err := os.Stat("/etc/machine-id"); err != nil {
		id = "" // there is nothing to put it over
	}
	setup := "ip link set lo up && hostname " + name
	if id != "" {
		setup += " && mount --bind " + id + " /etc/machine-id"
	}
	m := &Machine{Name: name, Address: n.net + last, net: n, holder: n.hold(setup)}
	m.port = n.plug(m.holder, "eth0", last)
	return m
}

// plug puts a link between the bridge and a holder, or the computer itself.
func (n *Net) plug(h *holder, name, last string) (port string) {
	n.t.Helper()
	port = "p" + last
	outer := "t2" + n.id + last
	n.root("ip", "link", "add", outer, "type", "veth", "peer", "name", port, "netns", n.hub.pid())
	n.inside(n.hub, "ip link set "+port+" master br0 up")
	address := n.net + last + "/24"
	if name == "" {
		n.root("ip", "address", "add", address, "dev", outer)
		n.root("ip", "link", "set", outer, "up")
		return port
	}
	n.root("ip", "link", "set", outer, "netns", h.pid(), "name", name)
	n.inside(h, fmt.Sprintf("ip address add %s dev %s && ip link set %s up", address, name, name))
	return port
}

// Cut cuts the machine off: no packet reaches it and none leaves it. Connections stay
// open, and silent.
func (m *Machine) Cut() { m.net.inside(m.net.hub, "ip link set "+m.port+" down") }

// Heal undoes Cut.
func (m *Machine) Heal() { m.net.inside(m.net.hub, "ip link set "+m.port+" up") }

// Enter is the argv that runs what follows on the machine, in this directory.
func (m *Machine) Enter(dir string) []string {
	return []string{"nsenter", "--target", m.holder.pid(), "--net", "--mount", "--uts", "--wd=" + dir, "--"}
}

// On makes cmd run on the machine.
func (m *Machine) On(cmd *exec.Cmd) *exec.Cmd {
	dir := cmd.Dir
	if dir == "" {
		dir = "/"
	}
	path, err := exec.LookPath("nsenter")
	if err != nil {
		m.net.t.Fatalf("lab: %v", err)
	}
	cmd.Args = append(append(m.Enter(dir), cmd.Path), cmd.Args[1:]...)
	cmd.Path = path
	return cmd
}

// A holder is a process that has namespaces of its own, and so keeps them.
type holder struct{ *proc.Process }

func (h *holder) pid() string { return fmt.Sprint(h.PID()) }

// hold starts a holder that has run a line of shell.
func (n *Net) hold(line string) *holder {
	n.t.Helper()
	cmd := exec.Command("unshare", "--net", "--mount", "--uts", "--propagation", "private", //nolint:noctx // ended below
		"sh", "-c", line+" && echo ready && exec sleep infinity")
	cmd.WaitDelay = time.Second
	out, w := io.Pipe()
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = w, &said
	p, err := proc.Start(cmd)
	if err != nil {
		n.t.Fatalf("lab: %v", err)
	}
	n.t.Cleanup(p.Kill)
	go func() { <-p.Done(); _ = w.Close() }()
	if text, _ := bufio.NewReader(out).ReadString('\n'); text != "ready\n" {
		<-p.Done()
		n.t.Fatalf("lab: %q: %s", line, said.String())
	}
	return &holder{p}
}

// inside runs a line of shell in a holder's namespaces.
func (n *Net) inside(h *holder, line string) {
	n.t.Helper()
	n.root("nsenter", "--target", h.pid(), "--net", "--mount", "--uts", "--", "sh", "-c", line)
}

func (n *Net) root(name string, args ...string) {
	n.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil { //nolint:noctx // they end at once
		n.t.Fatalf("lab: %s %q: %v: %s", name, args, err, out)
	}
}
