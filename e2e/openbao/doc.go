// Package openbao runs a real OpenBao for the tests of the shared store: three servers
// with TLS and raft, from what e2e/setup.sh installs, with a data directory of their own.
// A server can be killed, stopped, restarted and cut off. [Cluster.API] is the engine's
// API with the root token, which no program under test gets.
package openbao
