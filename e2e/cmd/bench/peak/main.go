// Command peak runs a command and prints the most memory it held, in KiB.
//
// It is small, and so a program of its own: the kernel has a new program begin at
// its parent's peak, since until then it lives in its parent's memory.
//
//	peak COMMAND [ARGUMENT]...
package main

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

// limit ends a command that hangs.
const limit = time.Minute

func main() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(err)
	p, err := os.StartProcess(os.Args[1], os.Args[1:], &os.ProcAttr{
		Files: []*os.File{null, null, os.Stderr},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	check(err)
	time.AfterFunc(limit, func() { _ = p.Kill() })
	state, err := p.Wait()
	check(err)
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok || !state.Success() {
		fail(state.String())
	}
	_, err = os.Stdout.WriteString(strconv.FormatInt(usage.Maxrss, 10) + "\n")
	check(err)
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	_, _ = os.Stderr.WriteString("peak: " + why + "\n")
	os.Exit(1)
}
