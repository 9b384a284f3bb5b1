package e2e

import (
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/lab"
	"github.com/terradue/t2-cred/e2e/openbao"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestFleetPage sets up OpenBao as docs/fleet.md says, with its own configuration and its
// own commands.
func TestFleetPage(t *testing.T) {
	parts.Need(t, parts.OpenBao)
	issuer := oidctest.New()
	t.Cleanup(issuer.Close)
	c := openbao.Start(t, openbao.Options{Net: lab.New(t), Config: block(t, "fleet.md", "hcl"), Ledger: shared.ledger})
	c.Relay(issuer.URL())
	dir := t.TempDir()
	const keys = "https://kubernetes.default.svc/openid/v1/jwks jwks_ca_pem=@cluster-ca.pem"
	ran := 0
	for _, lines := range snippets(t, "fleet.md", "sh", keys, issuer.URL()+"/protocol/openid-connect/certs") {
		if !strings.HasPrefix(lines, "bao ") {
			continue // it is t2-cred's, or done by hand on the first server
		}
		ran++
		if out, err := c.Bao(dir, lines); err != nil {
			t.Errorf("%v: %s\n%s", err, lines, out)
		}
	}
	if ran < 3 {
		t.Errorf("%d blocks of the page are commands of bao", ran)
	}
	if log := readFile(t, c.AuditLog()); !strings.Contains(log, `"auth/approle/role/node/secret-id"`) {
		t.Error("the audit log does not have what was done")
	}
}
