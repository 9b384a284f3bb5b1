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
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// Levels of a finding.
const (
	levelOK   = "ok"
	levelWarn = "warn" // it works, or may do without
	levelFail = "fail"
)

// A finding is what one check has seen.
type finding struct {
	level, name, what string
	hint              string      // as it is shown
	remedy            hint.Remedy // what hint is made of, if it is empty
	err               error       // of what failed; its kind is the exit code
}

func fine(name, format string, args ...any) finding {
	return finding{level: levelOK, name: name, what: fmt.Sprintf(format, args...)}
}

func warning(name, hint, format string, args ...any) finding {
	return finding{level: levelWarn, name: name, what: fmt.Sprintf(format, args...), hint: hint}
}

// advice is a warning whose hint has commands.
func advice(name string, remedy hint.Remedy, format string, args ...any) finding {
	f := warning(name, "", format, args...)
	f.remedy = remedy
	return f
}

// failing is of an error, which names the remedy.
func failing(name string, err error) finding {
	return finding{level: levelFail, name: name, what: oneLine(err.Error()), err: err}
}

// A doctor looks at one profile and at what all of them need.
type doctor struct {
	*app
	root       *cobra.Command
	forAdmin   bool
	config     *config
	store      *store.Store // nil when it cannot be opened
	request    helper.Request
	profiled   bool  // request has a profile
	unprofiled error // why not
	issuer     *oidc.Issuer
	meta       *oidc.Metadata // nil until discovery succeeded
	client     bool           // the issuer believed the client
	found      []finding
}

// doctorEach bounds one check, so that one that hangs leaves time for the others.
const doctorEach = 8 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	var forAdmin bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check what works, and say what to fix", Args: noArgs,
		Annotations: map[string]string{ownTimeout: "90s"},
		Long: `Check, one line each:

  - the configuration, and the account
  - variables that are set for t2-cred, and that it does not read
  - the store: it is read, and room for a renewed credential is made and given back
  - the proxy, private CAs, the issuer's discovery document and keys
  - this machine's clock against the issuer's
  - the client's authentication, by a refresh with a token that is none
  - whether there is an exchange, and which logins there are
  - whether the issuer gives the narrower tokens that the profile names, by an exchange
    of the cached access token
  - the hosts that hooks send the profile's token to
  - the names by which tools call t2-cred on PATH

No token is spent, and no dialog is shown. A keyring is not written to, except once for the
item that seals copies. doctor works without a profile, a network or an unlocked keyring,
and says what it could not check.

The report always goes to standard output. The exit code is 0 when nothing fails, also
with warnings. Otherwise it is that of the first check that failed: 3 configuration,
4 account, 5 store, 6 issuer, 7 clock, 8 client.`,
		Example: `  t2-cred doctor
  t2-cred doctor --profile gep --for-admin | mail -s "client settings" admin@example.org`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{app: a, root: cmd.Root(), forAdmin: forAdmin}
			d.examine(cmd.Context())
			if err := cmd.Context().Err(); errors.Is(err, context.Canceled) {
				return err
			}
			if err := d.conclude(); err != nil {
				return err
			}
			return d.verdict()
		},
	}
	cmd.Flags().BoolVar(&forAdmin, "for-admin", false, "print what the issuer's admin has to set, as a list to send; no secrets in it")
	return cmd
}

// examine makes all checks, each as far as those before it allow.
func (d *doctor) examine(ctx context.Context) {
	d.note(d.checkConfig())
	d.note(d.checkVariables())
	for _, check := range []func(context.Context) []finding{
		d.checkStore, d.checkProxy, d.checkCA, d.checkDiscovery, d.checkClock, d.checkKeys,
		d.checkClient, d.checkExchange, d.checkNarrow, d.checkLogin, d.checkAccount, d.checkHosts, d.checkHooks,
	} {
		found, err := d.within(ctx, check)
		if errors.Is(ctx.Err(), context.Canceled) {
			return
		}
		d.note(found)
		if err != nil {
			return
		}
	}
}

