package setup

import "fmt"

// planGo changes the file that go env -w writes. go keeps the comments in it, and sorts
// only the lines between them.
func planGo(e Env, p Profile, _ Options) (Plan, error) {
	if e.Getenv("GOENV") == "off" {
		return Plan{}, configError("GOENV is off, so go reads no settings from a file", "unset GOENV, or set GOAUTH in the environment")
	}
	file, err := e.namedFile("GOENV")
	if err != nil {
		return Plan{}, err
	}
	if file == "" {
		switch {
		case e.GOOS == "windows":
			file, err = e.homeFile("AppData", `AppData\Roaming`, "go", "env")
		case e.GOOS == "darwin":
			file, err = e.homeFile("", "Library/Application Support/go/env")
		case e.Getenv("XDG_CONFIG_HOME") != "":
			file, err = e.homeFile("XDG_CONFIG_HOME", ".config", "go", "env")
		default:
			file, err = e.homeFile("", ".config", "go", "env")
		}
		if err != nil {
			return Plan{}, err
		}
	}
	value := fmt.Sprintf("%s goauth %s; netrc", e.Program, p.words())
	// go takes the whole line for the value, so the line must not end with \r.
	b := block{profile: p.Name, lines: []string{"GOAUTH=" + value}, eol: "\n"}
	plan := Plan{
		why: "go asks t2-cred for the profile's hosts, then netrc. The same by hand: go env -w GOAUTH='" + value + "'",
		edits: []*edit{b.edit(file, readGoEnv, func(says []setting) error {
			if others := values(says, "", "GOAUTH"); len(others) > 0 {
				return p.taken("go", "a GOAUTH", others[0])
			}
			return nil
		})},
	}
	if e.Getenv("GOAUTH") != "" {
		plan.warnings = append(plan.warnings, "GOAUTH is set in the environment, which go takes instead; unset it")
	}
	return plan, nil
}
