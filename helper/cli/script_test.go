package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/terradue/t2-cred/helper/hook"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/store"
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

func TestMain(m *testing.M) {
	commands := map[string]func(){"t2-cred": t2cred}
	for _, p := range hook.Protocols {
		if p.Alias != "" {
			commands[p.Alias] = t2cred
		}
	}
	for _, name := range []string{"GIT-CREDENTIAL-T2.EXE", "docker-credential-t2.EXE", "helm-credential-t2",
		"git-credential-gep", "docker-credential-gep", "bazel-credential-gep", "terraform-credentials-gep", "pnpm-credential-gep"} {
		commands[name] = t2cred // for hook_dispatch.txtar
	}
	testscript.Main(m, commands)
}

// t2cred is the real command in a process of its own. Its clock can be set forward, it
// waits less for answers, and all it writes is kept for the search for secrets.
func t2cred() {
	env := System()
	env.AnswerTime = 5 * time.Second
	clock, ledger := os.Getenv("TEST_CLOCK"), os.Getenv("TEST_LEDGER")
	env.Now = func() time.Time { return time.Now().Add(readOffset(clock)) }
	run, err := os.MkdirTemp(ledger, "run-*")
	if err != nil {
		panic(err)
	}
	for name, text := range map[string]string{"argv": strings.Join(os.Args, "\n"), "environ": strings.Join(os.Environ(), "\n")} {
		if err := os.WriteFile(filepath.Join(run, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	for name, w := range map[string]*io.Writer{"stdout": &env.Stdout, "stderr": &env.Stderr} {
		f, err := os.Create(filepath.Join(run, name))
		if err != nil {
			panic(err)
		}
		*w = io.MultiWriter(*w, f)
	}
	os.Exit(Main(context.Background(), env))
}

func readOffset(file string) time.Duration {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(b)))
	if err != nil {
		panic(err)
	}
	return d
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"issuer": cmdIssuer, "set": cmdSet, "usertoken": cmdUserToken, "advance": cmdAdvance,
			"count": cmdCount, "fault": cmdFault, "admin": cmdAdmin, "code": cmdCode, "together": cmdTogether, "sts": cmdSTS,
			"clientkey": cmdClientKey, "clientcert": cmdClientCert, "named": cmdNamed, "registry": cmdRegistry, "claims": cmdClaims, "actor": cmdActor,
			"engine": cmdEngine, "machine": cmdMachine, "writes": cmdWrites,
		},
	})
}

// world is what belongs to one script.
type world struct {
	dir    string
	issuer *oidctest.Issuer
	all    []*oidctest.Issuer
	sts    *fakeSTS
	engine *baotest.Engine
	stop   func(func()) // runs something when the script is over
}

type worldKey struct{}

func setupScript(env *testscript.Env) error {
	w := &world{dir: env.WorkDir, stop: env.Defer}
	env.Values[worldKey{}] = w
	data := filepath.Join(env.WorkDir, "identity")
	identity, err := store.InitFile(context.Background(), store.Options{
		Backend: "file", Config: filepath.Join(data, "config.toml"), StateDir: data, DataDir: data, RuntimeDir: data,
		Getenv: func(string) string { return "" }, Now: time.Now,
	})
	if err != nil {
		return err
	}
	ledger := filepath.Join(env.WorkDir, "ledger")
	if err := os.Mkdir(ledger, 0o700); err != nil {
		return err
	}
	home := filepath.Join(env.WorkDir, "home")
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"), "XDG_STATE_HOME": filepath.Join(home, "state"),
		"XDG_DATA_HOME": filepath.Join(home, "data"), "XDG_CACHE_HOME": filepath.Join(home, "cache"),
		"XDG_RUNTIME_DIR": filepath.Join(home, "run"), "DBUS_SESSION_BUS_ADDRESS": "",
		"T2_CRED_STORE": "file", "T2_CRED_IDENTITY_FILE": identity,
		"GORACE":     "atexit_sleep_ms=0", // the race detector lets each process sleep a second at its end
		"TEST_CLOCK": filepath.Join(env.WorkDir, "clock"), "TEST_LEDGER": ledger,
	} {
		env.Setenv(name, value)
	}
	t := env.T()
	env.Defer(func() {
		for _, i := range w.all {
			if leaks := searchForSecrets(w.dir, i.Secrets()); len(leaks) > 0 {
				t.Log("secrets are where they must not be:\n" + strings.Join(leaks, "\n"))
				t.Fatal("leak")
			}
			i.Close()
		}
	})
	return nil
}

// searchForSecrets looks for every secret that the issuer made in all that the
// commands wrote and in every file they left. The places where one may be: the
// inputs that the script itself made (*.jwt, *.secret), standard output of get,
// and files that stdout was copied to by the script (stdout, stderr are ours).
func searchForSecrets(dir string, secrets []string) (leaks []string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".jwt") || strings.HasSuffix(path, ".secret") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		argv, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "argv"))
		isGet := filepath.Base(path) == "stdout" && printsToken(strings.Split(string(argv), "\n"))
		for _, s := range secrets {
			if len(s) >= 8 && strings.Contains(string(b), s) && !isGet {
				leaks = append(leaks, fmt.Sprintf("%s (argv %q) holds %.12s…", path, argv, s))
			}
		}
		return nil
	})
	return leaks
}

