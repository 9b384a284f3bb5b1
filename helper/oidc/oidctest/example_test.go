package oidctest_test

import (
	"fmt"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

func Example() {
	issuer := oidctest.New(oidctest.Refresh(oidctest.Revoke))
	defer issuer.Close()

	subject := issuer.UserToken("alice")                               // what the client exchanges
	issuer.Inject(oidctest.FaultNamed("status-503"), oidctest.Nth(2))  // the second request fails
	issuer.Inject(oidctest.FaultNamed("html").On(oidctest.Revocation)) // and revocation always does

	_ = subject // … run the client …

	fmt.Println(issuer.Count("refresh_token"), issuer.Refreshes(), len(issuer.Stolen()))
	// Output: 0 0 0
}
