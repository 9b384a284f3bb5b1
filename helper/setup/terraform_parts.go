package setup

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/safefile"
)

// parts are the further files that Terraform reads: every *.tfrc and *.tfrc.json in its
// directory.
func (t terraformPlaces) parts() (files []string) {
	for _, dir := range t.below {
		for _, pattern := range []string{"*.tfrc", "*.tfrc.json"} {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err == nil {
				files = append(files, found...)
			}
		}
	}
	return slices.DeleteFunc(files, func(file string) bool { return slices.Contains(t.logins, file) })
}

// refuseTerraformPart finds a second helper, after which Terraform stops, and tokens that
// are preferred to any helper. Terraform itself reports a file that it cannot read.
func (p Profile) refuseTerraformPart(file string) error {
	text, err := safefile.Read(file, safefile.Want{Max: maxFile})
	if err != nil {
		return nil
	}
	helper, hosts := terraformSays(file, string(text))
	if helper {
		return fmt.Errorf("%s has a credentials_helper already, and Terraform takes one", file)
	}
	for _, host := range hosts {
		if p.servesAddress("https://" + host) {
			return fmt.Errorf("%s has credentials for %s, which are taken instead", file, quoteHost(host))
		}
	}
	return nil
}

func terraformSays(file, text string) (helper bool, hosts []string) {
	if strings.HasSuffix(file, ".json") {
		var says struct {
			Helper      map[string]json.RawMessage `json:"credentials_helper"`
			Credentials map[string]json.RawMessage `json:"credentials"`
		}
		_ = json.Unmarshal([]byte(text), &says)
		for host := range says.Credentials {
			hosts = append(hosts, host)
		}
		slices.Sort(hosts)
		return len(says.Helper) > 0, hosts
	}
	all, _ := readHCL(text)
	for _, s := range all {
		switch kind, name, _ := strings.Cut(s.section, "."); kind {
		case "credentials_helper":
			helper = true
		case "credentials":
			hosts = append(hosts, name)
		}
	}
	return helper, hosts
}
