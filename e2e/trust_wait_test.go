package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

func ownerOf(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// TestTrust_aPipeInPlaceOfAFile puts a pipe, which nobody writes to, in the place of
// each file that t2-cred made, and of each that it is told to read. At 3f78ee2 opening
// config.toml, a note, a record or a cached document waited for ever; --timeout and
// SIGTERM did not end it.
func TestTrust_aPipeInPlaceOfAFile(t *testing.T) {
	v := newTrustStage(t).granted()
	v.Want(0, "get", "--fresh")
	v.Want(0, "claims")
	const timeout = 3 * time.Second
	patient := func(what string, args ...string) {
		t.Helper()
		r := v.Do(run.Cmd{Args: append(args, "--timeout", "3s"), Deadline: timeout + 5*time.Second})
		if r.Hung {
			t.Errorf("with a pipe in the place of %s", what) // run has said the rest
		}
	}
	files := v.files(v.Dir)
	tried := 0
	for _, file := range files {
		what := strings.TrimPrefix(file, v.Dir)
		if _, err := os.Stat(file); err != nil {
			continue // a cache was swept meanwhile
		}
		tried++
		if err := os.Rename(file, file+".aside"); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(file, 0o600); err != nil {
			t.Fatal(err)
		}
		v.own(file, v.o.uid)
		for _, args := range [][]string{{"get"}, {"get", "--fresh"}, {"list"}, {"status"}, {"doctor"}, {"keepalive"}} {
			patient(what, args...)
		}
		if err := os.Rename(file+".aside", file); err != nil {
			t.Fatal(err)
		}
	}
	if tried < 5 {
		t.Errorf("%d files of %q were pipes: this shows nothing", tried, files)
	}
	pipe := filepath.Join(v.dir("given", v.o.uid, 0o755), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	v.own(pipe, v.o.uid)
	for _, args := range [][]string{
		{"exchange", "--token-file", pipe}, {"import", "--token-file", pipe}, {"profile", "set-secret", "gep", "--client-secret-file", pipe},
		{"get", "--config", pipe}, {"get", "--fresh"},
	} {
		patient("a pipe that is named", args...)
	}
	for _, name := range []string{"T2_CRED_IDENTITY_FILE", "T2_CRED_CONFIG", "T2_CRED_CA_FILE"} {
		v.Set(name + "=" + pipe)
		patient(name, "get", "--fresh")
		v.Unset(name)
	}
}

// TestTrust_debuggingPrintsNoSecret: the variables of Go's runtime and libraries make
// it talkative, and a tool may have set them for itself. At 3f78ee2
// GODEBUG=http2debug=2 put the client's secret and the refresh token on standard error.
func TestTrust_debuggingPrintsNoSecret(t *testing.T) {
	v := newTrustStage(t, oidctest.HTTP2()).granted()
	for _, debug := range []string{
		"http2debug=2", "http2debug=1", "netdns=go+2", "http2client=1,http2debug=2", "gctrace=1,schedtrace=100,inittrace=1", "allocfreetrace=1", "execerrdot=0", "x509roots=1,tlsmaxrsasize=512",
	} {
		for _, c := range []run.Cmd{
			{Args: []string{"get", "--fresh", "-v"}}, {Args: []string{"status", "-v"}},
			{Args: []string{"exchange", "-v"}, Stdin: v.issuer.UserToken("alice")}, {Args: []string{"get", "--format", "json"}},
		} {
			c.Env = []string{"GODEBUG=" + debug, "GOTRACEBACK=all"}
			r := v.WantDo(0, c) // the ledger searches what it says
			for _, secret := range v.issuer.Secrets() {
				if strings.Contains(r.Stderr, secret) {
					t.Errorf("GODEBUG=%s makes %v print a secret", debug, c.Args)
				}
			}
			if strings.Contains(strings.ToLower(r.Stderr), `"authorization"`) {
				t.Errorf("GODEBUG=%s makes %v print headers: %s", debug, c.Args, r.Stderr)
			}
		}
	}
}

// TestTrust_loginByAnotherUser: mallory reads the address in the argv of the program
// that opens the browser, and is faster. At 3f78ee2 that was the authorization URL with
// its state: she logged in as herself, and the victim kept her grant.
func TestTrust_loginByAnotherUser(t *testing.T) {
	curl := needCommand(t, "curl", "curl")
	v := newTrustStage(t)
	v.Want(0, "store", "init")
	v.addProfile()
	opened := filepath.Join(v.dir("opened", v.o.uid, 0o777), "argv")
	browser := filepath.Join(v.dir("browser", v.o.uid, 0o755), "browser")
	v.plant(browser, "#!/bin/sh\ntr '\\0' '\\n' </proc/$$/cmdline >"+opened+".new && mv "+opened+".new "+opened+"\n", v.o.uid, 0o755)
	own := uint32(v.o.uid)
	for _, tt := range []struct {
		name          string
		first, second uint32 // who opens the address
		env           string
		sentOn        bool // the first
	}{
		{"she is the first", mallory, own, "", false},
		{"she is the second", own, mallory, "", true},
		{"she has called sudo", mallory, own, fmt.Sprintf("SUDO_UID=%d", mallory), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_ = os.Remove(opened)
			login := as(uint32(v.o.uid), "script", "--quiet", "--return", "--command", filepath.Join(v.o.dir, "t2-cred")+" login --browser --timeout 20s", "/dev/null")
			login.Env = append(v.Env(), "BROWSER="+browser, tt.env)
			said := &strings.Builder{}
			login.Stdout, login.Stderr = said, said
			if err := login.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = login.Process.Kill() }()
			var argv string
			for end := time.Now().Add(15 * time.Second); argv == "" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				b, _ := os.ReadFile(opened)
				argv = string(b)
			}
			words := strings.Fields(argv)
			if len(words) == 0 {
				t.Fatalf("nothing was opened:\n%s", said)
			}
			address := words[len(words)-1]
			if strings.Contains(argv, v.issuer.URL()) || strings.Contains(argv, "state=") {
				t.Errorf("the browser's argv has the request itself:\n%s", argv)
			}
			ask := func(uid uint32) string {
				out, _ := as(uid, curl, "-sS", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", address).CombinedOutput()
				return string(out)
			}
			if got := ask(tt.first); strings.HasPrefix(got, "303 "+v.issuer.URL()) != tt.sentOn {
				t.Errorf("the first one gets %s", got)
			}
			if tt.sentOn {
				if got := ask(tt.second); strings.Contains(got, v.issuer.URL()) {
					t.Errorf("the second one was sent on to the issuer: %s", got)
				}
			}
			err := login.Wait()
			shared.ledger.Output("login", said.String(), false)
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
				t.Errorf("login ended with %v:\n%s", err, said)
			}
			v.Want(4, "get")
		})
	}
}

