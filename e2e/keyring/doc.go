// Package keyring starts a gnome-keyring on a D-Bus of its own, and breaks it in
// the ways that real ones break.
//
//	ring := keyring.Start(t)
//	home.Set(ring.Bus())                  // the bus alone, for a home of another kind
//	cmd.Env = append(cmd.Env, ring.Env()...) // the bus and a whole home
//	ring.Lock(); ring.Unlock(); ring.Pause(); ring.Resume(); ring.Kill(); ring.StopBus()
//
// The bus knows no services to activate: with a desktop's configuration it would
// start a second, locked daemon after a crash, and tests would fail far from the
// cause. Bus and daemon die with the process that started them.
//
// Each kind of brokenness that is there from the start has a constructor:
// [NoProvider], [NoDefaultCollection], [DeadSocket].
package keyring
