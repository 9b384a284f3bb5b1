// Package e2e tests t2-cred, the real binary, against the real things: a
// Keycloak, a gnome-keyring on a D-Bus of its own, and the tools that ask for
// credentials. It is a module of its own, so that what it needs never reaches
// the graph of t2-cred itself. Linux only.
//
// The parts, each a small package:
//
//   - [github.com/terradue/t2-cred/e2e/parts] finds what setup.sh installed, and
//     decides between skipping and failing when something is missing;
//   - [github.com/terradue/t2-cred/e2e/keycloak] starts a Keycloak and makes one
//     realm per behaviour of the server;
//   - [github.com/terradue/t2-cred/e2e/oidcprovider] starts node's oidc-provider, an
//     issuer that is not Keycloak;
//   - [github.com/terradue/t2-cred/e2e/keyring] starts a private bus with a
//     gnome-keyring and breaks it on request;
//   - [github.com/terradue/t2-cred/e2e/run] runs the binary in a home of its own;
//   - [github.com/terradue/t2-cred/e2e/ledger] remembers every secret that was
//     made and every byte that was printed, and finds one in the other.
//
// `make test` at the top of the repository sets T2_CRED_E2E=1, and then a missing
// part is a failure. Without it a test whose part is missing skips, and says so.
// `make test-more` sets T2_CRED_MORE=1 too and runs the tests TestMore_…, which take too
// long for `make test`; [github.com/terradue/t2-cred/e2e/parts.More] lets them run. With
// `make test-more T2_CRED_MORE=long` they take an hour.
package e2e
