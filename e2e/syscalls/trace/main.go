//go:build linux

// Trace runs a program and lists the system calls that it does, with the object of
// each, or fails, kills or stops the program at one of them:
//
//	trace [-uid N] [-calls openat,write] [-at 'openat /etc/hosts#1'] [-fail EACCES | -kill | -stop 2s] PROGRAM [ARGUMENT]...
//
// The list goes to standard error, a line for each call.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/e2e/syscalls"
)

func main() {
	syscalls.Child()
	os.Exit(run())
}

func run() int {
	uid := flag.Int("uid", -1, "run the program as this user (needs root)")
	calls := flag.String("calls", strings.Join(syscalls.Names(), ","), "the calls to supervise")
	at := flag.String("at", "", "the call to act on: 'NAME OBJECT#N', or 'NAME#N' for the n-th of any object")
	fail := flag.String("fail", "", "have it fail with this error, as EACCES")
	kill := flag.Bool("kill", false, "kill the program there")
	stop := flag.Duration("stop", 0, "stop the program there for so long")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		return 2
	}
	v := syscalls.Pass()
	switch {
	case *fail != "":
		e, ok := errnos()[*fail]
		if !ok {
			fmt.Fprintf(os.Stderr, "trace: no error is called %s\n", *fail)
			return 2
		}
		v = syscalls.Fail(e)
	case *kill:
		v = syscalls.Kill()
	case *stop > 0:
		v = syscalls.Stop(*stop)
	}
	code, err := supervise(*uid, strings.Split(*calls, ","), *at, v, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "trace:", err)
		return 1
	}
	return code
}

// errnos are all errors by their names.
func errnos() map[string]unix.Errno {
	all := map[string]unix.Errno{}
	for e := unix.Errno(1); e < 200; e++ {
		if name := unix.ErrnoName(e); name != "" {
			all[name] = e
		}
	}
	return all
}

func supervise(uid int, calls []string, at string, v syscalls.Verdict, argv []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	seen := map[string]int{}
	t := syscalls.Tracer{Launcher: self, Names: calls, Decide: func(c syscalls.Call) syscalls.Verdict {
		seen[c.Name]++
		if at == fmt.Sprintf("%s %s#%d", c.Name, c.Object, c.N) || at == fmt.Sprintf("%s#%d", c.Name, seen[c.Name]) {
			return v
		}
		return syscalls.Pass()
	}}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(path) //nolint:noctx // it ends when the user wants
	cmd.Args = argv
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if uid >= 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	began := time.Now()
	tr, err := t.Start(cmd, (*exec.Cmd).Start)
	if err != nil {
		return 0, err
	}
	wait := cmd.Wait()
	list, err := tr.End()
	for n, c := range list {
		fmt.Fprintf(os.Stderr, "%4d %s\n", n+1, c)
	}
	fmt.Fprintf(os.Stderr, "%d calls in %s\n", len(list), time.Since(began).Round(time.Millisecond))
	var exit *exec.ExitError
	if wait != nil && !errors.As(wait, &exit) {
		err = errors.Join(err, wait)
	}
	return cmd.ProcessState.ExitCode(), err
}
