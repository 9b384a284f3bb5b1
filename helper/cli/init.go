package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
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
	var b strings.Builder
	b.WriteString("\nThe three commands to use:\n")
	for _, next := range []struct {
		does    string
		command hint.Command
	}{
		{"print a fresh access token", hint.Run("get")}, {"show how a tool asks by itself", hint.Run("setup", "git")},
		{"check what works", hint.Run("doctor")},
	} {
		fmt.Fprintf(&b, "  %-45s %s\n", hint.Do(next.command.For(g.name, g.flags.account)).Text(g.given), next.does)
	}
	_, err := g.people().Write([]byte(b.String()))
	return err
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

func (g *guide) askName(context.Context) error {
	preset := "main"
	for n := 2; g.config.Profiles[preset].Issuer != ""; n++ {
		preset = fmt.Sprintf("main%d", n)
	}
	name, err := g.askLine("A name for this profile", preset)
	if err != nil {
		return err
	}
	if err := checkProfile(name, profileConfig{Issuer: "x", ClientID: "x"}); err != nil { // the name alone
		return usageError(err)
	}
	if _, ok := g.config.Profiles[name]; ok {
		return g.config.exists(name, profileConfig{})
	}
	g.name = name
	return g.config.mayWrite(name, profileConfig{})
}

func (g *guide) askIssuer(ctx context.Context) error {
	typed, err := g.askLine("The issuer's URL", or(g.profile.Issuer, "https://iam.terradue.com/auth/realms/master"))
	if err != nil {
		return err
	}
	if looksSecret(typed) {
		return usageError(errors.New("that looks like a secret, and not like the issuer's URL"))
	}
	g.profile.Issuer = typed
	return proven(ctx, func(ctx context.Context) error {
		p := g.profile
		p.ClientAuth = oidc.AuthNone // how the client proves itself is asked next
		issuer, notes, err := oidc.Find(ctx, typed, g.issuerOptions(p.named(g.name)))
		for _, n := range notes {
			fmt.Fprintf(g.Stderr, "note: %s\n", clean(n))
		}
		if err != nil {
			return err
		}
		g.meta, err = issuer.Metadata(ctx)
		if err != nil {
			return err
		}
		g.profile.Issuer = issuer.ID()
		fmt.Fprintf(g.Stderr, "ok: discovered %s\n\n", clean(issuer.ID()))
		return nil
	})
}

// bySecret stands for basic or post, as the issuer takes.
const bySecret = "secret"

// askClient asks for the client, how it proves itself and by what, and has it do so.
func (g *guide) askClient(ctx context.Context) error {
	id, err := g.askLine("The client's id", g.profile.ClientID)
	if err != nil {
		return err
	}
	methods := append([]string{bySecret}, clientAuths()...)
	methods = slices.DeleteFunc(methods, func(m string) bool { return m == oidc.AuthJWTFile }) // profile add sets that up
	auth, err := g.askLine("How the client proves itself: "+strings.Join(methods, ", "), or(g.profile.ClientAuth, bySecret))
	if err != nil {
		return err
	}
	p := profileConfig{Issuer: g.profile.Issuer, ClientID: id, ClientAuth: auth}
	if !slices.Contains(methods, auth) {
		return usageError(fmt.Errorf("%s is not one of these%s", shownWord(auth), didYouMean(auth, methods)))
	}
	if auth == bySecret {
		p.ClientAuth = ""
	}
	if p, err = g.askKeyFiles(p); err != nil {
		return err
	}
	g.profile.ClientID, g.profile.ClientAuth, g.profile.KeyFile, g.profile.CertFile = p.ClientID, p.ClientAuth, p.KeyFile, p.CertFile
	if err := errors.Join(checkProfile(g.name, p), offered(p, g.meta)); err != nil {
		return usageError(err)
	}
	g.secret = ""
	if p.ClientAuth != oidc.AuthNone && !usesKey(p.ClientAuth) {
		if g.secret, err = g.ask("The client's secret (not shown): "); err != nil {
			return err
		}
		if err := checkSecret(p.ClientAuth, g.secret); err != nil {
			return err
		}
	}
	return proven(ctx, func(ctx context.Context) error {
		s, err := g.openStore(g.config)
		if err != nil {
			return err
		}
		if err := g.prove(ctx, s, p.named(g.name), g.secret, hint.Say("the id or the secret is wrong; give them again")); err != nil {
			return err
		}
		fmt.Fprintf(g.Stderr, "ok: the issuer takes client %s\n\n", clean(id))
		return nil
	})
}

// askKeyFiles asks for the files of a client that has a key in place of a secret.
func (g *guide) askKeyFiles(p profileConfig) (profileConfig, error) {
	var err error
	if usesKey(p.ClientAuth) {
		if p.KeyFile, err = g.askLine("The file with the client's private key", g.profile.KeyFile); err != nil {
			return p, err
		}
		if p.KeyFile == "" {
			return p, usageError(errors.New("the client needs the file with its private key"))
		}
	}
	if p.ClientAuth == oidc.AuthTLS {
		if p.CertFile, err = g.askLine("The file with the client's certificate", g.profile.CertFile); err != nil {
			return p, err
		}
	}
	return p, p.absolute()
}

