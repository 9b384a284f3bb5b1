package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// patience is the context of a run: it ends at the deadline of --timeout, or at
// SIGINT or SIGTERM. The timer and the signal handler are set up when somebody
// first waits for it. A cached get never does, and they would cost it a quarter
// of its time; until then a signal ends the process at once, which is right
// while nothing is under way.
type patience struct {
	context.Context // the parent
	deadline        time.Time
	wait            func() context.Context
	stop            func()
}

func newPatience(parent context.Context, timeout time.Duration) *patience {
	p := &patience{Context: parent, deadline: time.Now().Add(timeout), stop: func() {}}
	p.wait = sync.OnceValue(func() context.Context {
		unpipe := surviveBrokenPipes()
		ctx, stop := signal.NotifyContext(p.Context, endings()...)
		ctx, cancel := context.WithDeadline(ctx, p.deadline)
		p.stop = func() { cancel(); stop(); unpipe() }
		return ctx
	})
	return p
}

// endings are the signals that ask us to stop. SIGHUP is one, unless nohup has it
// ignored: the terminal may go between a refresh and the store.
func endings() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}

// surviveBrokenPipes lets a write to a closed standard output or error fail
// rather than end the process, which may hold a refresh token that is not stored
// yet. It is noticed, not ignored: a command that exec starts must not inherit it.
func surviveBrokenPipes() (stop func()) {
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	return func() { signal.Stop(pipe) }
}

// Deadline implements context.Context.
func (p *patience) Deadline() (time.Time, bool) { return p.deadline, true }

// Done implements context.Context.
func (p *patience) Done() <-chan struct{} { return p.wait().Done() }

// Err implements context.Context.
func (p *patience) Err() error { return p.wait().Err() }
