package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// What is only shown: files whose format has no place for lines of ours that could
// be found and taken back safely, or settings that belong to one of many remotes.

func setupKubernetes(_ *app, p setupProfile, o setupOptions) (setup, error) {
	return setup{
		why: "kubectl and all of client-go run t2-cred for this user. YAML has no safe place for lines of ours, so add it yourself, under users: of the kubeconfig.",
		show: fmt.Sprintf(`- name: t2-%s
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: %s
      args: [kubernetes, %s]
      interactiveMode: Never
      provideClusterInfo: true
`, p.name, o.program, strings.Join(p.flags, ", ")),
	}, nil
}

func setupPip(_ *app, _ setupProfile, o setupOptions) (setup, error) {
	return setup{
		why: "pip and uv run a program named keyring on PATH; t2-cred passes what is not for it to the next one. The name may shadow another program, so decide yourself.",
		show: fmt.Sprintf(`ln -s %s %s/keyring
pip config set global.keyring-provider subprocess
export UV_KEYRING_PROVIDER=subprocess
`, o.program, o.binDir),
	}, nil
}

func setupRclone(_ *app, p setupProfile, o setupOptions) (setup, error) {
	return setup{
		why:  "rclone's webdav remotes run a command for a bearer token; say of which remote, which must be at a server that may have the token.",
		show: fmt.Sprintf("rclone config update REMOTE bearer_token_command \"%s get %s\"\n", o.program, p.words()),
	}, nil
}

func setupGDAL(_ *app, p setupProfile, o setupOptions) (setup, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s write %s --output \"$XDG_RUNTIME_DIR/t2-cred/gdal-header\" --format header --watch &\n", o.program, p.words())
	b.WriteString("# In ~/.gdal/gdalrc, with the directory in full for $XDG_RUNTIME_DIR:\n[credentials]\n")
	for n, host := range p.hosts {
		fmt.Fprintf(&b, "[.t2-%s-%d]\npath=/vsicurl/%s/\nGDAL_HTTP_HEADER_FILE=$XDG_RUNTIME_DIR/t2-cred/gdal-header\n", p.name, n+1, firstURL(host))
	}
	return setup{
		why:  "GDAL reads headers from a file again for every request; t2-cred keeps that file fresh, and the path says for which server it is.",
		show: b.String(),
	}, p.someHosts(o)
}

// isThere is whether a name is taken, by a link to nowhere too.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
