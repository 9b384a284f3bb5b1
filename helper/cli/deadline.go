package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// A lazyDeadline is the context of a run: it ends at the deadline of --timeout, or at
// SIGINT or SIGTERM. The timer and the signal handler are set up at the first wait.
// A cached get never waits, and they would cost it a quarter of its time. Until then
// a signal ends the process at once, which is right while nothing is under way.
type lazyDeadline struct {
	context.Context // the parent
	wait            func() context.Context
	stop            func()

	mu       sync.Mutex
	deadline time.Time
	timer    *time.Timer // nil before the first wait
	over     bool        // the deadline has passed
}

func newLazyDeadline(parent context.Context, timeout time.Duration) *lazyDeadline {
	d := &lazyDeadline{Context: parent, deadline: time.Now().Add(timeout), stop: func() {}}
	d.wait = sync.OnceValue(func() context.Context {
		unpipe := surviveBrokenPipes()
		ctx, stop := signal.NotifyContext(d.Context, stopSignals()...)
		ctx, cancel := context.WithCancel(ctx)
		expire := func() {
			d.mu.Lock()
			d.over = true
			d.mu.Unlock()
			cancel()
		}
		d.mu.Lock()
		left := time.Until(d.deadline)
		d.timer = time.AfterFunc(left, expire)
		d.mu.Unlock()
		if left <= 0 {
			expire()
		}
		d.stop = func() { d.timer.Stop(); cancel(); stop(); unpipe() }
		return ctx
	})
	return d
}

// withoutClock asks a person something. The person has all the time there is: the
// deadline moves by the time that it takes. The context of ask ends at a signal.
func (d *lazyDeadline) withoutClock(ask func(context.Context)) {
	ctx := d.wait()
	start := time.Now()
	d.mu.Lock()
	d.timer.Stop()
	d.mu.Unlock()
	ask(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deadline = d.deadline.Add(time.Since(start))
	d.timer.Reset(time.Until(d.deadline))
}

// stopSignals are the signals that ask us to stop. SIGHUP is one, unless nohup has it
// ignored: the terminal may go between a refresh and the store. SIGQUIT and SIGABRT are
// too: the runtime would end the process at once, with the stacks of all its goroutines.
func stopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGABRT}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// surviveBrokenPipes lets a write to a closed standard output or error fail
// rather than end the process, which may hold a refresh token that is not stored
// yet. The signal is caught, not ignored: a command that exec starts must not
// inherit that.
func surviveBrokenPipes() (stop func()) {
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	return func() { signal.Stop(pipe) }
}

// Deadline implements context.Context.
func (d *lazyDeadline) Deadline() (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deadline, true
}

// begun is Done, or nil before the first wait: then a signal ends the process by itself.
func (d *lazyDeadline) begun() <-chan struct{} {
	d.mu.Lock()
	waits := d.timer != nil
	d.mu.Unlock()
	if !waits {
		return nil
	}
	return d.Done()
}

// Done implements context.Context.
func (d *lazyDeadline) Done() <-chan struct{} { return d.wait().Done() }

// Err implements context.Context.
func (d *lazyDeadline) Err() error {
	err := d.wait().Err()
	if err != nil && d.isOver() {
		return context.DeadlineExceeded
	}
	return err
}

// isOver reports whether the deadline has passed.
func (d *lazyDeadline) isOver() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}
