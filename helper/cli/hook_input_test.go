package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hook"
)

// TestHookInput_isNotWaitedForForever: a tool that says nothing, or a part of its request
// alone, and leaves standard input open.
func TestHookInput_isNotWaitedForForever(t *testing.T) {
	requests := map[string]struct {
		args  []string
		begin string
	}{
		"git":     {[]string{"git", "get"}, "protocol=https\nhost="},
		"docker":  {[]string{"docker", "get"}, "api.example"},
		"cargo":   {[]string{"--cargo-plugin"}, `{"v":1,"registry":`},
		"goauth":  {[]string{"goauth", "https://api.example.org/x"}, "HTTP/1.1 401 "},
		"bazel":   {[]string{"bazel", "get"}, `{"uri":`},
		"kubelet": {[]string{"kubelet"}, `{"kind":`},
	}
	for _, p := range hook.Protocols {
		if _, ok := requests[p.Name]; p.Begins != nil && !ok {
			t.Errorf("no request of %s", p.Name)
		}
	}
	h := newHome(t)
	for name, tt := range requests {
		for _, begin := range []string{"", tt.begin} {
			in, tool := io.Pipe()
			go func() { _, _ = io.WriteString(tool, begin) }()
			var stdout, stderr bytes.Buffer
			ended := make(chan int, 1)
			go func() {
				ended <- Main(context.Background(), Env{
					Name: "t2-cred", Args: tt.args, Stdin: in, Stdout: &stdout, Stderr: &stderr, Now: time.Now,
					Getenv: func(name string) string { return map[string]string{"T2_CRED_TIMEOUT": "300ms"}[name] + h.env[name] },
				})
			}()
			select {
			case code := <-ended:
				if said := stdout.String() + stderr.String(); !strings.Contains(said, "standard input did not end within --timeout") || code != exitUsage && name != "cargo" {
					t.Errorf("%s after %q: exit code %d, %s", name, begin, code, said)
				}
			case <-time.After(20 * time.Second):
				t.Errorf("%s after %q: still waits", name, begin)
			}
			_ = tool.Close()
		}
	}
}

// TestHookInput_endsAtASignal, also after something was waited for before.
func TestHookInput_endsAtASignal(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	in, tool := io.Pipe()
	defer tool.Close()
	d := newLazyDeadline(ctx, time.Minute)
	input := (&app{Env: Env{Stdin: in}, deadline: d}).hookInput()
	_ = d.Done()
	time.AfterFunc(50*time.Millisecond, stop)
	began := time.Now()
	if _, err := input.Read(make([]byte, 1)); err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}
