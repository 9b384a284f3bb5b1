package run

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/e2e/proc"
)

// Cmd is one run of the program.
type Cmd struct {
	Name  string   // argv[0]; empty is t2-cred
	Args  []string // without argv[0]
	Stdin string
	Env   []string // over the home's, each K=V
	Dir   string   // where it runs; empty is the home

	// Product says that an access token on stdout is what was asked for. It is
	// assumed where one of Args is "get".
	Product bool
	// Deadline after which the run has hung; 0 is a minute.
	Deadline time.Duration
}

// Result is what a run did.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int            // -1 when a signal ended it
	Signal         syscall.Signal // that ended it, or 0
	Took           time.Duration
	Hung           bool // killed at its deadline
}

// Token is what `get` printed: stdout less its one line feed.
func (r Result) Token() string { return strings.TrimSuffix(r.Stdout, "\n") }

// String tells everything, for a test's failure.
func (r Result) String() string {
	end := fmt.Sprintf("exit %d", r.Code)
	if r.Signal != 0 {
		end = r.Signal.String()
	}
	if r.Hung {
		end = "hung, killed"
	}
	return fmt.Sprintf("t2-cred %s: %s after %s\nstdout: %q\nstderr: %s",
		strings.Join(r.Args, " "), end, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Run runs the program with these arguments and no standard input.
func (h *Home) Run(args ...string) Result {
	h.t.Helper()
	return h.Do(Cmd{Args: args})
}

// Input runs the program with something on standard input.
func (h *Home) Input(stdin string, args ...string) Result {
	h.t.Helper()
	return h.Do(Cmd{Args: args, Stdin: stdin})
}

// Want runs the program and fails the test unless it exits with code.
func (h *Home) Want(code int, args ...string) Result {
	h.t.Helper()
	return h.WantDo(code, Cmd{Args: args})
}

// WantDo runs the program and fails the test unless it exits with code.
func (h *Home) WantDo(code int, c Cmd) Result {
	h.t.Helper()
	r := h.Do(c)
	if r.Code != code {
		h.t.Fatalf("want exit %d: %s", code, r)
	}
	return r
}

// Do runs the program.
func (h *Home) Do(c Cmd) Result {
	h.t.Helper()
	return h.Start(c).Wait()
}

// Many runs the program n times at once.
func (h *Home) Many(n int, c Cmd) []Result {
	h.t.Helper()
	running := make([]*Running, n)
	for i := range running {
		running[i] = h.Start(c)
	}
	results := make([]Result, n)
	for i, r := range running {
		results[i] = r.Wait()
	}
	return results
}

// Running is a run that has not been waited for.
type Running struct {
	*proc.Process
	h        *Home
	c        Cmd
	out, err bytes.Buffer
	began    time.Time
	deadline *time.Timer
	hung     chan struct{}
}

// Start starts the program. Wait must follow; Kill, Signal and the like may come
// in between.
func (h *Home) Start(c Cmd) *Running {
	h.t.Helper()
	if c.Name == "" {
		c.Name = "t2-cred"
	}
	if c.Deadline == 0 {
		c.Deadline = time.Minute
	}
	cmd := exec.Command(h.p.Path) //nolint:noctx // ended at its deadline
	cmd.Args = append([]string{c.Name}, c.Args...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = h.Dir
	}
	cmd.Env = h.Env()
	for _, kv := range c.Env {
		k, _, _ := strings.Cut(kv, "=")
		cmd.Env = append(without(cmd.Env, k), kv)
	}
	r := &Running{h: h, c: c, began: time.Now(), hung: make(chan struct{})}
	if c.Stdin != "" {
		cmd.Stdin = strings.NewReader(c.Stdin)
	}
	cmd.Stdout, cmd.Stderr = &r.out, &r.err
	p, err := proc.Start(cmd)
	if err != nil {
		h.t.Fatalf("start t2-cred: %v", err)
	}
	r.Process = p
	r.deadline = time.AfterFunc(c.Deadline, func() {
		close(r.hung)
		p.SignalGroup(syscall.SIGKILL)
	})
	return r
}

// Wait waits for the end of the run, and tells the ledger what was printed. A run
// over its deadline is killed, and fails the test.
func (r *Running) Wait() Result {
	r.h.t.Helper()
	code, sig, err := r.Process.Wait()
	r.deadline.Stop()
	res := Result{
		Args: r.c.Args, Stdout: r.out.String(), Stderr: r.err.String(),
		Code: code, Signal: sig, Took: r.Ended().Sub(r.began),
	}
	where := strings.Join(append([]string{r.c.Name}, r.c.Args...), " ")
	product := r.c.Product || slices.Contains(r.c.Args, "get")
	l := r.h.p.Ledger
	l.Output("argv of "+r.c.Name, strings.Join(r.c.Args, "\n"), false)
	l.Output(where+", stdout", res.Stdout, product)
	l.Output(where+", stderr", res.Stderr, false)
	select {
	case <-r.hung:
		res.Hung = true
		r.h.t.Fatalf("%s", res)
	default:
	}
	if err != nil {
		r.h.t.Fatalf("%s: %v", res, err)
	}
	return res
}
