package keycloak

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/terradue/t2-cred/e2e/parts"
)

// makeHome makes a home for one run: what setup.sh built, by links, and a data
// directory of its own, so that runs at once do not collide.
func makeHome() (string, error) {
	dist, err := parts.Find("keycloak")
	if err != nil {
		return "", fmt.Errorf("%w: run e2e/setup.sh keycloak", err)
	}
	if dist, err = filepath.EvalSymlinks(dist); err != nil {
		return "", err
	}
	home, err := os.MkdirTemp("", "t2-cred-keycloak-")
	if err != nil {
		return "", err
	}
	for _, d := range []string{"lib", "providers", "themes", "conf"} {
		if err := os.Symlink(filepath.Join(dist, d), filepath.Join(home, d)); err != nil {
			return "", err
		}
	}
	return home, nil
}

// command is what kc.sh would run. The script itself stays between us and Java,
// and a Java whose script was killed lives on.
func command(home string, port int, hostname, password string, more ...string) *exec.Cmd {
	java := "java"
	if h := os.Getenv("JAVA_HOME"); h != "" {
		java = filepath.Join(h, "bin", "java")
	}
	cmd := exec.Command(java, //nolint:noctx // ended by Server.Stop
		"-Xms64m", "-Xmx768m", "-XX:MetaspaceSize=96M",
		// For few cores. The second compiler stays on: it costs 3 s at the start, and
		// without it each realm's new keys take 3 s instead of 1.
		"-XX:+UseSerialGC",
		"-XX:+ExitOnOutOfMemoryError",
		"-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US",
		"-Djava.security.egd=file:/dev/urandom",
		"--add-opens=java.base/java.util=ALL-UNNAMED",
		"--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
		"--add-opens=java.base/java.security=ALL-UNNAMED",
		"--add-opens=java.base/java.lang=ALL-UNNAMED",
		"--enable-native-access=ALL-UNNAMED",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
		"-Dpicocli.disable.closures=true",
		"-Dkc.home.dir="+home,
		"-Djboss.server.config.dir="+filepath.Join(home, "conf"),
		"-cp", filepath.Join(home, "lib", "quarkus-run.jar"),
		"io.quarkus.bootstrap.runner.QuarkusEntryPoint",
		"start", "--optimized", "--cache=local",
		"--http-enabled=true", "--http-host=127.0.0.1", fmt.Sprintf("--http-port=%d", port),
		"--hostname="+hostname,
	)
	cmd.Args = append(cmd.Args, more...)
	cmd.Dir = home
	cmd.Env = append(cleanEnv(), "KC_BOOTSTRAP_ADMIN_USERNAME="+adminUser, "KC_BOOTSTRAP_ADMIN_PASSWORD="+password)
	return cmd
}

// cleanEnv is our environment without what would configure a Keycloak.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "KC_") && !strings.HasPrefix(kv, "QUARKUS_") {
			env = append(env, kv)
		}
	}
	return env
}
