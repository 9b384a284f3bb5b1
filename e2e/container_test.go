package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// image is contrib/container's, built by buildah and mounted, and what its description
// says of how to run it. All of it needs root.
type image struct {
	t      *testing.T
	dir    string // buildah's storage, and the bundles
	root   string
	config imageConfig
	runs   int
}

type imageConfig struct {
	Env, Entrypoint []string
	User            string
}

// asRoot is a command that root runs.
func asRoot(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path := "/usr/sbin/" + name // which a user may not have on PATH
	if _, err := os.Stat(path); err != nil {
		path = needTool(t, "server", name)
	}
	argv := append([]string{path}, args...)
	if os.Getuid() != 0 {
		argv = append([]string{"sudo", "-n"}, argv...)
	}
	return exec.CommandContext(t.Context(), argv[0], argv[1:]...)
}

func (i *image) command(args ...string) *exec.Cmd {
	i.t.Helper()
	storage := []string{"--storage-driver", "vfs", "--root", filepath.Join(i.dir, "storage"), "--runroot", filepath.Join(i.dir, "run")}
	return asRoot(i.t, "buildah", append(storage, args...)...)
}

func (i *image) buildah(args ...string) string {
	i.t.Helper()
	cmd := i.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		i.t.Fatalf("buildah %q: %v\n%s%s", args, err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// buildImage builds what the Containerfile says, without a registry: what stands in for
// the image golang has this machine's Go, its downloaded modules and its build cache.
func buildImage(t *testing.T) *image {
	t.Helper()
	dir, err := os.MkdirTemp("", "t2-image-") // not t.TempDir: it belongs to root
	if err != nil {
		t.Fatal(err)
	}
	i := &image{t: t, dir: dir}
	remove := asRoot(t, "rm", "-rf", dir).Args
	t.Cleanup(func() { _ = exec.Command(remove[0], remove[1:]...).Run() })
	env := map[string]string{}
	out, err := exec.CommandContext(t.Context(), "go", "env", "-json", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err == nil {
		err = json.Unmarshal(out, &env)
	}
	if err != nil {
		t.Fatal(err)
	}
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	const file = "contrib/container/Containerfile"
	from := regexp.MustCompile(`(?m)^FROM (golang:\S+) AS`).FindStringSubmatch(readTop(t, file))
	if from == nil {
		t.Fatalf("%s is not from golang", file)
	}
	golang := i.buildah("from", "scratch")
	i.buildah("config", "--env", "HOME=/root", "--env", "GOPATH=/go", "--env", "GOCACHE=/gocache", "--env", "GOTMPDIR=/gocache",
		"--env", "GOSUMDB=off", "--env", "GOTOOLCHAIN=local", golang)
	i.buildah("copy", "-q", golang, "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt")
	i.buildah("commit", "-q", golang, from[1])
	i.buildah("build", "--pull-never", "--isolation", "chroot", "-q", "--build-arg", "GOPROXY=file:///modules",
		"-v", env["GOROOT"]+":/usr/local/go:ro", "-v", env["GOMODCACHE"]+"/cache/download:/modules:ro", "-v", env["GOCACHE"]+":/gocache",
		"-t", "t2-cred", "-f", filepath.Join(top, file), top)
	built := i.buildah("from", "--pull-never", "t2-cred")
	i.root = i.buildah("mount", built)
	unmount := i.command("umount", built).Args
	t.Cleanup(func() { _ = exec.Command(unmount[0], unmount[1:]...).Run() })
	var about struct {
		OCIv1 struct{ Config imageConfig }
	}
	if err := json.Unmarshal([]byte(i.buildah("inspect", built)), &about); err != nil {
		t.Fatal(err)
	}
	i.config = about.OCIv1.Config
	return i
}

// A node runs the containers of a pod with the image, as a kubelet would.
type node struct {
	*image
	pod     corev1.PodSpec
	volumes string // a directory for each
}

func newNode(t *testing.T, pod corev1.PodSpec) *node {
	t.Helper()
	n := &node{buildImage(t), pod, ""}
	n.volumes = filepath.Join(n.dir, "volumes")
	group := fmt.Sprint(*pod.SecurityContext.FSGroup)
	for _, v := range pod.Volumes {
		dir := filepath.Join(n.volumes, v.Name)
		n.root1("mkdir", "-p", dir)
		if v.Secret != nil {
			home := program(t).NewHome(t)
			home.InClear() // an identity is what it makes
			home.Want(0, "store", "init")
			n.root1("install", "-m", fmt.Sprintf("%o", *v.Secret.DefaultMode), "-o", "root", "-g", group,
				filepath.Join(home.Dir, ".local/share/t2-cred/identity"), dir)
			continue
		}
		n.root1("chgrp", group, dir)
		n.root1("chmod", "2775", dir)
	}
	return n
}

// root1 is one command of root's.
func (n *node) root1(name string, args ...string) {
	n.t.Helper()
	if out, err := asRoot(n.t, name, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// start starts a container of the pod, with these arguments.
func (n *node) start(c corev1.Container, stdin string, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	n.t.Helper()
	s := n.pod.SecurityContext
	env := n.config.Env
	for _, e := range c.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	mounts := []object{{"destination": "/proc", "type": "proc", "source": "proc"}}
	for _, m := range c.VolumeMounts {
		mode := map[bool]string{true: "ro", false: "rw"}[m.ReadOnly]
		mounts = append(mounts, object{
			"destination": m.MountPath, "type": "bind", "source": filepath.Join(n.volumes, m.Name),
			"options": []string{"bind", mode, "nosuid", "nodev", "noexec"},
		})
	}
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"root":       object{"path": n.root, "readonly": *c.SecurityContext.ReadOnlyRootFilesystem},
		"mounts":     mounts,
		"process": object{
			"cwd": "/", "args": append(n.config.Entrypoint[:len(n.config.Entrypoint):len(n.config.Entrypoint)], args...), "env": env,
			"user":            object{"uid": *s.RunAsUser, "gid": *s.RunAsGroup, "additionalGids": []int64{*s.FSGroup}},
			"noNewPrivileges": !*c.SecurityContext.AllowPrivilegeEscalation,
			"capabilities":    object{}, // all are dropped
		},
		"linux": object{
			"namespaces": []object{{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}},
			// Of RuntimeDefault what counts here.
			"seccomp": object{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []object{
				{"names": []string{"keyctl", "add_key", "request_key"}, "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
			}},
		},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.runs++
	bundle := filepath.Join(n.t.TempDir(), fmt.Sprint(n.runs))
	if err := os.Mkdir(bundle, 0o700); err != nil {
		n.t.Fatal(err)
	}
	writeIn(n.t, bundle, "config.json", string(config))
	cmd = asRoot(n.t, "runc", "--root", filepath.Join(n.dir, "runc"), "run", "-b", bundle, fmt.Sprintf("t2-cred-%d-%d", os.Getpid(), n.runs))
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), stdout, stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	return cmd, stdout, stderr
}

// want wants a container to end with a code.
func (n *node) want(code int, c corev1.Container, stdin string, args ...string) said {
	n.t.Helper()
	cmd, stdout, stderr := n.start(c, stdin, args...)
	return n.ended(code, cmd, stdout, stderr)
}

func (n *node) ended(code int, cmd *exec.Cmd, stdout, stderr *bytes.Buffer) said {
	n.t.Helper()
	_ = cmd.Wait()
	got := said{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	shared.ledger.Output("a container, stdout", got.stdout, true)
	shared.ledger.Output("a container, stderr", got.stderr, false)
	if got.code != code {
		n.t.Fatalf("want exit %d: %s", code, got)
	}
	return got
}

// TestContainer builds the image and runs in it what the pod of the recipe runs: as its
// user, with its mounts, a read-only root, no capability, and keyctl denied.
func TestContainer(t *testing.T) {
	issuer := oidctest.New()
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	pod := thePod(t).Spec
	n := newNode(t, pod)
	n.wantSlim()
	first, sidecar := pod.InitContainers[0], pod.InitContainers[1]

	n.want(0, first, issuer.ClientSecret(), "profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID,
		"--audience", oidctest.ClientID, "--scope", "openid offline_access", "--client-secret-file", "-")
	if got := n.want(0, first, issuer.UserToken("alice"), "exchange", "--account", "job-4711", "--token-file", "-"); !strings.Contains(got.stderr, "in the file store") || strings.Contains(got.stderr, "warning") {
		t.Errorf("exchange: %s", got)
	}
	n.want(0, first, "", first.Args...)
	header := filepath.Join(n.volumes, "token/header")
	written(t, header)
	began := issuer.Refreshes()
	cmd, stdout, stderr := n.start(sidecar, "", sidecar.Args...)
	time.Sleep(2 * time.Second)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := n.ended(0, cmd, stdout, stderr); got.stdout != "" {
		t.Errorf("the sidecar: %s", got)
	}
	n.want(0, first, "", "get", "--account", "job-4711")
	if n := issuer.Refreshes() - began; n != 0 {
		t.Errorf("%d refreshes though the token was good", n)
	}
	n.want(0, first, "", "get", "--account", "job-4711", "--fresh")

	if got := n.want(3, first, "", "write", "--account", "job-4711", "--output", "/etc/token"); !strings.Contains(got.stderr, "read-only file system") {
		t.Errorf("the root can be written to: %s", got)
	}
	identity := filepath.Join(n.volumes, "identity/identity")
	n.root1("chmod", "0444", identity)
	if got := n.want(5, first, "", "get", "--account", "job-4711", "--fresh"); !strings.Contains(got.stderr, "every user can read it") {
		t.Errorf("an identity for everybody: %s", got)
	}
	n.root1("chown", fmt.Sprint(*pod.SecurityContext.RunAsUser), identity)
	n.root1("chmod", "0440", identity)
	if got := n.want(5, first, "", "get", "--account", "job-4711", "--fresh"); !strings.Contains(got.stderr, fmt.Sprintf("group %d can read it", *pod.SecurityContext.FSGroup)) {
		t.Errorf("the user's own identity, for the group: %s", got)
	}
}

// wantSlim wants nothing in the image but the static binary and the certificates, and
// a user who is the pod's.
func (n *node) wantSlim() {
	n.t.Helper()
	out, err := asRoot(n.t, "find", n.root, "-type", "f").Output()
	if want := n.root + "/etc/ssl/certs/ca-certificates.crt\n" + n.root + "/t2-cred\n"; err != nil || string(out) != want {
		n.t.Errorf("in the image are %s, %v", out, err)
	}
	if user := fmt.Sprintf("%d:%d", *n.pod.SecurityContext.RunAsUser, *n.pod.SecurityContext.RunAsGroup); n.config.User != user {
		n.t.Errorf("the image's user is %s, the pod's %s", n.config.User, user)
	}
	binary, err := elf.Open(filepath.Join(n.root, "t2-cred"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		n.t.Errorf("the binary is not static: %q, %v", libraries, err)
	}
}
