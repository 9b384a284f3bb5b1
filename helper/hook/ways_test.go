package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/terradue/t2-cred/helper"
)

// A way is how a protocol is told for which place a token is wanted.
type way struct {
	name     string // PROTOCOL, or PROTOCOL and what else is asked of it
	protocol Protocol
	// says is the text in which a place is named, and call puts it where the tool does.
	says func(scheme, host string) string
	call func(c *Call, text string)
	tls  bool // the place is always reached by https
	// more is that text with an unknown key, or the key of the place twice.
	more  func(value string) string
	twice func(first, second string) string
	// The answer for what is not ours: standard output and error.
	notMine    string
	notMineErr error
	// refusal reports whether an answer is a refusal, where that is not ErrUsage and
	// an empty standard output.
	refusal func(stdout string, err error) bool
}

func toStdin(args ...string) func(*Call, string) {
	return func(c *Call, text string) { c.Args, c.Stdin = args, strings.NewReader(text) }
}

func toArgs(args ...string) func(*Call, string) {
	return func(c *Call, text string) {
		for _, arg := range args {
			c.Args = append(c.Args, strings.ReplaceAll(arg, "TEXT", text))
		}
	}
}

func toOption(name string) func(*Call, string) {
	return func(c *Call, text string) { c.Option[name] = text }
}

// asURL is a place as most are told it.
func asURL(scheme, host string) string {
	if scheme == "" {
		return "//" + host + "/a/"
	}
	return scheme + "://" + host + "/a/"
}

func asHost(_, host string) string { return host }

// asJSON is a place within what goes before and after it, as a member of objects.
func asJSON(before, form, after string) func(scheme, host string) string {
	return func(scheme, host string) string {
		text, _ := json.Marshal(form + asURL(scheme, host))
		return before + string(text) + after
	}
}

// pair is two members of an object with one name.
func pair(before, name, form, after string) func(first, second string) string {
	return func(first, second string) string {
		return fmt.Sprintf(`%s"%[2]s":"%[3]shttps://%[4]s/","%[2]s":"%[3]shttps://%[5]s/"%s`, before, name, form, first, second, after)
	}
}

// ways has at least one row for each protocol.
func ways() []way {
	return []way{
		gitWay("get", "\n"),
		gitWay("erase", "password=token-1\n"),
		{
			name: "docker get", protocol: docker, call: toStdin("get"),
			says: func(scheme, host string) string { return strings.TrimPrefix(scheme+"://"+host, "https://") },
			refusal: func(stdout string, err error) bool {
				said := errors.Is(err, ErrUsage) && stdout == err.Error()+"\n" || errors.Is(err, Exit(1)) && stdout == errDockerNoServer.Error()+"\n"
				return said && !strings.ContainsFunc(strings.TrimSuffix(stdout, "\n"), isControl)
			},
			notMine: errDockerNotFound.Error() + "\n", notMineErr: Exit(1),
		},
		kubernetesWay(),
		{name: "aws", protocol: aws, call: toOption("endpoint"), says: asURL, notMineErr: helper.ErrNotMine},
		cargoWay("get"),
		cargoWay("login"),
		{name: "goauth", protocol: goauth, says: asURL, call: func(c *Call, text string) { c.Args, c.Stdin = []string{text}, strings.NewReader(unauthorized) }},
		{name: "goauth --prefix", protocol: goauth, says: asURL, call: func(c *Call, text string) {
			c.Args, c.Stdin, c.Option["prefix"] = []string{text}, strings.NewReader(unauthorized), "https://tool.example.org/a"
		}},
		{name: "pnpm", protocol: pnpm, call: toOption("url"), says: asURL, notMineErr: helper.ErrNotMine},
		{name: "terraform get", protocol: terraform, call: toArgs("get", "TEXT"), says: asHost, tls: true, notMine: "{}\n"},
		{name: "terraform forget", protocol: terraform, call: toArgs("forget", "TEXT"), says: asHost, tls: true},
		{name: "keyring get URL", protocol: keyring, call: toArgs("get", "TEXT", "alice"), says: asURL, notMineErr: Exit(1)},
		{name: "keyring get HOST", protocol: keyring, call: toArgs("--mode=creds", "get", "TEXT"), says: asHost, tls: true, notMineErr: Exit(1)},
		{name: "keyring set URL", protocol: keyring, call: toArgs("set", "TEXT", "alice"), says: asURL, notMineErr: Exit(1)},
		{name: "google", protocol: google, call: toOption("url"), says: asURL, refusal: func(stdout string, err error) bool {
			return err == nil && googleSays(stdout, "400")
		}},
		{
			name: "bazel", protocol: bazel, call: toStdin("get"), says: asJSON(`{"uri":`, "", "}"), notMine: "{}\n",
			more:  func(value string) string { return `{"uri":"https://tool.example.org/","colour":"` + value + `"}` },
			twice: pair("{", "uri", "", "}"),
		},
	}
}

func gitWay(verb, rest string) way {
	return way{
		name: "git " + verb, protocol: git, call: toStdin(verb),
		says: func(scheme, host string) string { return "protocol=" + scheme + "\nhost=" + host + "\n" + rest },
		more: func(value string) string {
			return "protocol=https\nhost=tool.example.org\ncolour=" + value + "\n" + rest
		},
		twice: func(first, second string) string {
			return "protocol=https\nhost=" + first + "\nhost=" + second + "\n" + rest
		},
	}
}

func kubernetesWay() way {
	const before, after = `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{`, "}}}\n"
	return way{
		name: "kubernetes", protocol: kubernetes, notMineErr: helper.ErrNotMine,
		call: func(c *Call, text string) {
			c.Getenv = func(name string) string { return map[string]string{"KUBERNETES_EXEC_INFO": text}[name] }
		},
		says: asJSON(before+`"server":`, "", after),
		more: func(value string) string {
			return before + `"server":"https://tool.example.org","colour":"` + value + `"},"interactive":false}}` + "\n"
		},
		twice: pair(before, "server", "", after),
	}
}

func cargoWay(kind string) way {
	const hello = "{\"v\":[1]}\n"
	before := `{"v":1,"kind":"` + kind + `","operation":"read","registry":{`
	return way{
		name: "cargo " + kind, protocol: cargo, call: toStdin(cargoFlag),
		says: asJSON(before+`"index-url":`, "sparse+", "}}\n"),
		more: func(value string) string {
			return before + `"index-url":"sparse+https://tool.example.org/"},"colour":"` + value + "\"}\n"
		},
		twice:   pair(before, "index-url", "sparse+", "}}\n"),
		notMine: hello + `{"Err":{"kind":"url-not-supported"}}` + "\n",
		refusal: func(stdout string, err error) bool {
			answers, ok := strings.CutPrefix(stdout, hello)
			for line := range strings.Lines(answers) {
				ok = ok && (strings.HasPrefix(line, `{"Err":{"kind":"other",`) || line == `{"Err":{"kind":"operation-not-supported"}}`+"\n")
			}
			return ok && err == nil && answers != ""
		},
	}
}

// googleSays reports whether an answer is a failure with that code.
func googleSays(stdout, code string) bool {
	var answer googleAnswer
	return json.Unmarshal([]byte(stdout), &answer) == nil && !answer.Success && answer.Code == code
}
