package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// drawEach is the time between two drawings of a progress line.
const drawEach = 100 * time.Millisecond

// A progress says on a terminal how far a command is, in one line that is redrawn. A
// pipe gets none of it. What is written meanwhile stands above the line.
type progress struct {
	app         *app
	out, errOut io.Writer // of the app, put back at the end
	what        string
	total       int

	mu    sync.Mutex
	done  int
	drawn time.Time
	width int // of what stands there
}

// progress begins one. Its end must be called.
func (a *app) progress(what string, total int) *progress {
	p := &progress{app: a, out: a.Stdout, errOut: a.Stderr, what: what, total: total}
	a.Stdout, a.Stderr = aroundLine{p, a.Stdout}, aroundLine{p, a.Stderr}
	return p
}

// step counts one that is done.
func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if now := time.Now(); p.app.Attended && now.Sub(p.drawn) >= drawEach {
		p.drawn = now
		p.draw()
	}
}

func (p *progress) draw() {
	line := fmt.Sprintf("%s: %d of %d", p.what, p.done, p.total)
	fmt.Fprintf(p.app.terminal, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-len(line))))
	p.width = len(line)
}

func (p *progress) clear() {
	if p.width > 0 {
		fmt.Fprintf(p.app.terminal, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

// end removes the line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.app.Stdout, p.app.Stderr = p.out, p.errOut
}

// aroundLine writes whole lines above the progress line. Several goroutines may write.
type aroundLine struct {
	p  *progress
	to io.Writer
}

func (l aroundLine) Write(b []byte) (int, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.clear()
	return l.to.Write(b)
}
