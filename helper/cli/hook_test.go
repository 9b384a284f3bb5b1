package cli

import (
	"context"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hook"
)

// A tool must not wait for an issuer as long as a person may, unless somebody says so.
func TestHookCommand_timeout(t *testing.T) {
	for _, c := range []struct {
		flag, variable string
		want           time.Duration
	}{{"", "", 10 * time.Second}, {"45s", "", 45 * time.Second}, {"", "50s", 50 * time.Second}} {
		for _, p := range hook.Protocols {
			a := &app{Env: Env{Getenv: func(name string) string { return map[string]string{"T2_CRED_TIMEOUT": c.variable}[name] }}}
			root := a.root()
			cmd := a.hookCommand(p)
			root.AddCommand(cmd)
			cmd.InitDefaultHelpFlag() // merges the flags of root, as executing does
			cmd.SetContext(context.Background())
			if c.flag != "" {
				if err := root.PersistentFlags().Set("timeout", c.flag); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.start(cmd); err != nil || a.flags.timeout != c.want {
				t.Errorf("%s, --timeout %q, T2_CRED_TIMEOUT %q: %s, %v", p.Name, c.flag, c.variable, a.flags.timeout, err)
			}
		}
	}
}
