package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// A format is a shape in which an access token leaves, for standard output (get)
// or a file (write). Here, and only here, these two reveal it.
type format func(p helper.Profile, c helper.Credential, now time.Time) ([]byte, error)

var formats = map[string]format{
	"token": func(_ helper.Profile, c helper.Credential, _ time.Time) ([]byte, error) {
		return fmt.Appendf(nil, "%s\n", c.Token.Reveal()), nil
	},
	"header": func(_ helper.Profile, c helper.Credential, _ time.Time) ([]byte, error) {
		return fmt.Appendf(nil, "Authorization: %s %s\n", c.Type, c.Token.Reveal()), nil
	},
	// The object that MCP clients, and others, take from a command that makes headers.
	"headers": func(_ helper.Profile, c helper.Credential, _ time.Time) ([]byte, error) {
		return marshal(map[string]string{"Authorization": c.Type + " " + c.Token.Reveal()})
	},
	"env": func(_ helper.Profile, c helper.Credential, _ time.Time) ([]byte, error) {
		// A token has no quote by RFC 6750, but what an issuer sends is not trusted.
		quoted := strings.ReplaceAll(c.Token.Reveal(), `'`, `'\''`)
		return fmt.Appendf(nil, "export %s='%s'\n", tokenVariable, quoted), nil
	},
	"json":    jsonFormat,
	"rattler": rattlerFormat,
}

// tokenVariable is the environment variable that has the token by default, where
// somebody asks for one.
const tokenVariable = "T2_CRED_ACCESS_TOKEN"

// formatNamed is a value of --format.
func formatNamed(name string) (format, error) {
	if f, ok := formats[name]; ok {
		return f, nil
	}
	return nil, usageError(fmt.Errorf("--format %q is not one of %s%s", shownWord(name), formatNames(), didYouMean(name, slices.Collect(maps.Keys(formats)))))
}

func jsonFormat(_ helper.Profile, c helper.Credential, now time.Time) ([]byte, error) {
	return marshal(struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresAt   any    `json:"expires_at"`
		ExpiresIn   int64  `json:"expires_in"`
		Scope       string `json:"scope"`
		Subject     string `json:"subject"`
		Profile     string `json:"profile"`
		Account     string `json:"account"`
		Issuer      string `json:"issuer"`
	}{
		c.Token.Reveal(), c.Type, jsonTime(c.Expiry), int64(c.Expiry.Sub(now).Seconds()),
		strings.Join(c.Scopes, " "), c.Subject, c.Profile, c.Account, c.Issuer,
	})
}

// rattlerFormat is the file that RATTLER_AUTH_FILE names for pixi, rattler-build
// and py-rattler: hosts and how to authenticate to each. It names a host without
// its port and is meant for all of them, and its wildcard takes in the domain
// itself. So only those of the profile's hosts that are exact and without a port
// are put there: no other entry would mean what the profile says.
func rattlerFormat(p helper.Profile, c helper.Credential, _ time.Time) ([]byte, error) {
	type entry struct{ BearerToken string }
	hosts := map[string]entry{}
	for _, host := range p.Hosts {
		_, _, notAlone := net.SplitHostPort(host)
		if notAlone != nil && !strings.HasPrefix(host, "*.") {
			hosts[strings.ToLower(host)] = entry{c.Token.Reveal()}
		}
	}
	if len(hosts) == 0 {
		return nil, configErrorf(hint.Do(p.AddHost()),
			"profile %s has no host that a rattler file can name: exact, and without a port", p.Name)
	}
	b, err := json.Marshal(hosts)
	return append(b, '\n'), err
}
