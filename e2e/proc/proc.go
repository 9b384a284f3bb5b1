// Package proc starts processes that cannot outlive their parent: each leads a
// process group, which is killed as a whole, and the kernel kills it when the
// parent dies, however it dies.
package proc

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a process that was started.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	// Both are read after done.
	err   error // of Wait
	ended time.Time
}

// Start starts cmd. It must not be waited for by anyone else.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if cmd.WaitDelay == 0 {
		// A grandchild that keeps a pipe open must not keep us waiting.
		cmd.WaitDelay = 20 * time.Second
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel takes the thread that forked for the parent, so that thread
		// has to live as long as the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		p.ended = time.Now()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// PID is the process's id, which is its group's too.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Alive tells whether it has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Ended waits for the end and tells when it was.
func (p *Process) Ended() time.Time {
	<-p.done
	return p.ended
}

// Wait waits for the end and tells the exit code; -1 for a process that a signal
// ended, with that signal.
func (p *Process) Wait() (code int, sig syscall.Signal, err error) {
	<-p.done
	st := p.cmd.ProcessState
	if st == nil {
		return -1, 0, p.err
	}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		sig = ws.Signal()
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		err = p.err
	}
	return st.ExitCode(), sig, err
}

// Signal sends sig to the process alone.
func (p *Process) Signal(sig syscall.Signal) error {
	if !p.Alive() {
		return nil
	}
	return p.cmd.Process.Signal(sig)
}

// SignalGroup sends sig to the process and its children.
func (p *Process) SignalGroup(sig syscall.Signal) {
	if p.Alive() {
		_ = syscall.Kill(-p.PID(), sig)
	}
}

// Kill kills the group and waits for the end.
func (p *Process) Kill() {
	p.SignalGroup(syscall.SIGKILL)
	<-p.done
}

// Stop asks the group to end, and kills what is left after grace.
func (p *Process) Stop(grace time.Duration) {
	p.SignalGroup(syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
		// The leader may have gone before its children.
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	case <-t.C:
		p.Kill()
	}
}
