//go:build unix

package oidc

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSpend_survivesAStop: a process that is stopped for longer than the wait, while
// the answer lies in the socket, reads the answer when it goes on.
func TestSpend_survivesAStop(t *testing.T) {
	if issuer := *childIssuer; issuer != "" {
		i := New(issuer, Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := i.Spend(ctx, frontClient, RefreshGrant(oldToken), Spending{Wait: 1500 * time.Millisecond})
		fmt.Println("kept:", r.RefreshToken == newToken, err)
		return
	}
	arrived, stopped := make(chan bool), make(chan bool)
	f := newTokenFront(t, false, func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-stopped
		answer(200, "application/json", goodBody)(w, r)
	})
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSpend_survivesAStop$", "-test.v", "-child.issuer="+f.URL)
	var said strings.Builder
	child.Stdout, child.Stderr = &said, &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	<-arrived
	signal := func(s syscall.Signal) {
		if err := child.Process.Signal(s); err != nil {
			t.Error(err)
		}
	}
	signal(syscall.SIGSTOP)
	close(stopped)
	time.Sleep(3 * time.Second)
	signal(syscall.SIGCONT)
	if err := child.Wait(); err != nil || !strings.Contains(said.String(), "kept: true <nil>") || f.posts.Load() != 1 {
		t.Errorf("%v, %d requests: %s", err, f.posts.Load(), said.String())
	}
}