// within makes one check in its time. The error is of one that hangs in what no
// deadline reaches, such as a dead file system; its finding says so.
func (d *doctor) within(ctx context.Context, check func(context.Context) []finding) ([]finding, error) {
	within, cancel := context.WithTimeout(ctx, doctorEach)
	defer cancel()
	hangs, stop := context.WithTimeout(ctx, doctorEach+2*time.Second)
	defer stop()
	found, err := waitFor(hangs, func() ([]finding, error) { return check(within), nil })
	if err != nil {
		found = []finding{failing("doctor", fmt.Errorf("the next check hangs; what follows was not looked at: %w", err))}
	}
	return found, err
}

// note keeps findings, and shows them as they come.
func (d *doctor) note(found []finding) {
	for n := range found {
		f := &found[n]
		switch {
		case f.hint != "":
		case len(f.remedy) > 0:
			f.hint = oneLine(f.remedy.Text(d.given))
		case f.err != nil:
			f.hint = d.hintFor(f.err)
		}
		f.what, f.hint = d.hideTyped(f.what), d.hideTyped(f.hint)
	}
	d.found = append(d.found, found...)
	if d.flags.json || d.forAdmin {
		return
	}
	for _, f := range found {
		_, _ = d.Stdout.Write([]byte(f.lines(d.look())))
	}
}

// conclude prints what is not printed while checking.
func (d *doctor) conclude() error {
	if d.flags.json {
		checks := make([]map[string]any, len(d.found))
		for i, f := range d.found {
			checks[i] = map[string]any{"status": f.level, "name": f.name, "what": f.what, "hint": f.hint}
		}
		return d.printJSON(map[string]any{
			"checks": checks, "profile": d.request.Profile.Name, "account": d.request.Account, "for_admin": d.adminItems(), "version": version(),
		})
	}
	if !d.forAdmin {
		return nil
	}
	if !d.profiled {
		return d.unprofiled
	}
	return d.printForAdmin()
}

// verdict is the error of the first check that failed.
func (d *doctor) verdict() error {
	var first *finding
	failed := 0
	for i := range d.found {
		if d.found[i].level == levelFail {
			failed++
			if first == nil {
				first = &d.found[i]
			}
		}
	}
	if first == nil {
		return nil
	}
	return &hint.Error{
		Kind: first.err, Remedy: hint.Say(first.hint),
		Detail: fmt.Sprintf("doctor: %d of %d checks failed, the first of them %s: %s", failed, len(d.found), first.name, first.what),
	}
}

const reportIndent = "                 " // below what was seen

// lines is a finding for people: the level, the name, what was seen, and below it what
// to do. What was seen is wrapped between words. A hint never is, since a command that is
// cut in two cannot be copied.
func (f finding) lines(l look) string {
	level, indent := fmt.Sprintf("%-5s", f.level), reportIndent
	if l.marks {
		indent += "  "
	}
	first := strings.Repeat(" ", len(indent)-len(reportIndent)) + fmt.Sprintf("%s %-10s ", level, f.name)
	text := wrap(l.width, first, indent, f.what)
	if f.hint != "" && f.level != levelOK {
		text += indent + "hint: " + f.hint + "\n"
	}
	text = string(escape([]byte(text), textEscape))
	return l.paint(level) + strings.TrimPrefix(strings.TrimPrefix(text, "  "), level)
}

// wrap puts text behind first, and what does not fit into a line below, behind rest.
func wrap(width int, first, rest, text string) string {
	var b strings.Builder
	line := first
	empty := true
	for _, word := range strings.Fields(text) {
		switch {
		case empty:
			line += word
		case columns(line)+1+columns(word) > width:
			b.WriteString(line + "\n")
			line = rest + word
		default:
			line += " " + word
		}
		empty = false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	return b.String()
}
