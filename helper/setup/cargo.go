package setup

import (
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

func planCargo(e Env, p Profile, o Options) (Plan, error) {
	file, err := e.homeFile("CARGO_HOME", ".cargo", "config.toml")
	if err != nil {
		return Plan{}, err
	}
	check := func(text string) error {
		var parsed map[string]any
		if err := toml.Unmarshal([]byte(text), &parsed); err != nil {
			return fmt.Errorf("not TOML, or it has registry settings of its own: %w", err)
		}
		return nil
	}
	return Plan{
		why: "cargo asks its providers from the last to the first: t2-cred for the profile's hosts, cargo's own tokens for all others.",
		edits: []*edit{blockEdit(file, p.Name, []string{
			"[registry]", fmt.Sprintf(`global-credential-providers = ["cargo:token", "%s %s"]`, e.Program, p.words()),
		}, check, check)},
	}, nil
}
