package e2e

import (
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestKeyring_labels: in a listing of the keyring by another program, each item says in
// words what it is and at which issuer. No attribute of an item holds a secret.
func TestKeyring_labels(t *testing.T) {
	ring := keyring.Start(t)
	issuer := oidctest.New()
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	home := program(t).NewHome(t).Set(ring.Bus())
	home.Want(0, "profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
		"--scope", keycloak.Scopes, "--client-secret-file", secretFile(t, issuer.ClientSecret()))
	home.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", "alice"}, Stdin: issuer.UserToken("alice")})
	u, err := url.Parse(issuer.URL())
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	attributes := map[string]bool{}
	for _, item := range ring.Items() {
		attributes[item.Attributes["service"]] = true
	}
	for service := range attributes {
		search := exec.Command("secret-tool", "search", "--all", "service", service)
		search.Env = []string{ring.Bus(), "PATH=/usr/bin:/bin"}
		out := outputOf(t, search)
		for _, m := range regexp.MustCompile(`(?m)^label = (.*)$`).FindAllStringSubmatch(out, -1) {
			labels = append(labels, m[1])
		}
	}
	for _, want := range []string{"t2-cred: gep/alice at " + u.Host, "t2-cred: client secret of gep at " + u.Host, "t2-cred: the key to copies of tokens"} {
		if !slices.Contains(labels, want) {
			t.Errorf("no item is labelled %q: %q", want, labels)
		}
	}
	for _, label := range labels {
		if !strings.HasPrefix(label, "t2-cred: ") || strings.ContainsAny(label, ",%") && !strings.Contains(label, ", ") {
			t.Errorf("a person cannot read the label %q", label)
		}
	}
}