// printsToken reports whether an access token is what that command is for.
func printsToken(argv []string) bool {
	return slices.Contains(argv, "get") || slices.ContainsFunc(hook.Protocols, func(p *hook.Protocol) bool {
		return slices.Contains(argv, p.Name) || p.Flag != "" && slices.Contains(argv, p.Flag) || p.Alias != "" && filepath.Base(argv[0]) == p.Alias
	})
}

func here(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// options are the words by which scripts set up an issuer.
func options(ts *testscript.TestScript, words []string) (opts []oidctest.Option) {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		duration := func() time.Duration {
			d, err := time.ParseDuration(value)
			ts.Check(err)
			return d
		}
		simple := map[string]oidctest.Option{
			"online": oidctest.Exchange(oidctest.LegacyOnline), "standard": oidctest.Exchange(oidctest.Standard),
			"standard-no-refresh": oidctest.Exchange(oidctest.StandardNoRefresh), "switch-off": oidctest.Exchange(oidctest.SwitchOff),
			"forbidden": oidctest.Exchange(oidctest.LegacyForbidden), "feature-off": oidctest.Exchange(oidctest.FeatureOff),
			"offline": oidctest.Exchange(oidctest.LegacyOffline),
			"rotate":  oidctest.Refresh(oidctest.Revoke), "omit": oidctest.Refresh(oidctest.Omit), "same": oidctest.Refresh(oidctest.Same),
			"opaque": oidctest.AccessTokens(oidctest.Opaque), "at+jwt": oidctest.AccessTokens(oidctest.RFC9068),
			"lightweight": oidctest.AccessTokens(oidctest.Lightweight), "opaque-refresh": oidctest.OpaqueRefreshTokens(),
			"rfc8414": oidctest.OnlyRFC8414(), "tls": oidctest.TLS(), "post-only": oidctest.RequireAuth("client_secret_post"),
			"private_key_jwt": oidctest.RequireAuth("private_key_jwt"), "client_secret_jwt": oidctest.RequireAuth("client_secret_jwt"),
			"tls_client_auth": oidctest.RequireAuth("tls_client_auth"),
			"silent":          oidctest.Introspects(oidctest.IntrospectionNone),
			"unlisted":        oidctest.UnlistedExchange(), "node": oidctest.OIDCProvider(), "neutral": oidctest.Neutral(),
		}
		switch o, ok := simple[name]; {
		case ok:
			opts = append(opts, o)
		case name == "life":
			opts = append(opts, oidctest.Lifespan(duration()))
		case name == "auth-algs":
			opts = append(opts, oidctest.AuthAlgorithms(strings.Split(value, ",")...))
		case name == "list-auth":
			opts = append(opts, oidctest.ListAuth(strings.Split(value, ",")...))
		case name == "alg":
			opts = append(opts, oidctest.Algorithm(value))
		default:
			ts.Fatalf("unknown issuer option %q", word)
		}
	}
	return opts
}

// cmdIssuer starts an issuer; $ISSUER is its URL, client.secret its client's.
func cmdIssuer(ts *testscript.TestScript, _ bool, args []string) {
	w := here(ts)
	w.issuer = oidctest.New(options(ts, args)...)
	w.all = append(w.all, w.issuer)
	ts.Setenv("ISSUER", w.issuer.URL())
	if ca := w.issuer.CAFile(); ca != "" {
		ts.Setenv("CA_FILE", ca)
	}
	ts.Check(os.WriteFile(ts.MkAbs("client.secret"), []byte(w.issuer.ClientSecret()+"\n"), 0o600))
}

// cmdSet changes the running issuer.
func cmdSet(ts *testscript.TestScript, _ bool, args []string) {
	here(ts).issuer.Set(options(ts, args)...)
}

// cmdUserToken writes a user's access token: usertoken FILE USER [WORD…].
func cmdUserToken(ts *testscript.TestScript, _ bool, args []string) {
	var opts []oidctest.SubjectOption
	for _, word := range args[2:] {
		name, value, _ := strings.Cut(word, "=")
		simple := map[string]oidctest.SubjectOption{
			"expired": oidctest.Expired(), "forged": oidctest.Forged(), "id": oidctest.AsIDToken(),
			"refresh": oidctest.AsRefreshToken(), "offline": oidctest.AsOfflineToken(), "no-audience": oidctest.Audience(),
			"ours": oidctest.IssuedTo(oidctest.ClientID),
		}
		switch o, ok := simple[name]; {
		case ok:
			opts = append(opts, o)
		case name == "issuer":
			opts = append(opts, oidctest.FromIssuer(value))
		case name == "scope":
			opts = append(opts, oidctest.Scope(strings.ReplaceAll(value, "+", " ")))
		default:
			ts.Fatalf("unknown token option %q", word)
		}
	}
	token := here(ts).issuer.UserToken(args[1], opts...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(token+"\n"), 0o600))
}

