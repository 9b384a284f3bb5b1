package keyring

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/store/backend"
)

// connect returns this process's connection to the session bus.
func (b *bus) connect(ctx op) (*dbus.Conn, error) {
	if b.conn != nil && b.conn.Connected() {
		return b.conn, nil
	}
	address, err := b.address()
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, address)
	if err != nil {
		return nil, noBus(address, err)
	}
	b.conn, b.dialled = conn, address
	return conn, nil
}

// busEnded reports whether the bus has ended the connection, as one does that refuses us.
func busEnded(err error) bool {
	_, broken := errors.AsType[*net.OpError](err)
	return broken || errors.Is(err, errRefuses) || errors.Is(err, io.EOF) || errors.Is(err, dbus.ErrClosed)
}

// errRefuses is of a bus that does not take us for its user.
var errRefuses = errors.New("the bus refuses us")

func noBus(address string, err error) error {
	return backend.Errorf(backend.ErrUnavailable, err, orFile("log in again, or unset DBUS_SESSION_BUS_ADDRESS"), "cannot connect to the session bus at %s", address)
}

// errNotASocket is of a bus whose owner nobody can tell.
var errNotASocket = errors.New("only a Unix socket tells whose the bus is")

// dial connects to the first of the addresses that answers. It takes Unix sockets
// alone: the peer must be ours. It dials them itself, as godbus' own reader panics when
// the socket fails in the middle of a message (godbus/dbus#437).
func dial(ctx op, addresses string) (*dbus.Conn, error) {
	err := errNotASocket
	for address := range strings.SplitSeq(addresses, ";") {
		kind, keys, _ := strings.Cut(address, ":")
		if kind != "unix" {
			continue
		}
		var socket *net.UnixConn
		if socket, err = dialUnix(ctx, keys); err != nil {
			continue
		}
		var conn *dbus.Conn
		if conn, err = greet(socket); err == nil {
			return conn, nil
		}
		_ = socket.Close()
	}
	return nil, err
}

// greet authenticates and says hello, and waits for no answer: each wait costs a refresh its
// time, and all answers come before that to the first question. The bus knows us by the
// socket. A bus that refuses ends the connection.
func greet(socket *net.UnixConn) (*dbus.Conn, error) {
	if _, err := socket.Write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")); err != nil {
		return nil, err
	}
	conn, err := dbus.NewConn(&stream{UnixConn: socket, buffered: bufio.NewReader(socket), script: strings.NewReader("REJECTED EXTERNAL\r\nOK bus\r\n")})
	if err != nil {
		return nil, err
	}
	if err := conn.Auth(nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	conn.BusObject().Go("org.freedesktop.DBus.Hello", 0, make(chan *dbus.Call, 1))
	return conn, nil
}

// dialUnix connects to a Unix socket, by its path or its abstract name, whose other
// end belongs to us or to root.
func dialUnix(ctx op, keys string) (*net.UnixConn, error) {
	name := ""
	for pair := range strings.SplitSeq(keys, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := dbus.UnescapeBusAddressValue(value)
		if err != nil {
			return nil, err
		}
		switch key {
		case "path":
			name = value
		case "abstract":
			name = "@" + value
		}
	}
	if name == "" {
		return nil, errors.New("the address names no socket")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", name)
	if err != nil {
		return nil, err
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("not a Unix socket"), conn.Close())
	}
	if err := checkPeer(socket); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}

// checkPeer refuses a bus of another user: it would see every secret.
func checkPeer(socket *net.UnixConn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	if ctlErr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); ctlErr != nil {
		return ctlErr
	}
	if err == nil && int(peer.Uid) != os.Geteuid() && peer.Uid != 0 {
		err = fmt.Errorf("it belongs to user %d", peer.Uid)
	}
	return err
}

// A stream is a socket that is read in large pieces, and on which the authentication was
// sent already: godbus has its own, line by line, answered by a script.
type stream struct {
	*net.UnixConn
	buffered *bufio.Reader
	script   *strings.Reader
	// begun says that godbus is done with its authentication, and accepted that the bus is
	// done with ours.
	begun, accepted bool
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	if s.begun {
		return s.UnixConn.Write(p)
	}
	s.begun = string(p) == "BEGIN\r\n"
	return len(p), nil
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if s.script.Len() > 0 {
		return s.script.Read(p)
	}
	for !s.accepted {
		line, err := s.buffered.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, err
		}
		if s.accepted = bytes.HasPrefix(line, []byte("OK ")); !s.accepted && string(line) != "DATA\r\n" {
			return 0, errRefuses
		}
	}
	return s.buffered.Read(p)
}
