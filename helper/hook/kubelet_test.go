package hook

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func kubeletLine(t testing.TB, image string) string {
	text, err := json.Marshal(map[string]string{"kind": kubeletRequest, "apiVersion": kubeletVersion, "image": image})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKubelet_registryOf(t *testing.T) {
	for image, want := range map[string]string{
		"nginx": "docker.io", "library/nginx": "docker.io", "nginx:1.0": "docker.io", "alice/app:1": "docker.io", "docker.io/library/nginx": "docker.io",
		"tool.example.org/app": "tool.example.org", "tool.example.org:8443/a/b:1@sha256:00": "tool.example.org:8443", "localhost/app": "localhost", "localhost:5000/app": "localhost:5000",
		"[::1]:5000/app": "[::1]:5000", "tool.example.org": "docker.io", "/app": "docker.io", "": "docker.io",
	} {
		if got := registryOf(image); got != want {
			t.Errorf("%q: %q, not %q", image, got, want)
		}
	}
}

func TestKubelet_lookalikes(t *testing.T) {
	for _, host := range lookalikes {
		g := &toolGetter{hosts: []string{"tool.example.org", "*.wild.example.org"}}
		stdout, stderr, err := runTool(kubelet, g, nil, nil, kubeletLine(t, host+"/app"))
		if strings.Contains(stdout, "token-1") || stderr != "" || err != nil && (!errors.Is(err, ErrUsage) || stdout != "") {
			t.Errorf("%.60q: %q, %q, %v", host, stdout, stderr, err)
		}
	}
}

func TestKubelet_hostileInput(t *testing.T) {
	good := kubeletLine(t, "tool.example.org/app")
	replaced := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for name, stdin := range map[string]string{
		"nothing": "", "no JSON": "tool.example.org/app", "a list": "[" + good + "]", "cut off": good[:len(good)-1], "two": good + good, "NUL": good + "\x00",
		"image twice": replaced(`"image"`, `"image":"evil.org/app","image"`), "image no string": replaced(`"tool.example.org/app"`, `["tool.example.org/app"]`), "no image": replaced(`"image"`, `"Image"`),
		"another kind": replaced(kubeletRequest, kubeletResponse), "no version": replaced(`"apiVersion"`, `"apiversion"`), "oversize": replaced("app", strings.Repeat("a", maxInput)),
	} {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(kubelet, g, nil, nil, stdin)
		if stdout != "" || !errors.Is(err, ErrUsage) || len(g.log) > 0 {
			t.Errorf("%s: %q, %v, asked %q", name, stdout, err, g.log)
		}
	}
	wantUsage(t, kubelet, &toolGetter{}, []string{"get"}, nil)
	wantUsage(t, kubelet, &toolGetter{}, nil, map[string]string{"username": "<token>"})
	wantUsage(t, kubelet, &toolGetter{}, nil, map[string]string{"min-valid": "-1s"})
}

// The kubelet must not keep a token beyond its end, nor one whose end is not known.
func TestKubelet_cacheDuration(t *testing.T) {
	for left, want := range map[time.Duration]string{
		time.Hour: "59m0s", 61500 * time.Millisecond: "1s", time.Minute: "0s", time.Second: "0s", -time.Hour: "0s", 0: "0s",
	} {
		g := &toolGetter{hosts: []string{"tool.example.org"}, noExpiry: left == 0}
		call := newCall(kubelet, g)
		var out strings.Builder
		call.Stdin, call.Stdout = strings.NewReader(kubeletLine(t, "tool.example.org/app")), &out
		call.Now = func() time.Time { return toolExpiry.Add(-left) }
		if err := kubelet.Serve(t.Context(), call); err != nil || !strings.Contains(out.String(), `"cacheDuration":"`+want+`"`) {
			t.Errorf("%s: %q, %v", left, out.String(), err)
		}
	}
}

// FuzzKubelet: whatever comes, the answer is one response with the token for our
// registry or without one, or nothing.
func FuzzKubelet(f *testing.F) {
	f.Add(kubeletLine(f, "tool.example.org/app:1"))
	f.Add(kubeletLine(f, "tool.example.org@evil.org/app"))
	f.Add(kubeletLine(f, "nginx") + "\n\n")
	f.Fuzz(func(t *testing.T, stdin string) {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, stderr, err := runTool(kubelet, g, nil, nil, stdin)
		if stderr != "" || (stdout == "") != (err != nil) {
			t.Fatalf("%q, %q, %v", stdout, stderr, err)
		}
		if err != nil {
			return
		}
		var answer kubeletAnswer
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil || answer.Kind != kubeletResponse || answer.APIVersion != kubeletVersion || len(answer.Auth) > 1 {
			t.Fatalf("%q: %v", stdout, err)
		}
		for registry, auth := range answer.Auth {
			name := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(registry), "443"), ":")
			if name != "tool.example.org" || auth.Password != "token-1" || auth.Username != "oauth2" {
				t.Fatalf("%q for %q", stdout, stdin)
			}
		}
	})
}

func kubeletWays() []way {
	const before = `{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1",`
	image := func(host string) string {
		text, _ := json.Marshal(host + "/app")
		return before + `"image":` + string(text) + "}\n"
	}
	none := `{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"Registry","cacheDuration":"0s","auth":{}}` + "\n"
	return []way{{
		name: "kubelet", protocol: kubelet, call: toStdin(), tls: true, notMine: none,
		says: func(_, host string) string { return image(host) },
		more: func(value string) string { return before + `"image":"tool.example.org/app","colour":"` + value + `"}` },
		twice: func(first, second string) string {
			return before + `"image":"` + first + `/app","image":"` + second + `/app"}`
		},
	}}
}