// cmdAdvance sets the clocks of the issuer and of t2-cred forward.
func cmdAdvance(ts *testscript.TestScript, _ bool, args []string) {
	w := here(ts)
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	file := filepath.Join(w.dir, "clock")
	ts.Check(os.WriteFile(file, []byte((readOffset(file) + d).String()), 0o600))
	if len(args) > 1 && args[1] == "ours" {
		return // the issuer's clock stays behind
	}
	w.issuer.Clock.Advance(d)
}

// cmdCount compares how often the issuer was asked: count WHAT N.
func cmdCount(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	got := here(ts).issuer.Count(args[0])
	if args[0] == "all" {
		got = len(here(ts).issuer.Requests())
	}
	if got != want {
		ts.Fatalf("the issuer was asked %d times for %s, not %d: %v", got, args[0], want, here(ts).issuer.Requests())
	}
}

// cmdFault makes the issuer misbehave: fault NAME [first N] [on GRANT] [at
// ENDPOINT], fault none.
func cmdFault(ts *testscript.TestScript, _ bool, args []string) {
	issuer := here(ts).issuer
	if args[0] == "none" {
		issuer.Clear()
		return
	}
	var when []oidctest.When
	var at oidctest.Endpoint
	for n := 1; n+1 < len(args); n += 2 {
		switch args[n] {
		case "first":
			times, err := strconv.Atoi(args[n+1])
			ts.Check(err)
			when = append(when, oidctest.First(times))
		case "on":
			when = append(when, oidctest.OnGrant(args[n+1]))
		case "at":
			at = map[string]oidctest.Endpoint{"revoke": oidctest.Revocation, "discovery": oidctest.Discovery, "jwks": oidctest.JWKS}[args[n+1]]
		}
	}
	for _, f := range oidctest.Faults() {
		if f.Name == args[0] {
			if at != "" {
				f.Endpoint = at
			}
			issuer.Inject(f, when...)
			return
		}
	}
	ts.Fatalf("no fault is called %q", args[0])
}

// cmdAdmin does what an issuer's admin can.
func cmdAdmin(ts *testscript.TestScript, _ bool, args []string) {
	w := here(ts)
	switch args[0] {
	case "logout":
		w.issuer.Logout(args[1])
	case "end":
		if w.issuer.EndGrants(args[1]) == 0 {
			ts.Fatalf("%s had no grants to end", args[1])
		}
	case "grants":
		if got := strconv.Itoa(w.issuer.Grants(args[1])); got != args[2] {
			ts.Fatalf("%s has %s grants, not %s", args[1], got, args[2])
		}
	case "disable":
		w.issuer.Disable(args[1])
	case "enable":
		w.issuer.Enable(args[1])
	case "rotate-keys":
		w.issuer.RotateKeys()
	case "new-secret":
		w.issuer.SetClientSecret("new-secret-" + strings.Repeat("x", 20))
		ts.Check(os.WriteFile(ts.MkAbs("client.secret"), []byte(w.issuer.ClientSecret()+"\n"), 0o600))
	case "stop":
		w.issuer.Close()
	default:
		ts.Fatalf("an admin cannot %q", args[0])
	}
}

// cmdCode runs t2-cred and compares its exit code: code N ARG…. Without success
// standard output must be empty, but for a command whose report it is, and standard
// error ends with one line of what failed and at most one of what to do, or is JSON.
func cmdCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("t2-cred", args[1:]...)
	got := 0
	if err != nil {
		var code interface{ ExitCode() int }
		if !asExit(err, &code) {
			ts.Fatalf("t2-cred %q: %v", args[1:], err)
		}
		got = code.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("t2-cred %q ended with %d, not %s\nstderr: %s", args[1:], got, args[0], ts.ReadFile("stderr"))
	}
	if got == 0 {
		return
	}
	reports := slices.Contains([]string{"doctor", "keepalive"}, args[1])
	if out := ts.ReadFile("stdout"); out != "" && !reports {
		ts.Fatalf("t2-cred %q failed and wrote to standard output: %q", args[1:], out)
	}
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n")
	last := lines[len(lines)-1]
	isJSON := len(lines) == 1 && strings.HasPrefix(last, `{"error":{"code":`)
	if len(lines) > 1 && strings.HasPrefix(last, "hint: ") {
		last = lines[len(lines)-2]
	}
	if !isJSON && !strings.HasPrefix(last, "t2-cred: ") {
		ts.Fatalf("t2-cred %q: not one line of what and at most one of what next:\n%s", args[1:], ts.ReadFile("stderr"))
	}
}

func asExit(err error, to *interface{ ExitCode() int }) bool {
	e, ok := err.(interface{ ExitCode() int })
	if ok {
		*to = e
	}
	return ok
}
