package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// askKubernetes calls as client-go does: all that is said is in the environment.
func askKubernetes(g *toolGetter, info string, args ...string) (stdout string, err error) {
	var out bytes.Buffer
	err = kubernetes.Serve(context.Background(), &Call{
		Args: args, Option: map[string]string{"url": ""}, Stdout: &out, Stderr: &out, Getter: g, Now: func() time.Time { return toolExpiry },
		Getenv: func(name string) string { return map[string]string{"KUBERNETES_EXEC_INFO": info}[name] },
	})
	return out.String(), err
}

func execInfo(t testing.TB, version, server string) string {
	address, err := json.Marshal(server)
	if err != nil {
		t.Fatal(err)
	}
	return `{"kind":"ExecCredential","apiVersion":"` + version + `","spec":{"cluster":{"server":` + string(address) + `},"interactive":false}}` + "\n"
}

func TestKubernetes_hostileInput(t *testing.T) {
	const good = `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://tool.example.org"}}}`
	replaced := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for name, c := range map[string]struct{ info, want string }{
		"not JSON":         {"hello", "not a JSON object"},
		"a list":           {"[" + good + "]", "not a JSON object"},
		"truncated":        {good[:len(good)-2], "cut off"},
		"two":              {good + good, "more after"},
		"NUL":              {good + "\x00", "more after"},
		"NUL inside":       {replaced("tool", "to\x00ol"), "not a JSON object"},
		"oversize":         {replaced("tool", strings.Repeat("x", maxExecInfo)), "longer than 1 MiB"},
		"deep":             {strings.Repeat(`{"spec":`, 20000), "not a JSON object"},
		"another kind":     {replaced("ExecCredential", "Status"), `kind is "Status"`},
		"v1alpha1":         {replaced("k8s.io/v1", "k8s.io/v1alpha1"), "the kubeconfig must say client.authentication.k8s.io/v1beta1 or client.authentication.k8s.io/v1"},
		"no version":       {replaced("apiVersion", "apiversion"), `apiVersion is ""`},
		"server twice":     {replaced(`"server"`, `"server":"https://evil.org","server"`), `"server" stands there twice`},
		"spec twice":       {replaced(`"spec"`, `"spec":{},"spec"`), `"spec" stands there twice`},
		"server no string": {replaced(`"https://tool.example.org"`, `["https://tool.example.org"]`), `"server" is not what`},
		"cluster no obj":   {replaced(`{"server":"https://tool.example.org"}`, `"https://tool.example.org"`), "spec.cluster: not a JSON object"},
		"spec no object":   {replaced(`{"cluster":{"server":"https://tool.example.org"}}`, `7`), "spec: not a JSON object"},
		"server missing":   {replaced(`"server"`, `"Server"`), "not https://HOST"},
		"escapes":          {replaced("tool", `\u001b[2J\u202etool`), `\x1b[2J\u202etool`},
		"CR in the host":   {replaced("tool", `tool\r`), "the cluster's server is"},
		"a proxy":          {replaced(`"server"`, `"proxy-url":"http://proxy.example.org","server"`), "the kubeconfig has proxy-url"},
		"a proxy and a CA": {replaced(`"server"`, `"certificate-authority-data":"LS0tLS1CRUdJTg==","proxy-url":"socks5://127.0.0.1:1080","server"`), "the kubeconfig has proxy-url"},
		"proxy no string":  {replaced(`"server"`, `"proxy-url":1,"server"`), `"proxy-url" is not what`},
		"a TLS name":       {replaced(`"server"`, `"tls-server-name":"evil.org","server"`), "the kubeconfig has tls-server-name"},
		"unverified TLS":   {replaced(`"server"`, `"insecure-skip-tls-verify":true,"server"`), "insecure-skip-tls-verify"},
	} {
		stdout, err := askKubernetes(&toolGetter{hosts: []string{"tool.example.org"}}, c.info)
		if stdout != "" || err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\r\n\x00\x1b\u202e") {
			t.Errorf("%s: %q, %.200v", name, stdout, err)
		}
	}
	// A proxy is not this machine, wherever it leads.
	if stdout, err := askKubernetes(&toolGetter{hosts: []string{"127.0.0.1:6443"}}, strings.Replace(good, `"server":"https://tool.example.org"`, `"proxy-url":"http://proxy.example.org","server":"https://127.0.0.1:6443"`, 1)); err == nil || stdout != "" {
		t.Errorf("a proxy to loopback: %q, %v", stdout, err)
	}
	tunnel := strings.Replace(good, `"server":"https://tool.example.org"`, `"tls-server-name":"kubernetes","server":"https://127.0.0.1:6443"`, 1)
	if stdout, err := askKubernetes(&toolGetter{hosts: []string{"127.0.0.1:6443"}}, tunnel); err != nil || !strings.Contains(stdout, "token-1") {
		t.Errorf("a tunnel: %q, %v", stdout, err)
	}
	// Without verified TLS only this very machine is known for what it is.
	loopback := strings.ReplaceAll(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://127.0.0.1:6443","insecure-skip-tls-verify":true}}}`, "\n", "")
	if stdout, err := askKubernetes(&toolGetter{hosts: []string{"127.0.0.1:6443"}}, loopback); err != nil || !strings.Contains(stdout, "token-1") {
		t.Errorf("on loopback: %q, %v", stdout, err)
	}
}

