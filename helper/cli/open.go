package cli

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// openStore opens the store that flag, environment or file names. Nothing is
// touched yet.
func (a *app) openStore(c *config) (*store.Store, error) {
	return a.openStoreNamed(c, or(a.flags.store, c.Store, "keyring"))
}

func (a *app) openStoreNamed(c *config, name string) (*store.Store, error) {
	o, err := a.storeOptions(c)
	if err != nil {
		return nil, err
	}
	o.Backend = name
	if known := store.Backends(); !slices.Contains(known, name) {
		err := fmt.Errorf("unknown store %q%s; there are %s", shownWord(name), didYouMean(name, known), strings.Join(known, ", "))
		switch {
		case a.flags.store == name && a.storeChosenBy(c) == "T2_CRED_STORE":
			return nil, environmentError(fmt.Errorf("T2_CRED_STORE: %w", err))
		case name != c.Store || a.flags.store == name:
			return nil, usageError(err)
		}
		return nil, configErrorf(hint.Say("mend store there: "+strings.Join(known, " or ")), "configuration %s: %v", c.path, err)
	}
	if name == "openbao" {
		if c.OpenBao == nil {
			return nil, configErrorf(hint.Do(hint.Run("store", "init", "--store", "openbao"), hint.Words(" shows the lines to add")),
				"configuration %s: the table stores.openbao is missing", c.path)
		}
		o.OpenBao = *c.OpenBao
	}
	return store.Open(o)
}

func (a *app) storeOptions(c *config) (store.Options, error) {
	state, err := a.stateDir()
	if err != nil {
		return store.Options{}, err
	}
	data, err := a.userDir("XDG_DATA_HOME", ".local/share", "LOCALAPPDATA", "Application Support")
	if err != nil {
		return store.Options{}, err
	}
	return store.Options{
		Config:   c.path,
		StateDir: state, DataDir: data, RuntimeDir: a.runtimeDir(state),
		IdentityCommand: c.Identity,
		IssuerOf:        func(profile string) string { return c.Profiles[profile].Issuer },
		Getenv:          a.Getenv, Now: a.Now, Warn: a.warn, Attended: a.Attended,
	}, nil
}

// stateDir is where locks and notes are.
func (a *app) stateDir() (string, error) {
	return a.userDir("XDG_STATE_HOME", ".local/state", "LOCALAPPDATA", "Application Support")
}

// openConfig is what commands about no one profile start with.
func (a *app) openConfig() (*config, *store.Store, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, nil, err
	}
	s, err := a.openStore(c)
	return c, s, err
}

// runtimeDir is the user's own directory that does not outlive the session, or
// the state directory where the system has none.
func (a *app) runtimeDir(state string) string {
	if d := a.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		return filepath.Join(d, "t2-cred")
	}
	return state
}

// openHelper is what most commands start with: the configuration, the profile
// and account that are meant, and a helper to ask.
func (a *app) openHelper() (*helper.Helper, helper.Request, error) {
	c, p, err := a.loadProfile()
	if err != nil {
		return nil, helper.Request{}, err
	}
	s, err := a.openStore(c)
	if err != nil {
		return nil, helper.Request{}, err
	}
	h := a.newHelper(s)
	h.Elsewhere = a.elsewhere(c, s)
	h.Near = func(k store.Key) string { return nearAccount(s, k) }
	return h, helper.Request{Profile: p, Account: a.flags.account}, nil
}

func (a *app) newHelper(s *store.Store) *helper.Helper {
	return &helper.Helper{
		Store: s, Now: a.Now, Log: a.log, Warn: a.warn,
		Issuer: func(p helper.Profile) *oidc.Issuer { return oidc.New(p.Issuer, a.issuerOptions(p)) },
	}
}

func (a *app) issuerOptions(p helper.Profile) oidc.Options {
	cache, err := a.userDir("XDG_CACHE_HOME", ".cache", "LOCALAPPDATA", "Caches")
	if err != nil {
		cache = "" // without a place for it, public documents are fetched each time
	} else if runtime.GOOS == "windows" {
		cache = filepath.Join(cache, "cache")
	}
	return oidc.Options{
		CAFile: or(p.CAFile, a.Getenv("T2_CRED_CA_FILE")), CacheDir: cache, Profile: p.Name, DiscoveryURL: p.DiscoveryURL,
		AuthorizeParams: p.AuthorizeParams,
		UserAgent:       "t2-cred/" + version(), Now: a.Now, Log: a.log, AnswerTime: a.AnswerTime,
	}
}

// version is what the build says of itself: a release's tag, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// versionLine is the version for people.
func versionLine() string {
	return fmt.Sprintf("t2-cred %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.flags.json {
				return a.printJSON(map[string]string{"version": version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			_, err := a.people().Write([]byte(versionLine()))
			return err
		},
	}
}
