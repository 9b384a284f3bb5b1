package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// limit ends a command that hangs.
const limit = time.Minute

// A command is a program and how it is started.
type command struct {
	argv  []string
	env   []string
	stdin string // a file; empty is none
	out   string // a file to add standard output to; empty throws it away
}

// A task is what is timed: one command, or some after each other.
type task struct {
	name  string
	steps []command
}

// once is a task of one command.
func once(name string, c command) task { return task{name, []command{c}} }

// run runs the command and tells how long it took, from before it was started
// until it was waited for.
func (b *bench) run(c command) (time.Duration, error) {
	files, path, err := b.open(c)
	if err != nil {
		return 0, err
	}
	defer closeAll(files)
	// The kernel kills the child when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	p, err := os.StartProcess(path, c.argv, &os.ProcAttr{
		Dir: b.dir, Env: c.env, Files: files,
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, err
	}
	deadline := time.AfterFunc(limit, func() { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) })
	state, err := p.Wait()
	took := time.Since(began)
	deadline.Stop()
	if err == nil && !state.Success() {
		err = fmt.Errorf("%s after %s: %s", state, took.Round(time.Millisecond), b.lastWords())
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", strings.Join(c.argv, " "), err)
	}
	return took, nil
}

// open opens what the command reads and writes, before the clock starts. Its
// standard error is kept until the next command.
func (b *bench) open(c command) (files []*os.File, path string, err error) {
	if path, err = exec.LookPath(c.argv[0]); err != nil {
		return nil, "", err
	}
	in, out := c.stdin, c.out
	if in == "" {
		in = os.DevNull
	}
	if out == "" {
		out = os.DevNull
	}
	for _, o := range []struct {
		name string
		flag int
	}{
		{in, os.O_RDONLY},
		{out, os.O_WRONLY | os.O_APPEND | os.O_CREATE},
		{b.path("stderr"), os.O_WRONLY | os.O_TRUNC | os.O_CREATE},
	} {
		f, err := os.OpenFile(o.name, o.flag, 0o600)
		if err != nil {
			closeAll(files)
			return nil, "", err
		}
		files = append(files, f)
	}
	return files, path, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// lastWords are what the last command said on standard error.
func (b *bench) lastWords() string {
	said, _ := os.ReadFile(b.path("stderr"))
	return strings.TrimSpace(string(said))
}

// output runs the command and gives what it printed.
func (b *bench) output(c command) (string, error) {
	c.out = b.path("stdout")
	if err := os.RemoveAll(c.out); err != nil {
		return "", err
	}
	if _, err := b.run(c); err != nil {
		return "", err
	}
	out, err := os.ReadFile(c.out)
	return strings.TrimSpace(string(out)), err
}

// sample times every task in each round, each round in another order, so that
// what else happens on the machine meets them all alike.
func (b *bench) sample(rounds int, tasks ...task) (map[string]times, error) {
	taken := map[string]times{}
	order := rand.New(rand.NewPCG(1, 2)) // of no importance, but the same each time
	warm := rounds/2 + 1                 // Keycloak goes on compiling for some hundred requests
	for round := range warm + rounds {
		for _, i := range order.Perm(len(tasks)) {
			if err := b.ctx.Err(); err != nil {
				return nil, err
			}
			var sum time.Duration
			for _, c := range tasks[i].steps {
				took, err := b.run(b.copyOf(c, max(0, round-warm)*copies/rounds))
				if err != nil {
					return nil, err
				}
				sum += took
			}
			if round >= warm {
				taken[tasks[i].name] = append(taken[tasks[i].name], sum)
			}
		}
	}
	for _, t := range taken {
		slices.Sort(t)
	}
	return taken, nil
}

// times are durations, sorted.
type times []time.Duration

// at is the duration that the part p of them does not exceed.
func (t times) at(p float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	return t[min(len(t)-1, int(p*float64(len(t))))]
}

func (t times) median() time.Duration { return t.at(0.5) }

// over is the ratio of two medians.
func (t times) over(base times) float64 {
	return float64(t.median()) / float64(base.median())
}
