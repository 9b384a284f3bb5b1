package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
)

func planAWS(e Env, p Profile, o Options) (Plan, error) {
	file, err := e.awsFile("AWS_CONFIG_FILE", "config")
	if err != nil {
		return Plan{}, err
	}
	if o.Endpoint == "" && !o.Undo {
		if len(p.Hosts) != 1 {
			return Plan{}, usageError("which of the profile's hosts is the STS?",
				hint.Words("here: "), hint.Run("setup", "aws", "--endpoint", "https://HOST").With(p.Flags...))
		}
		o.Endpoint = firstURL(p.Hosts[0])
	}
	if u, err := url.Parse(o.Endpoint); o.Endpoint != "" && !o.Undo && (err != nil || u.Host == "") {
		return Plan{}, usageError(fmt.Sprintf("--endpoint %q is not https://HOST[:PORT][/PATH]", helper.Clean(o.Endpoint)))
	}
	if o.Endpoint != "" && !Plain(o.Endpoint, ":/.-_[]") {
		return Plan{}, usageError(fmt.Sprintf("--endpoint %q is not the address of an STS", helper.Clean(o.Endpoint)))
	}
	if o.RoleARN != "" && !Plain(o.RoleARN, ":/.-_+=,@") {
		return Plan{}, usageError(fmt.Sprintf("--role-arn %q is not the name of a role", helper.Clean(o.RoleARN)))
	}
	section := "[profile t2-" + p.Name + "]"
	process := fmt.Sprintf("credential_process = %s aws %s --endpoint %s", e.Program, p.words(), o.Endpoint)
	if o.RoleARN != "" {
		process += " --role-arn " + o.RoleARN
	}
	lines := []string{section, process}
	if u, err := url.Parse(o.Endpoint); err == nil && !strings.Contains(u.Hostname(), ".amazonaws.com") {
		lines = append(lines, "endpoint_url = "+o.Endpoint) // of MinIO and Ceph, where STS and S3 are one
	}
	b := block{profile: p.Name, lines: lines}
	return Plan{
		why: "AWS SDKs and aws --profile t2-" + p.Name + " get their keys from t2-cred, which asks the STS with the access token.",
		edits: []*edit{b.edit(file, readConfigParser, func(says []setting) error {
			if hasAWSProfile(says, p.Name) {
				return p.taken("aws", section, "")
			}
			return e.refuseAWSKeys(p.Name)
		})},
	}, nil
}

// awsFile is a file in ~/.aws, or the one that a variable names. botocore expands a ~ in it.
func (e Env) awsFile(variable, name string) (string, error) {
	if below, ok := strings.CutPrefix(e.Getenv(variable), "~/"); ok {
		return e.homeFile("", below)
	}
	file, err := e.namedFile(variable)
	if err != nil || file != "" {
		return file, err
	}
	return e.homeFile("", ".aws", name)
}

func hasAWSProfile(says []setting, name string) bool {
	for _, s := range says {
		section := strings.TrimSpace(strings.TrimPrefix(s.section, "profile"))
		if strings.Trim(section, `"'`) == "t2-"+name {
			return true
		}
	}
	return false
}

// refuseAWSKeys looks for static keys of the profile, which SDKs prefer to a program.
func (e Env) refuseAWSKeys(name string) error {
	file, err := e.awsFile("AWS_SHARED_CREDENTIALS_FILE", "credentials")
	if err != nil {
		return err
	}
	text, err := safefile.Read(file, safefile.Want{Max: maxFile})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	says, err := readConfigParser(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if hasAWSProfile(says, name) {
		return fmt.Errorf("%s has keys for t2-%s, which AWS SDKs take instead", file, name)
	}
	return nil
}
