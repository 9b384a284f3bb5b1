package keycloak

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/proc"
)

// Version is one of the Keycloaks that e2e/setup.sh builds.
type Version string

// The versions. An older server knows fewer settings and features: [Version18] has the
// legacy exchange alone, and ends more at a revocation.
const (
	Version26 Version = "" // the one of e2e/setup.sh, and the default
	Version18 Version = "18.0.2"
)

// Part is what a test needs for this version.
func (v Version) Part() parts.Part {
	if v == Version18 {
		return parts.Keycloak18
	}
	return parts.Keycloak
}

// Options of a server.
type Options struct {
	Version Version
	Port    int            // of the front; 0 is any free one
	Ledger  *ledger.Ledger // is told every secret; may be nil
}

// Server is a running Keycloak.
type Server struct {
	opts  Options
	home  string // of this run: data, log
	back  string // Keycloak's own base URL, behind the front
	front *front
	admin *admin
	java  *proc.Process

	ca      *authority
	tlsPort int
	client  *http.Client // trusts the CA

	mu     sync.Mutex
	realms map[string]*state
	made   int // of NewRealm, for their names
}

// startTimeout is generous: 12 s on two idle cores, but the cores may be busy.
const startTimeout = 8 * time.Minute

// Start starts a Keycloak and waits until it answers.
func Start(ctx context.Context, o Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s := &Server{opts: o, realms: map[string]*state{}}
	var err error
	if s.front, err = listen(o.Port, o.Ledger); err != nil {
		return nil, fmt.Errorf("keycloak: %w", err)
	}
	// Somebody else may take the free port before Java does.
	for range 3 {
		if err = s.startJava(ctx); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("keycloak: %w", err)
	}
	return s, nil
}

var errPortTaken = errors.New("another process took the port")

func (s *Server) startJava(ctx context.Context) error {
	if s.home != "" {
		_ = os.RemoveAll(s.home)
	}
	var err error
	if s.home, err = makeHome(s.opts.Version.Part()); err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()

	password := rand.Text()
	s.opts.Ledger.Add(ledger.Other, password)
	s.back = fmt.Sprintf("http://127.0.0.1:%d/auth", port)
	s.admin = &admin{base: s.back, password: password}
	s.front.to(s.back)

	tlsPort, err := freePort(ctx)
	if err != nil {
		return err
	}
	secure, err := s.listenTLS(tlsPort)
	if err != nil {
		return err
	}
	cmd := command(s.home, append(s.opts.Version.start(s.URL()), append(secure,
		"--http-enabled=true", "--http-host=127.0.0.1", fmt.Sprintf("--http-port=%d", port))...)...)
	cmd.Env = append(cmd.Env, s.opts.Version.admin(password)...)
	cmd.Stdout, cmd.Stderr = log, log
	if s.java, err = proc.Start(cmd); err != nil {
		return err
	}
	return s.ready(ctx)
}

// ready polls until the server answers, the process ends, or time is up.
func (s *Server) ready(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if get(ctx, s.back+"/realms/master/.well-known/openid-configuration") == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.java.Done():
			tail := s.LogTail()
			if strings.Contains(tail, "already in use") || strings.Contains(tail, "already bound") {
				return errPortTaken
			}
			return fmt.Errorf("the server ended while starting; its last words:\n%s", tail)
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready (%w); its last words:\n%s", ctx.Err(), s.LogTail())
		}
	}
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// Stop ends the server, kindly and then not, and removes its home.
func (s *Server) Stop() {
	if s.java != nil {
		s.java.Stop(15 * time.Second)
	}
	if s.front != nil {
		s.front.close()
	}
	if s.home != "" {
		_ = os.RemoveAll(s.home)
	}
}

// URL is the server's base, as clients see it: http://127.0.0.1:PORT/auth.
func (s *Server) URL() string { return s.front.url }

// Issuer is the issuer of a realm, whether it was made yet or not.
func (s *Server) Issuer(realm string) string { return s.URL() + "/realms/" + realm }

// Alive tells whether the server has not ended.
func (s *Server) Alive() bool { return s.java != nil && s.java.Alive() }

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.java.Done() }

// LogTail is the end of the server's log.
func (s *Server) LogTail() string {
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

func (s *Server) logFile() string { return filepath.Join(s.home, "log") }

func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