func (g *guide) askScopes(context.Context) error {
	typed, err := g.askLine("Scopes to ask for, separated by spaces", g.scopes)
	if err != nil {
		return err
	}
	p := g.profile
	p.Scopes = strings.Fields(typed)
	if err := checkProfile(g.name, p); err != nil {
		return usageError(err)
	}
	if !slices.Contains(p.Scopes, "offline_access") {
		fmt.Fprintln(g.Stderr, "note: without offline_access most issuers give a token that ends with the user's session")
	}
	g.scopes, g.profile = typed, p
	return nil
}

// noHosts is the answer of a person who wants no tool to get tokens.
const noHosts = "none"

func (g *guide) askHosts(context.Context) error {
	typed, err := g.askLine("Hosts that tools may send the token to, separated by spaces", or(g.hosts, noHosts))
	if err != nil {
		return err
	}
	g.hosts = typed
	var hosts []string
	for _, entry := range strings.Fields(typed) {
		if entry == noHosts {
			continue
		}
		if _, err := helper.CheckHost(entry); err != nil {
			return usageError(fmt.Errorf("host %s: %w", shownWord(entry), err))
		}
		hosts = append(hosts, entry)
	}
	g.profile.Hosts = hosts
	return nil
}

// askStore finds a store that works. Only where none was chosen, and nothing can be in
// the usual one, is the person asked for one.
func (g *guide) askStore(ctx context.Context) error {
	chosen := or(g.flags.store, g.config.Store)
	if chosen == "" && len(g.config.Profiles) > 0 {
		chosen = "keyring"
	}
	name, err := chosen, error(nil)
	switch {
	case chosen != "" && g.tried != "":
		_, err = g.askLine("Mend the "+chosen+" store, then press Enter to try it again", "")
	case chosen == "" && g.tried == "keyring":
		name, err = g.askLine("Where to keep secrets: "+strings.Join(store.Backends(), ", "), "file")
	case chosen == "":
		name, err = g.askLine("Where to keep secrets: "+strings.Join(store.Backends(), ", "), "keyring")
	}
	if err != nil {
		return err
	}
	if !slices.Contains(store.Backends(), name) {
		return usageError(fmt.Errorf("%s is not one of these%s", shownWord(name), didYouMean(name, store.Backends())))
	}
	g.tried = name
	return proven(ctx, func(ctx context.Context) error { return g.tryStore(ctx, name) })
}

// tryStore shows that a store can keep what is got next. The file store gets its
// identity.
func (g *guide) tryStore(ctx context.Context, name string) error {
	if name == "file" {
		if err := g.makeIdentity(ctx, g.config); err != nil {
			return err
		}
	}
	s, err := g.openStoreNamed(g.config, name)
	if err != nil {
		return err
	}
	if err := s.CheckWritable(ctx); err != nil {
		return err
	}
	g.store = s
	fmt.Fprintf(g.Stderr, "ok: the %s store keeps secrets in %s\n\n", s.Name(), s.Where())
	return nil
}

// save keeps all answers at once.
func (g *guide) save(ctx context.Context) error {
	g.config.Profiles[g.name] = g.profile // for the label of the secret's item
	err := g.keepProfile(ctx, g.store, g.name, g.secret, func(c *config) error {
		before := c.set.Store
		if g.flags.store == "" && or(c.Store, "keyring") != g.store.Name() {
			if err := c.useStore(g.store.Name()); err != nil {
				return err
			}
		}
		if _, ok := c.Profiles[g.name]; ok {
			return c.exists(g.name, g.profile)
		}
		err := c.saveProfile(g.name, g.profile)
		if err != nil && c.set.Store != before {
			c.set.Store = before
			err = errors.Join(err, c.saveSettings())
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(g.Stderr, "saved profile %s: client %s at %s\n\n", g.name, clean(g.profile.ClientID), clean(g.profile.Issuer))
	return nil
}

// firstToken offers an exchange or a login, as the issuer has them.
func (g *guide) firstToken(ctx context.Context) error {
	const byExchange, byLogin, later = "exchange", "login", "later"
	ways := map[string]bool{
		byExchange: g.meta.Exchanges() && g.profile.ClientAuth != oidc.AuthNone,
		byLogin:    g.meta.AuthorizationEndpoint != "" || g.meta.DeviceEndpoint != "", later: true,
	}
	maps.DeleteFunc(ways, func(_ string, there bool) bool { return !there })
	names := slices.Sorted(maps.Keys(ways)) // exchange, later, login
	preset := later
	if ways[byLogin] {
		preset = byLogin
	}
	answer, err := g.askLine("Get the first token now: "+strings.Join(names, ", "), preset)
	if err != nil || answer == later {
		return err
	}
	r := helper.Request{Profile: g.profile.named(g.name), Account: g.flags.account, MayReplace: g.mayReplace()}
	h := g.newHelper(g.store)
	switch {
	case !ways[answer]:
		return usageError(fmt.Errorf("%s is not one of these%s", shownWord(answer), didYouMean(answer, names)))
	case answer == byLogin:
		return g.logIn(ctx, h, helper.LoginRequest{Request: r}, g.meta.DeviceEndpoint != "" && (g.headless() || g.meta.AuthorizationEndpoint == ""))
	}
	token, err := g.ask("The user's access token (not shown): ")
	if err != nil {
		return err
	}
	return proven(ctx, func(ctx context.Context) error {
		rec, err := h.Exchange(ctx, helper.ExchangeRequest{Request: r, SubjectToken: token})
		if err != nil {
			return err
		}
		return g.reportKept(r, rec, g.store)
	})
}
