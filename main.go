// Command t2-cred turns a user's access token into the application's own
// offline token once, keeps it in the OS keyring, and prints a fresh access
// token whenever a tool asks.
package main

import (
	"context"
	"os"

	"github.com/terradue/t2-cred/helper/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), cli.System()))
}
