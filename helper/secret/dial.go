package secret

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Dial is d's DialContext for a transport that may speak plain http to localhost. That
// name is this machine's (RFC 6761 §6.3). A hosts file or a search domain can make it
// another one's, and then nothing is sent.
func Dial(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	local := *d
	local.Control = loopbackAlone
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, err := net.SplitHostPort(address); err == nil && host == "localhost" {
			return local.DialContext(ctx, network, address)
		}
		return d.DialContext(ctx, network, address)
	}
}

// loopbackAlone refuses to connect to an address of another machine.
func loopbackAlone(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err == nil && to.Addr().Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("localhost is %s here, which is not this machine", address)
}
