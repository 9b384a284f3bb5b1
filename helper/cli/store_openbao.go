package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

// openbaoExample is what a configuration needs for the store openbao.
const openbaoExample = `[stores.openbao]
address = ["https://bao-1.example:8200", "https://bao-2.example:8200", "https://bao-3.example:8200"]
mount = "kv"
prefix = "t2-cred/gep"
auth = "kubernetes"
role = "t2-cred"
`

// initOpenBao prints what the engine's administrator has to do. Nothing is written.
func (a *app) initOpenBao(ctx context.Context, c *config, check bool) error {
	if c.OpenBao == nil {
		return &handError{
			text: []byte(openbaoExample),
			what: &hint.Error{
				Kind: errConfig, Detail: fmt.Sprintf("configuration %s: the table stores.openbao is missing", c.path),
				Remedy: hint.Do(hint.Words("add a table such as the one above, then: "), hint.Run("store", "init", "--store", "openbao")),
			},
		}
	}
	if check {
		return a.checkOpenBaoNow(ctx, c)
	}
	commands := c.OpenBao.AdminCommands()
	lines := make([]string, len(commands))
	for i, argv := range commands {
		lines[i] = hint.Do(hint.Shell(argv...)).String()
	}
	write := "bao policy write " + hint.Quote(c.OpenBao.PolicyName()) + " -"
	if a.flags.json {
		return a.printJSON(map[string]any{"policy_name": c.OpenBao.PolicyName(), "policy": c.OpenBao.Policy(), "commands": lines})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# For the engine's administrator. Nothing was written.\n# The policy. Every machine that has it reads every grant below %s/%s.\n%s <<'EOF'\n%sEOF\n",
		c.OpenBao.Mount, c.OpenBao.Prefix, write, c.OpenBao.Policy())
	fmt.Fprintf(&b, "# The KV engine, unless it is there, and the machines' way in.\n%s\n", strings.Join(lines, "\n"))
	if _, err := a.people().Write([]byte(b.String())); err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "hint: %s\n", hint.Do(hint.Run("store", "init", "--store", "openbao", "--check"), hint.Words(" tries it from this machine")).Text(a.given))
	return nil
}

// checkOpenBaoNow tries what was set up. The error is the first finding's.
func (a *app) checkOpenBaoNow(ctx context.Context, c *config) error {
	s, err := a.openStoreNamed(c, "openbao")
	if err != nil {
		return err
	}
	findings := s.Probe(ctx)
	var first error
	for _, f := range findings {
		if f.Err != nil && first == nil {
			first = f.Err
		}
	}
	if first != nil {
		return fmt.Errorf("store init: %w", first)
	}
	if a.flags.json {
		said := make([]map[string]any, len(findings))
		for i, f := range findings {
			said[i] = map[string]any{"what": f.What, "warning": f.Warn}
		}
		return a.printJSON(map[string]any{"checks": said})
	}
	for _, f := range findings {
		word := "ok"
		if f.Warn {
			word = "warn"
		}
		if _, err := a.people().Write([]byte(wrap(a.look().width, fmt.Sprintf("%-5s ", word), "      ", clean(f.What)))); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) storeRelease() *cobra.Command {
	return &cobra.Command{
		Use: "release", Short: "Give up the claim that a dead machine left on an account of a shared store", Args: noArgs,
		Long: `Clear the claim and the doubt of the account in a shared store, as a person who knows that
the machine is gone. If that machine had sent the refresh token, the next refresh sends it a
second time. An issuer that rotates refresh tokens then ends the grant. Without this command
another machine goes on with the account once the claim has run out and the issuer has
called the refresh token active.`,
		Example: "  t2-cred store release --profile gep --account job-42",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, p, err := a.loadProfile()
			if err != nil {
				return err
			}
			s, err := a.openStore(c)
			if err != nil {
				return err
			}
			k := store.Key{Profile: p.Name, Account: a.flags.account}
			was, err := s.Release(cmd.Context(), k)
			switch {
			case errors.Is(err, errors.ErrUnsupported):
				return usageError(err)
			case errors.Is(err, store.ErrNotFound):
				return &hint.Error{Kind: helper.ErrLoginRequired, Detail: fmt.Sprintf("nothing is stored for %s/%s", k.Profile, clean(k.Account)), Remedy: hint.Do(hint.Run("list"))}
			case err != nil:
				return err
			}
			a.sayReleased(was)
			return nil
		},
	}
}

// sayReleased says what was there.
func (a *app) sayReleased(was store.Account) {
	who := named(was.Note)
	if was.Claim == nil && was.Doubt == nil {
		fmt.Fprintf(a.Stderr, "%s: there was neither a claim nor a doubt\n", who)
	}
	if h := was.Claim; h != nil {
		fmt.Fprintf(a.Stderr, "%s: released the claim of %s\n", who, holderWords(h))
	}
	if was.Doubt != nil {
		fmt.Fprintf(a.Stderr, "%s: cleared the doubt: %s\n", who, doubtWords(was.Doubt))
	}
}

// holderWords name the machine that has claimed an account.
func holderWords(h *store.Holder) string {
	name := "machine " + clean(h.Node)
	if h.Here {
		name += " (this one)"
	}
	return fmt.Sprintf("%s since %s", name, h.Since.UTC().Format(time.RFC3339))
}
