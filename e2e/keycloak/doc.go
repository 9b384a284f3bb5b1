// Package keycloak starts a real Keycloak on loopback, with one realm for each
// behaviour of the server that t2-cred has to cope with.
//
//	srv, err := keycloak.Start(ctx, keycloak.Options{Ledger: l})
//	realm := srv.Realm(t, keycloak.Legacy)       // made at first use, then shared
//	mine := srv.NewRealm(t, keycloak.Rotation)   // of this test alone
//	token := mine.UserToken("alice", "openid")
//
// A [Realm] belongs to the test that asked for it: whatever goes wrong in its
// methods fails that test. Tests that change a realm (keys, users, lifespans) or
// count its events take a new one, which costs about a second.
//
// Between the clients and Keycloak stands a reverse proxy in this process, the
// front. Keycloak believes that the front's address is its own. The front tells
// the ledger every token that the server gives out, counts the requests
// ([Realm.Calls]), and lets a test get in between ([Realm.Intercept]).
//
// It listens for https too, with a certificate of a CA made for the run, and asks
// clients for one. [Server.NewSecureRealm] is a realm that is reached so, at Keycloak
// itself.
//
// The server is the one that e2e/setup.sh built: its options are fixed there, its
// database is in memory, and each run has a home directory of its own, so servers
// running at once never meet. It dies with the process that started it.
package keycloak
