// Command keycloak starts a Keycloak with one realm per behaviour, for hands-on
// use, and prints the lines to type. It ends with Ctrl-C.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/tb"
)

func main() {
	port := flag.Int("port", 8180, "port on loopback; 0 is any free one")
	flag.Parse()
	t := &tb.Main{Name: "make keycloak", Err: os.Stderr}
	defer t.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	parts.Need(t, parts.Keycloak)
	began := time.Now()
	t.Logf("starting, which takes a while")
	srv, err := keycloak.Start(ctx, keycloak.Options{Port: *port})
	if err != nil {
		if ctx.Err() != nil {
			return // Ctrl-C, before it was ready
		}
		t.Fatalf("%v", err)
	}
	t.Cleanup(srv.Stop)

	kinds := []keycloak.Kind{keycloak.Legacy, keycloak.LegacyOptional, keycloak.Standard, keycloak.Rotation}
	for _, k := range kinds {
		srv.Realm(t, k)
	}
	t.Logf("ready after %s; Ctrl-C ends it", time.Since(began).Round(time.Second))
	fmt.Println()
	for _, k := range kinds {
		fmt.Printf("realm %-16s %s\n", k, k.About())
	}
	fmt.Print(lines(srv.Realm(t, keycloak.Legacy)))
	select {
	case <-ctx.Done():
	case <-srv.Done():
		t.Fatalf("keycloak died:\n%s", srv.LogTail())
	}
}

// lines are the main job, ready to be typed into another terminal.
func lines(r *keycloak.Realm) string {
	return fmt.Sprintf(`
The main job, in realm %[1]s, from the top of the checkout after `+"`make build`"+`
(without a desktop's keyring, first: e2e/with-keyring.sh bash):

  # the profile; the client secret goes to the keyring
  printf %%s %[2]s | bin/t2-cred profile add %[1]s --issuer %[3]s \
    --client-id %[4]s --audience %[4]s --scope "%[5]s" --client-secret-file -

  # alice logs in at the portal, and her access token becomes our offline token
  curl -s %[6]s \
    -d grant_type=password -d client_id=%[7]s -d scope=openid \
    -d username=alice -d password=%[8]s |
    sed 's/.*"access_token":"\([^"]*\)".*/\1/' |
    bin/t2-cred exchange --profile %[1]s --token-file -

  # from now on
  bin/t2-cred get --profile %[1]s
  bin/t2-cred claims --profile %[1]s
  bin/t2-cred status
`, r.Name(), r.ClientSecret(), r.Issuer(), keycloak.ClientID, keycloak.Scopes, r.TokenURL(), keycloak.PortalID, r.Password("alice"))
}
