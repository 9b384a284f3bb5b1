package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/store"
)

// topics are pages of help that are about no one command. Help lists them below the
// commands.
func (a *app) topics(root *cobra.Command) []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What each exit code means", Long: exitCodesTopic()},
		{Use: "environment", Short: "The environment variables that t2-cred reads", Long: environmentTopic(root)},
		{Use: "configuration", Short: "The files of the configuration and their keys", Long: configurationTopic()},
		{Use: "stores", Short: "Where secrets are kept, and how to choose", Long: storesTopic()},
	}
}

// explainHelp has the help command refuse a name that it does not know. Cobra's own shows
// the program's help in its place.
func explainHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return
	}
	help.RunE = func(_ *cobra.Command, args []string) error {
		cmd, rest, err := root.Find(args)
		switch {
		case err != nil:
			return usageError(err)
		case len(rest) > 0:
			return unknownCommand(cmd, rest[0])
		}
		cmd.InitDefaultHelpFlag() // so that help lists it
		return cmd.Help()
	}
}

// explainCompletion has the completion command refuse a shell that it does not know. Cobra's
// own shows its help, and a shell's start file would source that.
func explainCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	completion.Args = noArgs
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// An entry is a line of a list: a word and what it means.
type entry struct{ word, means string }

func list(entries []entry) string {
	width := 0
	for _, e := range entries {
		width = max(width, len(e.word))
	}
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, e.word, e.means)
	}
	return b.String()
}

func exitCodesTopic() string {
	var entries []entry
	for _, e := range ExitCodes() {
		entries = append(entries, entry{fmt.Sprintf("%3d", e.Code), e.Means})
	}
	return "Scripts may rely on these exit codes. They do not change.\n\n" + list(entries) + `
After a failure, standard output is empty, except for the reports of keepalive, doctor
and list. Standard error has one line that says what failed and one that begins with
"hint: ". With --json it has
{"error":{"code","exit","message","hint"}} instead.`
}

// formatNames are the values of --format.
func formatNames() string { return strings.Join(slices.Sorted(maps.Keys(formats)), ", ") }

// environment are the variables beside those that stand for flags.
func environment() []entry {
	return []entry{
		{"T2_CRED_CA_FILE", "PEM file with certificates to trust, for profiles without ca_file"},
		{"T2_CRED_IDENTITY_FILE", "the file store's identity"},
		{"CREDENTIALS_DIRECTORY", "systemd's credentials: t2-cred-identity, and files of stores.openbao"},
		{"T2_CRED_KEYRING_TRIED", "keyring commands asked before; set by t2-cred itself"},
		{"XDG_CONFIG_HOME", "where t2-cred/config.toml is (default: ~/.config)"},
		{"XDG_DATA_HOME", "where the file store is (default: ~/.local/share)"},
		{"XDG_STATE_HOME", "where locks and notes are (default: ~/.local/state)"},
		{"XDG_CACHE_HOME", "where public documents of issuers are cached (default: ~/.cache)"},
		{"XDG_RUNTIME_DIR", "where the session bus is, and what ends with the session"},
		{"DBUS_SESSION_BUS_ADDRESS", "the session bus with the OS keyring"},
		{"NO_COLOR", "no colour and no marks on a terminal, when it is not empty"},
		{"HTTPS_PROXY, HTTP_PROXY", "the proxy for the issuer"},
		{"NO_PROXY", "hosts that are asked without the proxy"},
	}
}

func environmentTopic(root *cobra.Command) string {
	return "These variables stand for flags. A flag that is given wins.\n\n" + list(twins(root)) +
		"\nThese have no flag:\n\n" + list(environment()) +
		"\nNo variable holds a secret. " + tokenVariable + " is what exec, and get --format env,\nset for other programs. t2-cred does not read it.\nIt warns of a name that is nearly one of these. Hooks do not warn."
}

// configurationKeys are the keys of config.toml outside of profiles.
func configurationKeys() []entry {
	return []entry{
		{"default_profile", "the profile that is used without --profile"},
		{"store", "where secrets are kept: " + strings.Join(store.Backends(), " or ")},
		{"identity_command", "the command that prints the file store's identity"},
		{"profiles", "one table for each profile: [profiles.NAME]"},
		{"stores", "the table [stores.openbao] of the shared store"},
	}
}

// keysOfProfile are the keys of a profile.
func keysOfProfile() []entry {
	return []entry{
		{"issuer", "the issuer's exact identifier, a URL"},
		{"client_id", "the client's id at the issuer"},
		{"discovery_url", "where the discovery document is, if not at the issuer"},
		{"audience", "a list: audiences to ask tokens for (RFC 8693)"},
		{"scopes", "a list: scopes to ask for"},
		{"required_scopes", "a list: those of scopes without which there is no token"},
		{"hosts", "a list: hosts that hooks may send this profile's token to"},
		{"client_auth", strings.Join(clientAuths(), ", ")},
		{"ca_file", "PEM file with certificates to trust beside the system's"},
		{"client_secret_file", "the file with the client's secret"},
		{"client_secret_command", "the command that prints the client's secret"},
		{"client_key_file", "the file with the client's private key"},
		{"client_key_id", "the kid of that key"},
		{"client_cert_file", "the file with the client's certificate"},
		{"client_assertion_file", "the file with a JWT that somebody else signed for the client"},
		{"client_assertion_audience", "the aud of that JWT, if not the issuer or its token endpoint"},
		{"client_assertion_type", "the kind of that JWT: jwt-bearer or jwt-spiffe"},
		{"access_token", "opaque: access tokens are taken unread; jwt: only verified ones"},
		{"authorize_params", "a table: further parameters of a login in a browser, as access_type"},
		{"narrow", "tables with hosts, and the scopes and audience that those get"},
	}
}

func configurationTopic() string {
	return `A person writes config.toml. Commands write the directory profiles.d beside it:
NAME.toml for each profile, and settings.toml. What config.toml says wins.
t2-cred config path prints where they are. t2-cred config show prints where each value
comes from. No key holds a secret. An unknown key is an error.

Keys of config.toml:

` + list(configurationKeys()) + `
Keys of a profile:

` + list(keysOfProfile()) + `
Example:

  default_profile = "gep"
  [profiles.gep]
  issuer = "https://iam.terradue.com/auth/realms/master"
  client_id = "ellip-test-ades"
  scopes = ["openid", "offline_access"]
  hosts = ["api.terradue.com", "*.ellip.example:8443"]`
}

// aboutStores says what each store is.
func aboutStores() map[string]string {
	return map[string]string{
		"keyring": "the keyring of the operating system (the default)",
		"file":    "files that are encrypted with age to an identity of your own",
		"openbao": "the KV engine of an OpenBao cluster, for grants that many machines share",
	}
}

func storesTopic() string {
	var entries []entry
	for _, name := range store.Backends() {
		entries = append(entries, entry{name, aboutStores()[name]})
	}
	return "A store keeps refresh tokens and client secrets.\n\n" + list(entries) + `
t2-cred chooses no store by itself. --store or T2_CRED_STORE names one for a command.
The key store of the configuration names one for all commands.

  t2-cred store init --use        the file store, where there is no keyring
  t2-cred store move --to file    the same, and takes along what is kept
  t2-cred store status            which store is used, and whether it answers

The shared store needs the table [stores.openbao] in config.toml. t2-cred store init
--store openbao shows what its administrator has to do.

The file store's identity opens all of its files. It comes from the first of these:
t2-cred-identity in $CREDENTIALS_DIRECTORY, T2_CRED_IDENTITY_FILE, identity_command,
and the file that store init makes.`
}
