package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// eachShared runs a test on every backend that processes share; env is what they
// need to reach it.
func eachShared(t *testing.T, f func(t *testing.T, o Options, env []string)) {
	t.Run("file", func(t *testing.T) { f(t, fileOptions(t), nil) })
	t.Run("keyring", func(t *testing.T) {
		o := keyringOptions(t)
		f(t, o, []string{"DBUS_SESSION_BUS_ADDRESS=" + o.Getenv("DBUS_SESSION_BUS_ADDRESS")})
	})
}

// together starts all at once and returns what each said.
func together(t *testing.T, cmds []*exec.Cmd) []outcome {
	t.Helper()
	outs := make([]bytes.Buffer, len(cmds))
	errs := make([]bytes.Buffer, len(cmds))
	for i, cmd := range cmds {
		cmd.Stdout, cmd.Stderr = &outs[i], &errs[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	said := make([]outcome, len(cmds))
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("process %d: %v\n%s", i, err, errs[i].String())
		}
		said[i] = lastOutcome(t, outs[i].Bytes())
	}
	return said
}

// TestRefresh_hundredProcessesSpendOneToken is what the lock is for.
func TestRefresh_hundredProcessesSpendOneToken(t *testing.T) {
	eachShared(t, func(t *testing.T, o Options, env []string) {
		s := open(t, o)
		put(t, s, alice, sampleRecord("g1"))
		c := childOf(o, alice)
		c.Dir = tempDir(t)
		cmds := make([]*exec.Cmd, 100)
		for i := range cmds {
			cmds[i] = child(t, "refresh", c, env...)
		}
		started := time.Now()
		said := together(t, cmds)
		t.Logf("%d processes in %s", len(cmds), time.Since(started).Round(time.Millisecond))
		for i, o := range said {
			if o.Kind != "ok" || !strings.HasPrefix(o.Token, "fresh-") || o.Token != said[0].Token {
				t.Errorf("process %d: %+v, the first: %+v", i, o, said[0])
			}
		}
		spent, err := os.ReadFile(filepath.Join(c.Dir, "spent"))
		if err != nil || bytes.Count(spent, []byte("\n")) != 1 {
			t.Errorf("%d refresh tokens were spent, %v", bytes.Count(spent, []byte("\n")), err)
		}
		rec, err := s.Load(context.Background(), alice)
		if err != nil || !strings.HasSuffix(rec.RefreshToken.Reveal(), "r'") || rec.Token.AccessToken.Reveal() != said[0].Token {
			t.Errorf("stored: %+v, %v", rec, err)
		}
	})
}

func TestUpdate_aKilledHolderBlocksNobody(t *testing.T) {
	eachShared(t, func(t *testing.T, o Options, env []string) {
		s := open(t, o)
		put(t, s, alice, sampleRecord("g1"))
		cmd := child(t, "hold", childOf(o, alice), env...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
			t.Fatalf("%q, %v", line, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
		defer cancel()
		same := func(old Record) (Record, error) { return old, nil }
		_, err = s.Update(ctx, alice, same)
		if !errors.Is(err, ErrBusy) {
			t.Fatalf("while it is held: %v", err)
		}
		if pid := cmd.Process.Pid; !regexp.MustCompile(`waited [1-9]\d\d+ms`).MatchString(err.Error()) || runtime.GOOS == "linux" && !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", pid)) {
			t.Errorf("the error does not say how long and who (process %d): %v", pid, err)
		}
		// Reading needs no lock.
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g1" {
			t.Errorf("Load while it is held: %v", err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if _, err := s.Update(context.Background(), alice, same); err != nil {
			t.Errorf("after SIGKILL: %v", err)
		}
		if d := time.Since(started); d > time.Second {
			t.Errorf("after SIGKILL it took %s", d)
		}
		_ = cmd.Wait()
	})
}

// TestStore_twelveProcessesAtOnce stores and reads from twelve processes, for a
// minute when the whole is tested. On gnome-keyring it is the test that we do not
// bring it down, as careless clients do.
func TestStore_twelveProcessesAtOnce(t *testing.T) {
	eachShared(t, func(t *testing.T, o Options, env []string) {
		c := childOf(o, Key{"gep", ""})
		c.Millis = 1500
		if os.Getenv("T2_CRED_E2E") == "1" {
			c.Millis = 60000
		}
		cmds := make([]*exec.Cmd, 12)
		for i := range cmds {
			c.Account = "job-" + string(rune('a'+i))
			drop(t, open(t, o), c.key())
			cmds[i] = child(t, "churn", c, env...)
		}
		drop(t, open(t, o), Key{"gep", "shared"})
		for i, said := range together(t, cmds) {
			if said.Kind != "ok" {
				t.Errorf("process %d: %s: %s", i, said.Kind, said.Error)
			}
		}
		if o.Backend == "keyring" && !keyringAlive(t) {
			t.Error("gnome-keyring is dead or locked")
		}
		if notes, err := open(t, o).Accounts(context.Background()); err != nil || len(notes) != 13 {
			t.Errorf("%d accounts, %v", len(notes), err)
		}
	})
}

// TestUpdate_killedAtRandomMoments kills a process that rotates, again and again:
// what is there is always one of the records that were returned, or the one being
// stored, and can go on.
func TestUpdate_killedAtRandomMoments(t *testing.T) {
	eachShared(t, func(t *testing.T, o Options, env []string) {
		s := open(t, o)
		put(t, s, alice, sampleRecord("g1"))
		rounds := 15
		if os.Getenv("T2_CRED_E2E") == "1" {
			rounds = 200
		}
		for i := range rounds {
			cmd := child(t, "rotations", childOf(o, alice), env...)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			lines.Scan() // it runs
			go func() {
				time.Sleep(time.Duration(i%10)*7*time.Millisecond + time.Duration(i)*137*time.Microsecond)
				_ = cmd.Process.Kill()
			}()
			last := lines.Text()
			if last != "runs" {
				t.Fatalf("the child said %q", last)
			}
			for lines.Scan() {
				last = lines.Text()
			}
			_ = cmd.Wait()
			rec, err := s.Load(context.Background(), alice)
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			// "spent N" was said when f returned N: from then on N must not be lost,
			// apart from the moment before the copy is made.
			_, n, _ := strings.Cut(last, " ")
			if got := rec.RefreshToken.Reveal(); got != n {
				t.Logf("round %d: last said %q, stored %.20q", i, last, got)
				if strings.HasPrefix(last, "stored") {
					t.Errorf("round %d: %q was stored and is lost, there is %.20q", i, n, got)
				}
			}
		}
	})
}
