package syscalls

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Call is one system call that the program is about to do.
type Call struct {
	Name   string
	Object string // what it works on, see [Tracer.Rename]
	N      int    // how many calls of this name and object there were, with this one
	PID    int    // the process
	TID    int    // its thread
	Args   [6]uint64
	// Posted says that a POST in clear has left the program before.
	Posted bool
	// Answered says that the program has read from the connection of the last POST
	// since it was sent.
	Answered bool
}

// String is the call in one line.
func (c Call) String() string { return fmt.Sprintf("%s %s #%d", c.Name, c.Object, c.N) }

// A Verdict is what becomes of a call. The zero value lets it pass.
type Verdict struct {
	errno unix.Errno
	kill  bool
	stop  time.Duration
}

// Pass lets the kernel do the call.
func Pass() Verdict { return Verdict{} }

// Fail has the call fail, without being done.
func Fail(e unix.Errno) Verdict { return Verdict{errno: e} }

// Kill kills the program, and the child that does the call, with SIGKILL before the
// call is done.
func Kill() Verdict { return Verdict{kill: true} }

// Stop stops the program with SIGSTOP before the call is done, and has it go on
// after d.
func Stop(d time.Duration) Verdict { return Verdict{stop: d} }

// A Tracer says how programs are supervised.
type Tracer struct {
	// Launcher is a program that calls [Child] first; e2e/syscalls/trace is one.
	Launcher string
	// Names are the calls to supervise. All others run at full speed.
	Names []string
	// Rename, if set, makes the objects of two runs comparable, as by taking out the
	// name of a temporary directory.
	Rename func(object string) string
	// Decide, if set, is asked about each call, one after the other.
	Decide func(Call) Verdict
}

// A Trace is a program that is supervised.
type Trace struct {
	tracer   *Tracer
	cmd      *exec.Cmd
	listener int
	done     chan struct{}
	execd    bool
	groups   map[int]int       // process by thread
	sockets  map[string]string // addresses by "socket:[inode]"
	counts   map[string]int
	post     *post

	mu    sync.Mutex
	calls []Call
	err   error
	// At the end, or when the program was killed.
	posted, answered bool
}

// Start starts cmd under supervision. The caller waits for cmd, then calls
// [Trace.End].
func (t *Tracer) Start(cmd *exec.Cmd, start func(*exec.Cmd) error) (*Trace, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := pair[0], os.NewFile(uintptr(pair[1]), "listener")
	defer func() { _ = unix.Close(ours) }()
	cmd.Args = append([]string{t.Launcher, childArg, strings.Join(t.Names, ","), cmd.Path}, cmd.Args...)
	cmd.Path = t.Launcher
	if len(cmd.ExtraFiles) > 0 {
		return nil, errors.New("syscalls: the program cannot be given files")
	}
	cmd.ExtraFiles = []*os.File{theirs}
	err = start(cmd)
	_ = theirs.Close()
	if err != nil {
		return nil, err
	}
	tr := &Trace{
		tracer: t, cmd: cmd, done: make(chan struct{}),
		groups: map[int]int{}, sockets: map[string]string{}, counts: map[string]int{},
	}
	if tr.listener, err = receive(ours); err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("syscalls: no listener from %s: %w", t.Launcher, err)
	}
	go tr.serve()
	return tr, nil
}

// receive takes the listener's descriptor from the child.
func receive(from int) (int, error) {
	if err := unix.SetsockoptTimeval(from, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
		return -1, err
	}
	rights := make([]byte, unix.CmsgSpace(4))
	for {
		_, n, _, _, err := unix.Recvmsg(from, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, err
		}
		if n == 0 {
			return -1, errors.New("it ended")
		}
		messages, err := unix.ParseSocketControlMessage(rights[:n])
		if err != nil {
			return -1, err
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			return -1, err
		}
		return fds[0], nil
	}
}

// End waits until the program and its children are gone, and gives the calls that
// there were. It returns an error when the supervision itself failed.
func (tr *Trace) End() ([]Call, error) {
	<-tr.done
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.calls, tr.err
}

// Posted tells whether a POST left the program, and whether the program read from
// its connection since, until it ended or was killed. Only after End.
func (tr *Trace) Posted() (sent, answerRead bool) {
	<-tr.done
	return tr.posted, tr.answered
}

// notification is struct seccomp_notif.
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

// serve answers the kernel until no process is left that has the filter.
func (tr *Trace) serve() {
	defer close(tr.done)
	defer func() { _ = unix.Close(tr.listener) }()
	defer tr.settle()
	for {
		fds := []unix.PollFd{{Fd: int32(tr.listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			tr.fail(err)
			return
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			if fds[0].Revents != 0 {
				return // POLLHUP: all are gone
			}
			continue
		}
		var n notification
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(tr.listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		switch e {
		case 0:
			tr.answer(n)
		case unix.ENOENT, unix.EINTR: // its thread is gone
		default:
			tr.fail(e)
			return
		}
	}
}

func (tr *Trace) fail(err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.err = errors.Join(tr.err, err)
}

// answer decides about one call.
func (tr *Trace) answer(n notification) {
	r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	if tr.started(int(n.pid)) {
		c := tr.describe(n)
		v := Verdict{}
		if tr.tracer.Decide != nil {
			v = tr.tracer.Decide(c)
		}
		tr.mu.Lock()
		tr.calls = append(tr.calls, c)
		tr.mu.Unlock()
		switch {
		case v.kill:
			tr.settle()
			// The program first: it must not see its child die.
			for _, pid := range []int{tr.cmd.Process.Pid, c.PID} {
				tr.note(unix.Kill(pid, unix.SIGKILL))
			}
			return
		case v.stop > 0:
			tr.note(unix.Kill(c.PID, unix.SIGSTOP))
			time.Sleep(v.stop)
			tr.note(unix.Kill(c.PID, unix.SIGCONT))
		case v.errno != 0:
			r.flags, r.error = 0, -int32(v.errno)
		case tr.isPost(c):
			tr.watch(c)
		}
	}
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(tr.listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	if e != 0 && e != unix.ENOENT {
		tr.fail(e)
	}
}

func (tr *Trace) note(err error) {
	if err != nil && !errors.Is(err, unix.ESRCH) {
		tr.fail(err)
	}
}

// started tells whether the launcher has become the program.
func (tr *Trace) started(tid int) bool {
	if !tr.execd {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", tid))
		launcher, _ := filepath.EvalSymlinks(tr.tracer.Launcher)
		tr.execd = err == nil && exe != launcher
	}
	return tr.execd
}

// settle notes what became of the POST.
func (tr *Trace) settle() {
	if tr.post == nil {
		return
	}
	tr.posted, tr.answered = true, tr.post.read()
	tr.post.close()
	tr.post = nil
}
