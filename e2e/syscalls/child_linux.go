package syscalls

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childArg is the first argument by which a launcher knows that it is to become the
// program.
const childArg = "-child"

// Child becomes the program if the process was started by [Tracer.Start], and does
// not return then. A launcher calls it first in main.
func Child() {
	if len(os.Args) < 5 || os.Args[1] != childArg {
		return
	}
	err := become(strings.Split(os.Args[2], ","), os.Args[3], os.Args[4:])
	fmt.Fprintln(os.Stderr, "syscalls: start the program:", err)
	os.Exit(127)
}

// socket is the descriptor over which the listener is handed to the supervisor.
const socket = 3

// become installs the filter on this thread and executes the program on it. The
// listener is sent by another thread: this one is supervised from then on, and
// nobody would let its sendmsg pass.
func become(names []string, path string, argv []string) error {
	path, err := exec.LookPath(path)
	if err != nil {
		return err
	}
	unix.CloseOnExec(socket)
	listener := make(chan int)
	sent := make(chan error)
	ready := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(ready)
		sent <- unix.Sendmsg(socket, []byte{0}, unix.UnixRights(<-listener), nil, 0)
	}()
	<-ready
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	fd, err := install(names)
	if err != nil {
		return err
	}
	unix.CloseOnExec(fd)
	listener <- fd
	if err := <-sent; err != nil {
		return err
	}
	return unix.Exec(path, argv, os.Environ())
}

// install has the kernel ask the listener about the calls.
func install(names []string) (listener int, err error) {
	// struct seccomp_data: the number is at 0, the architecture at 4.
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	give := func(v uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v} }
	equal := func(v uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: v, Jt: yes, Jf: no}
	}
	code := []unix.SockFilter{load(4), equal(auditArch, 1, 0), give(unix.SECCOMP_RET_ALLOW), load(0)}
	for _, name := range names {
		nr, err := number(name)
		if err != nil {
			return -1, err
		}
		code = append(code, equal(nr, 0, 1), give(unix.SECCOMP_RET_USER_NOTIF))
	}
	code = append(code, give(unix.SECCOMP_RET_ALLOW))
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	// Without the second flag a signal (the Go runtime sends itself many) interrupts
	// a call that waits for the supervisor, and the call would be counted again. Linux
	// has it since 5.19.
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	fd, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(code)
	if e != 0 {
		return -1, errors.Join(errors.New("install the filter"), e)
	}
	return int(fd), nil
}
