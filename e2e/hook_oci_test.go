package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ociStage is a registry that demands the token, and a home that names the helper
// for it as docs/hooks/docker.md does.
func ociStage(t *testing.T) (*toolStage, *registryFront) {
	t.Helper()
	s, f := dockerStage(t)
	s.links(map[string]string{"docker-credential-t2": program(t).Path})
	s.write(".docker/config.json", `{"credHelpers": {"`+f.host+`": "t2"}}`)
	return s, f
}

// nothingElsewhere has a tool get nothing for a registry that is not the profile's,
// though the helper is named for it too.
func nothingElsewhere(t *testing.T, s *toolStage, f *registryFront, tool string, args ...string) {
	t.Helper()
	other := newRegistryFront(t, s.issuer, "127.0.0.1:1")
	s.write(".docker/config.json", `{"credsStore": "t2"}`)
	s.Set("SSL_CERT_FILE=" + other.caFile)
	for n := range args {
		args[n] = strings.ReplaceAll(args[n], f.host, other.host)
	}
	s.wantToolFails(".", nil, tool, args...)
	other.want(t, "none")
	s.Set("SSL_CERT_FILE=" + f.caFile)
}

// TestHookDocker_oras: an artifact goes to a registry and comes back.
func TestHookDocker_oras(t *testing.T) {
	oras := needTool(t, "docker", "bin/oras")
	s, f := ociStage(t)
	s.version(oras, "version")
	s.write("result.txt", "a result\n")
	s.wantTool(".", nil, oras, "push", f.host+"/team/image:result", "result.txt:text/plain")
	s.wantTool(".", nil, oras, "pull", "--output", "back", f.host+"/team/image:result")
	f.want(t, "oauth2 alice")
	if got := readFile(t, filepath.Join(s.Dir, "back", "result.txt")); got != "a result\n" {
		t.Errorf("%q came back", got)
	}
	nothingElsewhere(t, s, f, oras, "pull", f.host+"/team/image:result")
	s.Want(0, "erase")
	s.write(".docker/config.json", `{"credHelpers": {"`+f.host+`": "t2"}}`)
	s.wantToolFails(".", []string{"nothing is stored for gep/default", "t2-cred exchange"}, oras, "pull", f.host+"/team/image:result")
}

// TestHookDocker_helm: a chart goes to a registry and comes back, by docker's
// configuration in the place of helm's own, as docs/hooks/docker.md says.
func TestHookDocker_helm(t *testing.T) {
	helm := needTool(t, "kubectl", "kubectl/helm")
	s, f := ociStage(t)
	s.version(helm, "version", "--short")
	s.Set("HELM_REGISTRY_CONFIG=" + filepath.Join(s.Dir, ".docker", "config.json"))
	s.write("greeting/Chart.yaml", "apiVersion: v2\nname: greeting\nversion: 0.1.0\n")
	s.wantTool(".", nil, helm, "package", "greeting")
	s.wantTool(".", []string{"Pushed: " + f.host + "/team/greeting:0.1.0"}, helm, "push", "greeting-0.1.0.tgz", "oci://"+f.host+"/team")
	if err := os.Remove(filepath.Join(s.Dir, "greeting-0.1.0.tgz")); err != nil {
		t.Fatal(err)
	}
	s.wantTool(".", nil, helm, "pull", "oci://"+f.host+"/team/greeting", "--version", "0.1.0")
	f.want(t, "oauth2 alice")
	s.wantTool(".", []string{"name: greeting"}, helm, "show", "chart", "greeting-0.1.0.tgz")
	nothingElsewhere(t, s, f, helm, "pull", "oci://"+f.host+"/team/greeting", "--version", "0.1.0")
}

// TestHookDocker_podman: an image comes out of a registry and goes back, without a
// container. podman starts with a runtime at hand alone.
func TestHookDocker_podman(t *testing.T) {
	podman, crane := needTool(t, "docker", "podman/usr/bin/podman"), needTool(t, "docker", "bin/crane")
	s, f := ociStage(t)
	s.version(podman, "--version")
	image := f.host + "/team/image:1"
	s.wantTool(".", nil, crane, "append", "--new_layer", s.layer(), "--new_tag", image)
	f.want(t, "oauth2 alice")

	dir := t.TempDir()
	run := append([]string{podman}, "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs",
		"--conmon", needTool(t, "docker", "conmon/usr/bin/conmon"), "--runtime", needTool(t, "docker", "crun/usr/bin/crun"),
		"--cgroup-manager", "cgroupfs", "--events-backend", "none")
	with := func(args ...string) []string { return append(run[1:len(run):len(run)], args...) }
	s.wantTool(".", nil, podman, with("pull", image)...)
	s.wantTool(".", nil, podman, with("push", image, f.host+"/team/image:2")...)
	f.want(t, "oauth2 alice")
	s.wantTool(".", []string{"2\n"}, crane, "ls", f.host+"/team/image")
	s.wantTool(".", nil, podman, with("rmi", "--all", "--force")...)
	f.want(t, "oauth2 alice")
	nothingElsewhere(t, s, f, podman, with("pull", image)...)
}
