package keycloak

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/terradue/t2-cred/e2e/parts"
)

// makeHome makes a home for one run: what setup.sh built, by links, and a data
// directory of its own, so that runs at once do not collide.
func makeHome(part parts.Part) (string, error) {
	if err := parts.Check(part); err != nil {
		return "", err
	}
	dist, err := parts.Find(string(part))
	if err != nil {
		return "", err
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
func command(home string, args ...string) *exec.Cmd {
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
	)
	cmd.Args = append(cmd.Args, args...)
	cmd.Dir = home
	cmd.Env = cleanEnv()
	return cmd
}

// start is the command that starts a server of this version, which believes that it is
// reached at this URL.
func (v Version) start(url string) []string {
	if v == Version18 {
		// It takes no URL with a path, so it believes the request, which the front hands on.
		return []string{"start", "--hostname-strict=false", "--hostname-strict-https=false"}
	}
	return []string{"start", "--optimized", "--cache=local", "--hostname=" + url}
}

// admin is the environment that gives the server its first administrator.
func (v Version) admin(password string) []string {
	if v == Version18 {
		return []string{"KEYCLOAK_ADMIN=" + adminUser, "KEYCLOAK_ADMIN_PASSWORD=" + password}
	}
	return []string{"KC_BOOTSTRAP_ADMIN_USERNAME=" + adminUser, "KC_BOOTSTRAP_ADMIN_PASSWORD=" + password}
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
