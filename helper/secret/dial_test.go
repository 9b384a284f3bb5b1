package secret

import (
	"net"
	"testing"
)

// TestDial_localhostIsThisMachine: another machine of that name is not connected to. Package
// e2e has a hosts file that names one.
func TestDial_localhostIsThisMachine(t *testing.T) {
	for address, ours := range map[string]bool{
		"127.0.0.1:80": true, "127.8.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"192.0.2.7:80": false, "[2001:db8::7]:80": false, "0.0.0.0:80": false, "[fe80::1%lo]:80": false, "[::ffff:192.0.2.7]:80": false, "": false,
	} {
		if err := loopbackAlone("tcp", address, nil); (err == nil) != ours {
			t.Errorf("%s: %v", address, err)
		}
	}
	var conf net.ListenConfig
	l, err := conf.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dial := Dial(&net.Dialer{})
	for _, host := range []string{"localhost", "127.0.0.1"} {
		conn, err := dial(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = conn.Close()
	}
}
