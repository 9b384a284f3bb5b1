package e2e

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/run"
)

// A forwardProxy is a tinyproxy that wants a user and a password.
type forwardProxy struct {
	t        *testing.T
	host     string
	password string
	log      string
	process  *proc.Process
}

func startProxy(t *testing.T) *forwardProxy {
	t.Helper()
	tinyproxy := needTool(t, "proxy", "tinyproxy")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &forwardProxy{t: t, host: l.Addr().String(), password: rand.Text(), log: filepath.Join(dir, "log")}
	_ = l.Close() // it cannot be told to take any port
	shared.ledger.Add(ledger.Other, p.password)
	_, port, _ := net.SplitHostPort(p.host)
	conf := filepath.Join(dir, "conf")
	text := fmt.Sprintf("Port %s\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogFile %q\nLogLevel Connect\nBasicAuth alice %s\n", port, p.log, p.password)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tinyproxy, "-d", "-c", conf)
	if p.process, err = proc.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", p.host); err == nil {
			_ = c.Close()
			return p
		}
		if time.Now().After(deadline) || !p.process.Alive() {
			t.Fatal("tinyproxy does not answer")
		}
	}
}

func (p *forwardProxy) stop() { p.process.Stop(5 * time.Second) }

func (p *forwardProxy) url(password string) string {
	return "http://alice:" + password + "@" + p.host
}

// connects counts the requests to be let through to a host.
func (p *forwardProxy) connects(host string) int {
	p.t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Count(string(b), "CONNECT "+host)
}

// TestProxy: the issuer is reached by way of a real proxy, which is asked to pass TLS
// through (CONNECT) and wants to know by whom.
func TestProxy(t *testing.T) {
	srv := server(t)
	realm := srv.NewSecureRealm(t, keycloak.Legacy, keycloak.Anywhere)
	host := strings.TrimPrefix(realm.Issuer()[:strings.Index(realm.Issuer(), "/auth")], "https://")
	proxy := startProxy(t)
	home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
	home.Set("HTTPS_PROXY=" + proxy.url(proxy.password))
	home.Want(0, addClient(realm, "--ca-file", srv.CAFile(), "--client-secret-file", secretFile(t, realm.ClientSecret()))...)
	home.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	shared.ledger.Add(ledger.Access, home.Want(0, "get", "--fresh").Token())
	if n := proxy.connects(host); n < 3 {
		t.Fatalf("the proxy was asked for %s %d times", host, n)
	}

	// A wrong password: the proxy says no, the password is nowhere, the grant stays.
	wrong := rand.Text()
	shared.ledger.Add(ledger.Other, wrong)
	r := home.WantDo(6, run.Cmd{Args: []string{"get", "--fresh", "-v"}, Env: []string{"HTTPS_PROXY=" + proxy.url(wrong)}})
	wantFailure(t, r, 6, "the proxy "+proxy.host+" answers 401", "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT")

	anonymous := run.Cmd{Args: []string{"get", "--fresh"}, Env: []string{"HTTPS_PROXY=http://" + proxy.host}}
	wantFailure(t, home.WantDo(6, anonymous), 6, "the proxy "+proxy.host+" answers 407 Proxy Authentication Required", "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT")

	// NO_PROXY: straight to the issuer.
	before := proxy.connects(host)
	shared.ledger.Add(ledger.Access, home.WantDo(0, run.Cmd{Args: []string{"get", "--fresh"}, Env: []string{"NO_PROXY=" + keycloak.Anywhere}}).Token())
	if n := proxy.connects(host); n != before {
		t.Errorf("NO_PROXY was passed over: %d requests by the proxy", n-before)
	}

	// The proxy is gone.
	proxy.stop()
	wantFailure(t, home.Run("get", "--fresh", "-v"), 6, "proxyconnect", "check the proxy")
	home.Unset("HTTPS_PROXY")
	shared.ledger.Add(ledger.Access, home.Want(0, "get", "--fresh").Token())
}
