package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// proofTime bounds the proof of one answer, so that a person can give another.
const proofTime = 30 * time.Second

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Set up the first profile, step by step on a terminal", Args: noArgs,
		Annotations: map[string]string{ownTimeout: "15m"},
		Long: `Ask for an issuer, a client, its scopes, audience and hosts, and a store. Each answer is proven
before the next question: the issuer is discovered, the client proves itself, the store
is tried. A question whose answer fails is asked again. Enter takes the answer in
brackets. The profile and the client's secret are saved after the last question.
Ctrl-C or Ctrl-D before that leaves nothing behind. Then init offers the first exchange
or login.

Without a terminal, these commands do the same: profile add, store init --use, exchange
or login.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.guided() {
				return &hint.Error{
					Kind: errUsage, Detail: "init asks questions, and there is no terminal to ask on",
					Remedy: hint.Do(hint.Run("profile", "add", "NAME", "--issuer", "URL", "--client-id", "ID",
						"--client-auth", "METHOD", "--client-secret-file", "FILE", "--scope", "SCOPES", "--host", "HOST")),
				}
			}
			c, err := a.loadConfig()
			if err != nil {
				return err
			}
			return (&guide{app: a, config: c}).run(cmd.Context())
		},
	}
}

// guided reports whether a person can answer questions.
func (a *app) guided() bool { return a.StdinTerminal && a.Ask != nil && !a.flags.json }

// A guide asks a person for all that a profile needs. What was answered is the preset of
// a question that is asked again.
type guide struct {
	*app
	config  *config
	name    string
	profile profileConfig
	meta    *oidc.Metadata
	secret  secret.Secret
	scopes  string // as typed
	hosts   string
	store   *store.Store
	tried   string // the store that did not work
	got     bool   // the first token
}

func (g *guide) run(ctx context.Context) error {
	fmt.Fprint(g.Stderr, "Enter takes the answer in brackets. Ctrl-C ends this, and nothing is saved.\n\n")
	g.scopes = "openid offline_access"
	for _, step := range []func(context.Context) error{g.askName, g.askIssuer, g.askClient, g.askScopes, g.askAudience, g.askHosts, g.askStore} {
		if err := g.until(ctx, step); err != nil {
			return g.ended(err)
		}
	}
	if err := g.save(ctx); err != nil {
		return err
	}
	if err := g.until(ctx, g.firstToken); err != nil && !errors.Is(err, errPromptEnded) {
		return err
	}
	_, err := g.people().Write([]byte(g.commandsToUse()))
	return err
}

// commandsToUse are what a person types next. Without a token yet, the first one gets it.
func (g *guide) commandsToUse() string {
	type next struct {
		does    string
		command hint.Command
	}
	all := []next{
		{"print a fresh access token", hint.Run("get")}, {"show how a tool asks by itself", hint.Run("setup", "git")},
		{"check what works", hint.Run("doctor")},
	}
	title := "The three commands to use:"
	if !g.got {
		title = "There is no token yet. The commands to use:"
		first := next{"get the first token", hint.Run("login")}
		if g.mayExchange() {
			first.command = hint.Run("exchange", "--token-file", "FILE")
		}
		all = append([]next{first}, all...)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", title)
	for _, n := range all {
		command := hint.Do(n.command.For(g.name, g.flags.account)).Text(g.given)
		if g.Width != nil && g.Width() > 0 && g.Width() < 80 { // beside it there is no room
			fmt.Fprintf(&b, "  %s:\n    %s\n", n.does, command)
			continue
		}
		fmt.Fprintf(&b, "  %-55s %s\n", command, n.does)
	}
	return b.String()
}

// until repeats a step until its answer holds. It ends when the person ends it.
func (g *guide) until(ctx context.Context, step func(context.Context) error) error {
	for {
		err := step(ctx)
		switch {
		case err == nil, errors.Is(err, errPromptEnded), errors.Is(err, errNobody), errors.Is(err, context.Canceled), ctx.Err() != nil:
			return err
		}
		fmt.Fprintf(g.Stderr, "That does not work: %s\n", oneLine(err.Error()))
		if todo := g.hintFor(err); todo != "" {
			fmt.Fprintf(g.Stderr, "hint: %s\n", todo)
		}
		fmt.Fprintln(g.Stderr)
	}
}

// ended is the error of a guide that a person ended.
func (g *guide) ended(err error) error {
	if errors.Is(err, errPromptEnded) {
		return &hint.Error{Kind: errPromptEnded, Detail: "init was ended, and nothing was saved", Remedy: hint.Do(hint.Run("init"))}
	}
	return err
}

// proven runs the proof of an answer in its time.
func proven(ctx context.Context, proof func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	return proof(ctx)
}
