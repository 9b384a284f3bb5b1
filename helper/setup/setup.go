// Package setup tells a tool to ask t2-cred: it shows the change of the tool's
// configuration, makes it, and takes it back to the byte. One file has one tool.
//
// Nothing here reads the environment, the operating system's name or the program's
// path by itself: they are an [Env]. The Go API is internal to t2-cred and may
// change at any time.
package setup

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
)

// Kinds of failure. Package cli turns them into exit codes.
var (
	// ErrUsage: an option is missing or wrong.
	ErrUsage = errors.New("usage")
	// ErrConfiguration: the profile, the environment or a tool's file does not allow the
	// change.
	ErrConfiguration = errors.New("configuration")
)

// An Env is what a change depends on beside the profile.
type Env struct {
	Getenv  func(string) string
	GOOS    string
	Program string   // the path of t2-cred, absolute, with slashes
	BinDir  string   // the directory on PATH for the names by which tools call t2-cred
	Typed   []string // the flags that were typed, which the next command needs again
}

// A Profile is the part of a profile that goes into the files of tools.
type Profile struct {
	Name   string
	Flags  []string            // --profile NAME, and --account where it is not the default
	Hosts  []string            // that the profile names exactly
	Others []string            // its other hosts, which are patterns
	Serves func(*url.URL) bool // by wildcards too
}

func (p Profile) words() string { return strings.Join(p.Flags, " ") }

// Options are the flags of the command.
type Options struct {
	Endpoint, RoleARN string   // aws
	HeaderFile        string   // gdal
	Registries        []string // cargo: registries that only a project's file describes
	Server            string   // kubernetes: the address of the cluster
	NPMRC             bool     // pnpm: write into npm's file
	Undo              bool
}

// A Tool is a program whose configuration setup can change.
type Tool struct {
	Name    string
	Hook    string   // the protocol that the tool speaks; empty where it needs none
	Aliases []string // other names by which people know it
	plan    func(Env, Profile, Options) (Plan, error)
}

// Plan is the change for one profile.
func (t Tool) Plan(e Env, p Profile, o Options) (Plan, error) { return t.plan(e, p, o) }

// Tools are all, sorted by name.
func Tools() []Tool {
	return []Tool{
		{Name: "aws", Hook: "aws", Aliases: []string{"aws-cli", "boto3"}, plan: planAWS},
		{Name: "cargo", Hook: "cargo", plan: planCargo},
		{Name: "docker", Hook: "docker", Aliases: []string{"podman", "skopeo", "crane", "oras", "helm"}, plan: planDocker},
		{Name: "gdal", Aliases: []string{"rasterio", "qgis"}, plan: planGDAL},
		{Name: "git", Hook: "git", Aliases: []string{"git-lfs"}, plan: planGit},
		{Name: "go", Hook: "goauth", Aliases: []string{"goauth"}, plan: planGo},
		{Name: "kubernetes", Hook: "kubernetes", Aliases: []string{"kubectl"}, plan: planKubernetes},
		{Name: "pip", Hook: "keyring", Aliases: []string{"keyring", "uv"}, plan: planPip},
		{Name: "pnpm", Hook: "pnpm", plan: planPnpm},
		{Name: "rclone", plan: planRclone},
		{Name: "terraform", Hook: "terraform", Aliases: []string{"opentofu", "tofu"}, plan: planTerraform},
	}
}

// Names are the names of all tools, without their aliases.
func Names() (names []string) {
	for _, t := range Tools() {
		names = append(names, t.Name)
	}
	return names
}

// Known are the names of all tools and their aliases.
func Known() (names []string) {
	for _, t := range Tools() {
		names = append(append(names, t.Name), t.Aliases...)
	}
	return names
}

// Find is the tool of that name or alias.
func Find(name string) (Tool, bool) {
	for _, t := range Tools() {
		if t.Name == name || slices.Contains(t.Aliases, name) {
			return t, true
		}
	}
	return Tool{}, false
}

// A Plan is the change to a tool's configuration for one profile.
type Plan struct {
	why   string
	edits []*edit  // none where we only show
	links []string // by these names the tool calls us; paths of symlinks to t2-cred
	// used, if set, reports whether a file still needs the links after an undo: another
	// profile may have lines in it.
	used     func(text string) bool
	show     string   // what is left for a person to do
	warnings []string // about files and variables that the tool prefers
}

// Changes reports whether the plan changes files. If not, it only shows what to do.
func (p Plan) Changes() bool { return len(p.edits) > 0 }

func configError(detail, remedy string) error {
	return &hint.Error{Kind: ErrConfiguration, Detail: detail, Remedy: hint.Say(remedy)}
}

// configRemedy is an error of configuration with commands to type.
func configRemedy(detail string, remedy ...hint.Part) error {
	return &hint.Error{Kind: ErrConfiguration, Detail: detail, Remedy: hint.Do(remedy...)}
}

func usageError(detail string, remedy ...hint.Part) error {
	return &hint.Error{Kind: ErrUsage, Detail: detail, Remedy: hint.Do(remedy...)}
}

// Plain reports whether text is of letters, digits and these characters alone, so
// that each tool reads it in the same way.
func Plain(text, others string) bool {
	for n := 0; n < len(text); n++ {
		c := text[n]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return text != ""
}
