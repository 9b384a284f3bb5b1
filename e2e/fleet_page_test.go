package e2e

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

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

// TestFleetPage_manifests has Kubernetes' own types and systemd's own tools judge what the
// page shows, and the program its configurations.
func TestFleetPage_manifests(t *testing.T) {
	docs := strings.Split(block(t, "fleet.md", "yaml"), "\n---\n")
	if len(docs) != 2 {
		t.Fatalf("%d manifests, want the configuration and the pod", len(docs))
	}
	var config corev1.ConfigMap
	var pod corev1.Pod
	strict(t, docs[0], &config)
	strict(t, docs[1], &pod)
	job, security := pod.Spec.Containers[0], pod.Spec.SecurityContext
	if !*security.RunAsNonRoot || !*job.SecurityContext.ReadOnlyRootFilesystem || *job.SecurityContext.AllowPrivilegeEscalation {
		t.Errorf("the pod is not restricted: %+v, %+v", security, job.SecurityContext)
	}
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace == nil || *grace < 75 {
		t.Error("the grace period is shorter than a refresh may take")
	}
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, m := range job.VolumeMounts {
		if !volumes[m.Name] || m.SubPath != "" {
			t.Errorf("the job mounts %+v", m)
		}
	}
	token := job.VolumeMounts[len(job.VolumeMounts)-1].MountPath + "/token"
	if !strings.Contains(config.Data["config.toml"], strconv.Quote(token)) {
		t.Errorf("the configuration does not name the projected token %s", token)
	}

	analyze := needTool(t, "server", "systemd-analyze")
	dir := t.TempDir()
	unit := strings.NewReplacer("/usr/local/lib/ades/worker", "/bin/true").Replace(block(t, "fleet.md", "ini"))
	writeIn(t, dir, "worker.service", unit)
	if out := output(t, analyze, "verify", filepath.Join(dir, "worker.service")); strings.Contains(out, "worker.service") {
		t.Errorf("systemd-analyze verify: %s", out)
	}

	// The credential that the unit loads is the one that the configuration names.
	toml := block(t, "fleet.md", "toml")
	for _, name := range []string{"t2-cred-role-id", "t2-cred-secret-id"} {
		if !strings.Contains(unit, "="+name+":") || !strings.Contains(toml, strconv.Quote(name)) {
			t.Errorf("the unit and the configuration do not agree about %s", name)
		}
	}
	for name, text := range map[string]string{"the page": toml, "the ConfigMap": config.Data["config.toml"]} {
		h := program(t).NewHome(t)
		writeIn(t, filepath.Join(h.Dir), "config.toml", text)
		config := filepath.Join(h.Dir, "config.toml")
		if r := h.Run("store", "init", "--store", "openbao", "--config", config); r.Code != 0 || !strings.Contains(readTop(t, "docs/fleet.md"), policyIn(r.Stdout)) {
			t.Errorf("%s has another policy than the program: %s", name, r)
		}
		if r := h.Run("config", "show", "--config", config); r.Code != 0 || !strings.Contains(r.Stdout, "openbao") {
			t.Errorf("%s: %s", name, r)
		}
	}
}

// policyIn is the policy in what store init prints.
func policyIn(text string) string {
	_, rest, _ := strings.Cut(text, "path ")
	policy, _, _ := strings.Cut("path "+rest, "EOF\n")
	return policy
}
