package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// fill gives a home n accounts of a client, as if each had been exchanged ten days ago.
func fill(h *home, n int) {
	h.t.Helper()
	a := &app{Env: Env{Getenv: func(name string) string { return h.env[name] }, Now: time.Now, Stderr: &h.stderr}}
	a.flags.store = h.env["T2_CRED_STORE"]
	_, s, err := a.openConfig()
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range n {
		k := store.Key{Profile: "gep", Account: fmt.Sprintf("job-%05d", i)}
		_, err := s.Update(h.t.Context(), k, func(store.Record) (store.Record, error) {
			return store.Record{
				GrantInfo: store.GrantInfo{
					Grant: fmt.Sprintf("grant-%d", i), Issuer: h.issuer.URL(), ClientID: oidctest.ClientID, Subject: h.issuer.Sub("alice"),
					Offline: true, Created: time.Now().Add(-10 * day), Scopes: []string{"openid", "offline_access"},
				},
				RefreshToken: secret.Secret(h.issuer.UserToken("alice", oidctest.AsOfflineToken(), oidctest.IssuedTo(oidctest.ClientID))),
			}, nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// attend runs a command in front of a person, or without one.
func (h *home) attend(ctx context.Context, attended bool, answer string, args ...string) (code int, out, said string) {
	var stdout, stderr bytes.Buffer
	code = Main(ctx, Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(name string) string { return h.env[name] }, Now: time.Now, Attended: attended, StdinTerminal: attended,
		Prompt: func(context.Context, string) (string, error) {
			if answer == "" {
				return "", errors.New("nobody may be asked")
			}
			return answer, nil
		},
	})
	return code, stdout.String(), stderr.String()
}

func TestKeepalive_atOnce(t *testing.T) {
	h := newHome(t)
	fill(h, 40)
	var now, most atomic.Int64
	remove := h.issuer.Inject(oidctest.Fault{
		Name: "slow", Endpoint: oidctest.Token, Grant: "refresh_token", About: "is slow", Harmless: true,
		Before: func(*oidctest.Call) *oidctest.Answer {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(50 * time.Millisecond)
			now.Add(-1)
			return nil
		},
	})
	defer remove()
	code, out, said := h.attend(t.Context(), true, "", "keepalive", "--rate", "1000")
	if code != exitOK {
		t.Fatalf("ends with %d: %s", code, said)
	}
	if most.Load() < 2 || most.Load() > 8 {
		t.Errorf("%d refreshes at once", most.Load())
	}
	lines := regexp.MustCompile(`(?m)^refreshed  gep/(job-\d+) `).FindAllStringSubmatch(out, -1)
	if len(lines) != 40 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	for i, l := range lines {
		if l[1] != fmt.Sprintf("job-%05d", i) {
			t.Fatalf("line %d is of %s", i, l[1])
		}
	}
	if !strings.Contains(said, "\rkeepalive: ") || !strings.HasSuffix(said, "\r") {
		t.Errorf("no line is redrawn and removed on the terminal: %q", said)
	}
	if code, out, said = h.attend(t.Context(), false, "", "keepalive", "--older-than", "0s", "--rate", "1000"); code != exitOK || said != "" || strings.Contains(out, "\r") {
		t.Errorf("in a pipe: %d, %q", code, said)
	}
}

// TestKeepalive_goesOn: an interrupted run is finished by another one.
func TestKeepalive_goesOn(t *testing.T) {
	h := newHome(t)
	fill(h, 30)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for h.issuer.Count("refresh_token") < 5 && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	code, out, said := h.attend(ctx, false, "", "keepalive", "--rate", "10", "--older-than", "36h")
	if code != exitInterrupted || !strings.Contains(said, "keepalive: interrupted after ") || !strings.Contains(said, "hint: to go on with the others: t2-cred keepalive --older-than 36h0m0s --rate 10\n") {
		t.Fatalf("interrupted: %d, %s", code, said)
	}
	first := strings.Count(out, "refreshed  gep/")
	if first == 0 || first == 30 {
		t.Fatalf("%d of 30 were refreshed before the interruption:\n%s", first, out)
	}
	code, out, said = h.attend(t.Context(), false, "", "keepalive", "--rate", "1000")
	// One that was under way at the interruption is done, and not told.
	second := strings.Count(out, "refreshed  gep/")
	if all := h.issuer.Count("refresh_token"); code != exitOK || all != 30 || second > 30-first {
		t.Errorf("then: %d, %d and %d of 30 refreshed, by %d requests: %s", code, first, second, all, said)
	}
}

// TestKeepalive_theHintIsTheSameRun: the accounts that were not meant are not meant then.
func TestKeepalive_theHintIsTheSameRun(t *testing.T) {
	for args, want := range map[string]string{
		"--account job-00001":                               "keepalive --account job-00001",
		"--account default --older-than 7d":                 "keepalive --account default --older-than 7d",
		"--profile gep --account job-00000 --older-than 1h": "keepalive --profile gep --account job-00000 --older-than 1h0m0s",
	} {
		h := newHome(t)
		fill(h, 2)
		if strings.Contains(args, "default") {
			if code := h.run("exchange", "--token-file", h.userToken("alice")); code != exitOK {
				t.Fatal(h.stderr.String())
			}
			args += " --older-than 0s"
			want = strings.Replace(want, "7d", "0s", 1)
		}
		h.issuer.Inject(oidctest.FaultNamed("hang").On(oidctest.Discovery))
		ctx, cancel := context.WithCancel(t.Context())
		before := len(h.issuer.Requests())
		go func() {
			for len(h.issuer.Requests()) == before && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			cancel() // while discovery hangs
		}()
		if err := os.RemoveAll(h.env["XDG_CACHE_HOME"]); err != nil {
			t.Fatal(err)
		}
		code, _, said := h.attend(ctx, false, "", append([]string{"keepalive"}, strings.Fields(args)...)...)
		if code != exitInterrupted || !strings.HasSuffix(said, "hint: to go on with the others: t2-cred "+want+"\n") {
			t.Errorf("%s: %d, %s", args, code, said)
		}
	}
}

func TestEraseAll_asks(t *testing.T) {
	h := newHome(t)
	fill(h, 12)
	if code, _, said := h.attend(t.Context(), true, "no", "erase", "--all"); code != exitInterrupted || !strings.Contains(said, "not confirmed, so nothing was changed") {
		t.Errorf("no: %d, %s", code, said)
	}
	if h.issuer.Grants("alice") != 12 {
		t.Fatalf("%d grants are left", h.issuer.Grants("alice"))
	}
	code, _, said := h.attend(t.Context(), true, "yes", "erase", "--all")
	if code != exitOK || h.issuer.Grants("alice") != 0 || strings.Count(said, "revoked and erased gep/job-") != 12 || !strings.Contains(said, "\rerase: ") {
		t.Errorf("yes: %d, %d grants, %q", code, h.issuer.Grants("alice"), said)
	}
	for _, attended := range []bool{true, false} {
		fill(h, 2)
		args := []string{"erase", "--all"}
		if attended {
			args = append(args, "--yes")
		}
		if code, _, said := h.attend(t.Context(), attended, "", args...); code != exitOK || strings.Count(said, "revoked and erased") != 2 {
			t.Errorf("attended %v: %d, %s", attended, code, said)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(h.env["XDG_DATA_HOME"], "t2-cred", "*", "*grant*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestPace: an issuer that asks to slow down is asked later and more slowly, and after
// successes as before.
func TestPace(t *testing.T) {
	p := newPace(1000)
	began := time.Now()
	p.slower(100 * time.Millisecond)
	if err := p.wait(t.Context()); err != nil || time.Since(began) < 100*time.Millisecond {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if p.pause < slowStart {
		t.Errorf("the pause is %s", p.pause)
	}
	for range 60 {
		p.faster()
	}
	if p.pause != time.Millisecond {
		t.Errorf("after successes the pause is %s", p.pause)
	}
	p.slower(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait beyond the deadline: %v", err)
	}
}