// TestTrust_busOfAnother: a session bus is trusted with secrets by the credentials of
// its socket's owner, before anything is said to it. At 3f78ee2 nobody looked.
func TestTrust_busOfAnother(t *testing.T) {
	v := newTrustStage(t)
	path := filepath.Join(v.dir("bus", mallory, 0o755), "bus")
	var listener net.Listener
	err := (&other{uid: mallory}).do(func() (err error) {
		listener, err = net.Listen("unix", path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	v.chmod(path, 0o777)
	heard := make(chan string, 100)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 4096)
				n, _ := c.Read(buf)
				heard <- string(buf[:n])
				_ = c.Close()
			}()
		}
	}()
	v.Set("T2_CRED_STORE=keyring", "DBUS_SESSION_BUS_ADDRESS=unix:path="+path)
	r := v.Do(run.Cmd{
		Args:  []string{"profile", "add", "gep", "--issuer", v.issuer.URL(), "--client-id", "c", "--client-secret-file", "-", "--unproven", "--timeout", "5s"},
		Stdin: "a-secret-that-is-nobodys-0123456789",
	})
	wantFailure(t, r, 5, fmt.Sprint(mallory), "")
	for {
		select {
		case said := <-heard:
			if said != "" {
				t.Errorf("mallory's bus was told %q", said)
			}
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

// TestTrust_localhostIsThisMachine: http goes to this machine alone, also where a hosts file
// says that another one is called localhost.
func TestTrust_localhostIsThisMachine(t *testing.T) {
	v := newTrustStage(t)
	listener, err := net.Listen("tcp4", net.JoinHostPort(anotherAddress(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var asked atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			_ = conn.Close()
		}
	}()
	ip, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hosts := filepath.Join(v.o.dir, "hosts")
	v.plant(hosts, ip+" localhost\n", 0, 0o644)
	home := v.o.program(t, `[ "$NAMESPACE" ] || NAMESPACE=own exec unshare --mount --propagation private "$0" "$@"`, "mount --bind "+hosts+" /etc/hosts").NewHome(t).Set("T2_CRED_STORE=file")
	v.own(home.Dir, v.o.uid)
	home.Want(0, "store", "init")
	r := home.WantDo(6, run.Cmd{
		Args:  []string{"profile", "add", "gep", "--issuer", "http://localhost:" + port, "--client-id", oidctest.ClientID, "--client-secret-file", "-", "--timeout", "5s"},
		Stdin: v.issuer.ClientSecret(),
	})
	if !strings.Contains(r.Stderr, "localhost is "+listener.Addr().String()+" here, which is not this machine") || asked.Load() > 0 {
		t.Errorf("asked %d times: %s", asked.Load(), r)
	}
}

// anotherAddress is one of this machine's that is not loopback, and stands for another machine.
func anotherAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range all {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Fatal("this machine has no address but loopback")
	return ""
}
