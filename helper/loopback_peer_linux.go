package helper

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// anotherUser names the process at the other end of a connection on loopback if it is
// another user's: /proc/net/tcp names the owner of each socket. Root is
// none, as sshd may bring the connection, nor are the known ones. Where the file does not even show our own
// socket, as in some sandboxes, it says nothing, and nobody is accused.
func anotherUser(peer, here string, known []int) (who string) {
	peerAddr, err := netip.ParseAddrPort(peer)
	hereAddr, err2 := netip.ParseAddrPort(here)
	if err != nil || err2 != nil {
		return ""
	}
	told, uid := false, -1
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// sl local_address rem_address st tx:rx tr:tm retrnsmt uid …
			field := strings.Fields(lines.Text())
			if len(field) < 8 {
				continue
			}
			local, remote, state := socketAddr(field[1]), socketAddr(field[2]), field[3]
			told = told || local == hereAddr && state == "0A" // our own, which listens
			if local == peerAddr && remote == hereAddr && state == "01" {
				// A socket that was closed has no owner any more and is shown as root's; so
				// only one that is connected counts.
				if n, err := strconv.Atoi(field[7]); err == nil {
					uid = n
				}
			}
		}
		_ = f.Close()
	}
	switch {
	case !told || uid == 0 || uid == os.Geteuid() || slices.Contains(known, uid):
		return ""
	case uid < 0:
		return "an unknown process"
	}
	return fmt.Sprintf("user %d of this machine", uid)
}

// socketAddr reads "0100007F:1F90", and the same of an IPv6 socket that speaks IPv4:
// each four bytes are a number in the machine's byte order.
func socketAddr(s string) netip.AddrPort {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n))
}
