package further

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/tb"
)

// The clients of each issuer that knows clients.
const (
	ClientID = "ellip-test-ades" // confidential
	PortalID = "portal"          // public, where users log in
)

//go:embed Spring.java
var springClass []byte

// Spring starts a Spring Authorization Server. jars is what setup.d/more/spring.sh
// installed, classes an empty directory. Access tokens live for SpringLifespan, and each
// refresh token serves once. The users are alice and bob.
func Spring(t tb.T, l *ledger.Ledger, jars, classes string) *Server {
	t.Helper()
	source := filepath.Join(classes, "Spring.java")
	if err := os.WriteFile(source, springClass, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	path := filepath.Join(jars, "*")
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "javac", "-proc:none", "-d", classes, "-cp", path, source).CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return start(t, l, func(port int, s *Server) *exec.Cmd {
		cmd := exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", //nolint:noctx // ends by Kill
			"-cp", classes+string(os.PathListSeparator)+path, "Spring")
		cmd.Stdin = strings.NewReader(fmt.Sprintf("%d\n%s\n%s\n%s\n", port, s.Issuer(), s.secret, s.password))
		return cmd
	})
}

// SpringLifespan is how long an access token of [Spring] lives.
const SpringLifespan = 12 * time.Second

// Mock starts an oidc-provider-mock. program is what setup.d/more/oidcmock.sh installed.
// It takes any client, any secret and any user, rotates nothing and revokes nothing.
// Access tokens are opaque. The first of a login lives for this long.
func Mock(t tb.T, l *ledger.Ledger, program string, lifespan time.Duration) *Server {
	t.Helper()
	return start(t, l, func(port int, _ *Server) *exec.Cmd {
		return exec.Command(program, "--port", fmt.Sprint(port), "--token-max-age", fmt.Sprint(int(lifespan.Seconds()))) //nolint:noctx // ends by Kill
	})
}

// Dex starts a Dex whose one user is Kilgore Trout (its mock connector), with a name and
// a password. program is what setup.d/more/dex.sh installed, dir an empty directory, and
// port the one to which the browser's answer comes. Access tokens live for DexLifespan,
// each refresh token serves once, and there is one for each user and client. The issuer
// has no path, for with one this version sends a device's login to a page that is not there.
// Further connectors are lines of its configuration.
func Dex(t tb.T, l *ledger.Ledger, program, dir string, port int, connectors ...string) *Server {
	t.Helper()
	file := filepath.Join(dir, "dex.yaml")
	return start(t, l, func(back int, s *Server) *exec.Cmd {
		config := fmt.Sprintf(dexConfig, s.Issuer(), back, DexLifespan, DexUser, s.password, strings.Join(connectors, "\n"), ClientID, s.secret, port)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatalf("%v", err)
		}
		return exec.Command(program, "serve", file) //nolint:noctx // ends by Kill
	})
}

// What [Dex] has.
const (
	DexLifespan = 20 * time.Second
	DexUser     = "kilgore"
)

const dexConfig = `
issuer: %s
storage: {type: memory}
web: {http: "127.0.0.1:%d"}
oauth2: {skipApprovalScreen: true}
expiry: {idTokens: %s, refreshTokens: {reuseInterval: 0s}}
connectors:
- {type: mockPassword, id: mock, name: Mock, config: {username: %s, password: %s}}
%s
staticClients:
- {id: %s, secret: %s, name: ADES, redirectURIs: ["http://127.0.0.1:%d/callback", "/device/callback"]}
`
