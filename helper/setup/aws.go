package setup

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/terradue/t2-cred/helper"
)

func planAWS(e Env, p Profile, o Options) (Plan, error) {
	file := e.Getenv("AWS_CONFIG_FILE")
	if !filepath.IsAbs(file) {
		var err error
		if file, err = e.homeFile("", ".aws", "config"); err != nil {
			return Plan{}, err
		}
	}
	if o.Endpoint == "" && !o.Undo {
		if len(p.Hosts) != 1 {
			return Plan{}, usageError(("which of the profile's hosts is the STS? --endpoint https://HOST"))
		}
		o.Endpoint = firstURL(p.Hosts[0])
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
	has := regexp.MustCompile(`(?m)^\s*\[\s*profile\s+"?t2-` + regexp.QuoteMeta(p.Name) + `"?\s*\]`)
	return Plan{
		why:   "AWS SDKs and aws --profile t2-" + p.Name + " get their keys from t2-cred, which asks the STS with the access token.",
		edits: []*edit{blockEdit(file, p.Name, lines, unless(has, section, checkINI), nil)},
	}, nil
}
