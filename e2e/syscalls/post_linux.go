package syscalls

import (
	"strings"

	"golang.org/x/sys/unix"
)

// tcp is how the object of a call on a TCP socket begins, before it is renamed.
const tcp = "tcp "

// isPost tells whether a call sends the beginning of a POST in clear.
func (tr *Trace) isPost(c Call) bool {
	return (c.Name == "write" || c.Name == "sendto") && strings.HasPrefix(tr.object(c), tcp) &&
		string(tr.memory(c.PID, c.Args[1], 5)) == "POST "
}

// A post is the connection over which a POST was sent. It is the program's own
// socket, so that the kernel can be asked what the program has read from it.
type post struct {
	fd     int
	before uint64 // bytes that had been read when the POST was sent
}

// watch begins to watch the connection of a POST.
func (tr *Trace) watch(c Call) {
	pidfd, err := unix.PidfdOpen(c.PID, 0)
	if err != nil {
		tr.fail(err)
		return
	}
	defer func() { _ = unix.Close(pidfd) }()
	fd, err := unix.PidfdGetfd(pidfd, int(c.Args[0]), 0)
	if err != nil {
		tr.fail(err)
		return
	}
	if tr.post != nil {
		tr.post.close()
	}
	tr.post = &post{fd: fd}
	tr.post.before = tr.post.consumed()
}

// consumed is how many bytes the program has read from the connection.
func (p *post) consumed() uint64 {
	info, err := unix.GetsockoptTCPInfo(p.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	unread, err := unix.IoctlGetInt(p.fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return info.Bytes_received - min(uint64(unread), info.Bytes_received)
}

// read tells whether anything of the answer was read. The kernel counts an end of
// the stream as one byte.
func (p *post) read() bool { return p.consumed() > p.before+1 }

func (p *post) close() { _ = unix.Close(p.fd) }
