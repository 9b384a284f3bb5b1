package syscalls

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// describe is a call with its object and its number.
func (tr *Trace) describe(n notification) Call {
	c := Call{Name: nameOf(uint32(n.nr)), TID: int(n.pid), PID: tr.group(int(n.pid)), Args: n.args}
	c.Object = tr.object(c)
	if tr.tracer.Rename != nil {
		c.Object = tr.tracer.Rename(c.Object)
	}
	key := c.Name + " " + c.Object
	tr.counts[key]++
	c.N = tr.counts[key]
	if tr.post != nil {
		c.Posted, c.Answered = true, tr.post.read()
	}
	return c
}

// group is the process of a thread.
func (tr *Trace) group(tid int) int {
	if pid, known := tr.groups[tid]; known {
		return pid
	}
	pid := tid
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid)); err == nil {
		if _, rest, ok := bytes.Cut(b, []byte("\nTgid:")); ok {
			_, _ = fmt.Sscan(string(rest), &pid)
		}
	}
	tr.groups[tid] = pid
	return pid
}

// object is what a call works on.
func (tr *Trace) object(c Call) string {
	a := c.Args
	switch c.Name {
	case "openat", "unlinkat", "mkdirat", "fchmodat":
		return tr.path(c.PID, int32(a[0]), a[1])
	case "renameat", "renameat2", "linkat":
		return tr.path(c.PID, int32(a[0]), a[1]) + " to " + tr.path(c.PID, int32(a[2]), a[3])
	case "symlinkat":
		return tr.path(c.PID, int32(a[1]), a[2])
	case "connect":
		address := socketAddress(tr.memory(c.PID, a[1], int(min(a[2], 128))))
		tr.sockets[link(c.PID, a[0])] = address
		return address
	case "add_key":
		return tr.text(c.PID, a[0]) + " " + tr.text(c.PID, a[1])
	case "keyctl":
		return tr.keyctl(c)
	}
	name := link(c.PID, a[0])
	if address, known := tr.sockets[name]; known {
		return address
	}
	return numbered.ReplaceAllString(name, "$1")
}

// numbered is how /proc shows what has no path: the number differs in each run.
var numbered = regexp.MustCompile(`^(socket|pipe):\[\d+\]$`)

func link(pid int, fd uint64) string {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, int32(fd)))
	if err != nil {
		return fmt.Sprintf("descriptor %d", int32(fd))
	}
	return name
}

func (tr *Trace) path(pid int, dir int32, at uint64) string {
	p := tr.text(pid, at)
	switch {
	case filepath.IsAbs(p):
		return p
	case dir == unix.AT_FDCWD:
		wd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		return filepath.Join(wd, p)
	}
	return filepath.Join(link(pid, uint64(dir)), p)
}

// text is a string of the program's.
func (tr *Trace) text(pid int, at uint64) string {
	b := tr.memory(pid, at, 512)
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// memory is what can be read of the program's memory. It stops at the end of a page,
// as the next one may not be there.
func (tr *Trace) memory(pid int, at uint64, size int) []byte {
	var out []byte
	for at != 0 && size > 0 {
		step := min(size, 4096-int(at%4096))
		b := make([]byte, step)
		local := unix.Iovec{Base: &b[0]}
		local.SetLen(step)
		n, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: uintptr(at), Len: step}}, 0)
		if err != nil {
			break
		}
		out = append(out, b[:n]...)
		if n < step || bytes.IndexByte(b, 0) >= 0 && size == 512 {
			break
		}
		at, size = at+uint64(step), size-step
	}
	return out
}

// socketAddress is a struct sockaddr in words.
func socketAddress(b []byte) string {
	if len(b) < 2 {
		return "no address"
	}
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_UNIX:
		name := strings.TrimRight(string(b[2:]), "\x00")
		if strings.HasPrefix(name, "\x00") {
			name = "@" + name[1:]
		}
		return "unix " + name
	case unix.AF_INET:
		if len(b) >= 8 {
			return tcp + netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])).String()
		}
	case unix.AF_INET6:
		if len(b) >= 24 {
			return tcp + netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), binary.BigEndian.Uint16(b[2:])).String()
		}
	}
	return fmt.Sprintf("address of family %d", binary.NativeEndian.Uint16(b))
}

// keyctl is the operation, and the key where it is named.
func (tr *Trace) keyctl(c Call) string {
	operations := []string{
		"GET_KEYRING_ID", "JOIN_SESSION_KEYRING", "UPDATE", "REVOKE", "CHOWN", "SETPERM", "DESCRIBE", "CLEAR", "LINK", "UNLINK",
		"SEARCH", "READ", "INSTANTIATE", "NEGATE", "SET_REQKEY_KEYRING", "SET_TIMEOUT", "ASSUME_AUTHORITY", "GET_SECURITY",
		"SESSION_TO_PARENT", "REJECT", "INSTANTIATE_IOV", "INVALIDATE", "GET_PERSISTENT",
	}
	op := fmt.Sprintf("operation %d", c.Args[0])
	if c.Args[0] < uint64(len(operations)) {
		op = operations[c.Args[0]]
	}
	if op == "SEARCH" {
		return op + " " + tr.text(c.PID, c.Args[2]) + " " + tr.text(c.PID, c.Args[3])
	}
	return op
}
