package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/terradue/t2-cred/e2e/parts"
)

// machine names the machine and all that was compared, with versions.
func (b *bench) machine() table {
	t := table{title: "The machine and the peers", head: []string{"", ""}}
	add := func(name, value string) {
		if value = strings.TrimSpace(value); value == "" {
			value = "unknown"
		}
		t.rows = append(t.rows, []string{name, value})
	}
	add("processor", field("/proc/cpuinfo", "model name"))
	add("cores", strconv.Itoa(runtime.NumCPU()))
	add("load when it began", firstWord("/proc/loadavg"))
	add("niceness", niceness())
	add("system", strings.Trim(field("/etc/os-release", "PRETTY_NAME"), "\"\n"))
	add("kernel", read("/proc/sys/kernel/osrelease"))
	add("Go", strings.TrimPrefix(runtime.Version(), "go"))
	version, _ := b.output(command{argv: []string{b.program.Path, "version"}, env: []string{"HOME=" + b.dir}})
	add("t2-cred", strings.TrimPrefix(version, "t2-cred "))
	if b.size.keycloak {
		add("Keycloak", keycloakVersion())
	}
	for _, p := range []string{"gnome-keyring", "dbus", "libsecret-tools", "golang-docker-credential-helpers", "oidc-agent-cli", "curl"} {
		add(p, debian(p))
	}
	add("Python", b.python("import platform; print(platform.python_version())"))
	for _, p := range []string{"authlib", "requests"} {
		add(p, b.python("from importlib import metadata; print(metadata.version('"+p+"'))"))
	}
	return t
}

// niceness is the priority that everything was run with, 0 unless asked for.
func niceness() string {
	p, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return ""
	}
	return strconv.Itoa(20 - p) // as the kernel tells it
}

func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

func firstWord(path string) string {
	word, _, _ := strings.Cut(read(path), " ")
	return word
}

// field is the value of the first line of a file that begins with name.
func field(path, name string) string {
	for line := range strings.Lines(read(path)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimLeft(rest, "\t :=")
		}
	}
	return ""
}

// debian is the version of a Debian package.
func debian(name string) string {
	out, _ := exec.Command("dpkg-query", "--show", "--showformat=${Version}", name).Output() //nolint:noctx // reads a file
	return string(out)
}

// keycloakVersion is a part of the name of the directory that setup.sh made.
func keycloakVersion() string {
	link, err := parts.Find("keycloak")
	if err != nil {
		return ""
	}
	dir, err := filepath.EvalSymlinks(link)
	if err != nil {
		return ""
	}
	version := strings.TrimPrefix(filepath.Base(dir), "keycloak-")
	version, _, _ = strings.Cut(version, "-")
	return version
}

func (b *bench) python(code string) string {
	python, err := parts.Find("venv/bin/python3")
	if err != nil {
		return ""
	}
	out, _ := b.output(command{argv: []string{python, "-c", code}})
	return out
}
