// Package further starts the issuers that make test-more tries: Dex, Spring Authorization
// Server, and oidc-provider-mock, whose access tokens are opaque and which revokes
// nothing.
//
//	s := further.Spring(t, ledger)
//	s.Issuer(); s.Secret(); s.Calls("/oauth2/token")
//
// Between the clients and the server stands a reverse proxy in this process. It records
// the requests, and tells the ledger every token that the server gives. A server dies with
// its test.
package further