// FuzzKubernetes: the answer is one object in the version that was asked for, and
// a token goes to our host alone, or where no server was named.
func FuzzKubernetes(f *testing.F) {
	f.Add("")
	f.Add(execInfo(f, execVersions[0], "https://tool.example.org:8443"))
	f.Add(execInfo(f, execVersions[1], "https://tool.example.org:8443.evil.org/"))
	f.Add(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":true}}`)
	f.Fuzz(func(t *testing.T, info string) {
		g := &toolGetter{hosts: []string{"tool.example.org:8443"}}
		stdout, err := askKubernetes(g, info)
		if (stdout == "") == (err == nil) {
			t.Fatalf("%q: %q, %v", info, stdout, err)
		}
		if err != nil {
			return
		}
		var answer execCredential
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil || answer.Status.Token != "token-1" || !strings.HasSuffix(stdout, "}\n") {
			t.Fatalf("%q: %q, %v", info, stdout, err)
		}
		if info != "" && !strings.Contains(info, answer.APIVersion[len("client.authentication.k8s.io/"):]) {
			t.Fatalf("%q was answered in version %q", info, answer.APIVersion)
		}
		asked := strings.ToLower(strings.Join(g.log, "\n"))
		if asked != "get anywhere" && !strings.HasPrefix(asked, "get https://tool.example.org:8443") {
			t.Fatalf("%q: a token for %q", info, asked)
		}
	})
}

// TestKubernetes_url: the hook answers for the one server of --url.
func TestKubernetes_url(t *testing.T) {
	info := func(server string) string {
		return strings.TrimSuffix(execInfo(t, execVersions[1], server), "\n")
	}
	for _, c := range []struct{ option, info, want string }{
		{"https://tool.example.org", info("https://tool.example.org"), "get https://tool.example.org"},
		{"https://tool.example.org", info("https://TOOL.example.org:443/k8s/c-1"), "get https://tool.example.org"},
		{"https://tool.example.org:8443/", info("https://tool.example.org:8443"), "get https://tool.example.org:8443/"},
		{"https://tool.example.org", "", "get https://tool.example.org"},
		{"https://tool.example.org", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{}}`, "get https://tool.example.org"},
		{"https://tool.example.org", info("https://tool.example.org:8443"), ""},
		{"https://tool.example.org", info("https://a.wild.example.org"), ""},
		{"https://tool.example.org", info("https://evil.org"), ""},
		{"http://tool.example.org:443", info("https://tool.example.org"), ""},
		{"tool.example.org", info("https://tool.example.org"), ""},
		{"https://u@tool.example.org", info("https://tool.example.org"), ""},
		{"https://", "", ""},
	} {
		call := newToolCall(kubernetes, &toolGetter{hosts: []string{"tool.example.org", "tool.example.org:8443", "*.wild.example.org"}})
		call.option, call.env = map[string]string{"url": c.option}, map[string]string{"KUBERNETES_EXEC_INFO": c.info}
		stdout, _, err := call.run()
		if got := strings.Join(call.getter.log, " "); got != c.want || (stdout != "") != (c.want != "") || (err == nil) != (c.want != "") {
			t.Errorf("%s, %s: asked %q, %q, %v", c.option, c.info, got, stdout, err)
		}
	}
	call := newToolCall(kubernetes, &toolGetter{})
	call.option = map[string]string{"url": "https://tool.example.org"}
	if stdout, _, err := call.run(); stdout != "" || !errors.Is(err, helper.ErrNotMine) {
		t.Errorf("a server of nobody's: %q, %v", stdout, err)
	}
}

func kubernetesWays() []way {
	const before, after = `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{`, "}}}\n"
	return []way{{
		name: "kubernetes", protocol: kubernetes, notMineErr: helper.ErrNotMine,
		call: func(c *Call, text string) {
			c.Getenv = func(name string) string { return map[string]string{"KUBERNETES_EXEC_INFO": text}[name] }
		},
		says: asJSON(before+`"server":`, "", after),
		more: func(value string) string {
			return before + `"server":"https://tool.example.org","colour":"` + value + `"},"interactive":false}}` + "\n"
		},
		twice: pair(before, "server", "", after),
	}}
}
