package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// thePod is the pod of docs/recipes/kubernetes.md, decoded by Kubernetes' own types,
// which refuse what they do not know.
func thePod(t *testing.T) corev1.Pod {
	t.Helper()
	docs := strings.Split(snippets(t, "recipes/kubernetes.md", "yaml")[0], "\n---\n")
	if len(docs) != 2 {
		t.Fatalf("%d manifests, want the secret and the pod", len(docs))
	}
	var secret corev1.Secret
	var pod corev1.Pod
	strict(t, docs[0], &secret)
	strict(t, docs[1], &pod)
	if secret.Kind != "Secret" || pod.Kind != "Pod" || secret.APIVersion != "v1" || pod.APIVersion != "v1" {
		t.Fatalf("%s/%s and %s/%s", secret.APIVersion, secret.Kind, pod.APIVersion, pod.Kind)
	}
	if err := yaml.UnmarshalStrict([]byte(docs[1]+"\nspeck: {}\n"), &corev1.Pod{}); err == nil {
		t.Error("an unknown field is not refused: this shows nothing")
	}
	for _, v := range pod.Spec.Volumes {
		if v.Secret == nil {
			continue
		}
		if v.Secret.SecretName != secret.Name || *v.Secret.DefaultMode != 0o440 || secret.StringData["identity"] == "" {
			t.Errorf("the pod does not mount %s for its group alone: %+v", secret.Name, v.Secret)
		}
	}
	return pod
}

func strict(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// TestRecipeKubernetes_kubectl: kubectl reads the manifests. Without a cluster that is
// as far as it goes.
func TestRecipeKubernetes_kubectl(t *testing.T) {
	kubectl := needTool(t, "kubectl", "kubectl/current")
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", os.DevNull)
	writeIn(t, dir, "job.yaml", block(t, "recipes/kubernetes.md", "yaml"))
	t.Logf("kubectl: %s", strings.Fields(output(t, kubectl, "version", "--client"))[2])
	if out := output(t, kubectl, "label", "--local", "--dry-run=client", "-o", "name", "-f", filepath.Join(dir, "job.yaml"), "read=yes"); out != "secret/t2-cred-identity\npod/job\n" {
		t.Errorf("kubectl read %q", out)
	}
}

// TestRecipeKubernetes: the pod is as strict as the restricted Pod Security Standard,
// and its volumes are where they should be.
func TestRecipeKubernetes(t *testing.T) {
	pod := thePod(t)
	s := pod.Spec.SecurityContext
	if !*s.RunAsNonRoot || *s.RunAsUser == 0 || *s.FSGroup != *s.RunAsGroup || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's securityContext is %+v", s)
	}
	volumes := map[string]corev1.Volume{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = v
	}
	job, all := pod.Spec.Containers[0], append(pod.Spec.InitContainers, pod.Spec.Containers...)
	for _, c := range all {
		s := c.SecurityContext
		if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("container %s: securityContext is %+v", c.Name, s)
		}
		for _, m := range c.VolumeMounts {
			if _, ok := volumes[m.Name]; !ok || m.SubPath != "" {
				t.Errorf("container %s mounts %+v", c.Name, m)
			}
		}
	}
	if e := volumes["token"].EmptyDir; e == nil || e.Medium != corev1.StorageMediumMemory {
		t.Errorf("the token is not in memory: %+v", volumes["token"])
	}
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace == nil || *grace < 45 {
		t.Error("the grace period is shorter than a refresh may take")
	}
	if len(job.VolumeMounts) != 1 || job.VolumeMounts[0].Name != "token" || !job.VolumeMounts[0].ReadOnly {
		t.Errorf("the job has more than the token: %+v", job.VolumeMounts)
	}
	first, sidecar := pod.Spec.InitContainers[0], pod.Spec.InitContainers[1]
	if always := sidecar.RestartPolicy; always == nil || *always != corev1.ContainerRestartPolicyAlways || first.RestartPolicy != nil {
		t.Errorf("%s is no sidecar, or %s is one", sidecar.Name, first.Name)
	}
}

// TestRecipeKubernetes_withoutSecret: the manifests of the ADES name no secret anywhere. The
// program reads their configuration, and each projected token is at the path and for the
// audience that the configuration wants.
func TestRecipeKubernetes_withoutSecret(t *testing.T) {
	docs := strings.Split(snippets(t, "recipes/kubernetes.md", "yaml")[1], "\n---\n")
	if len(docs) != 2 {
		t.Fatalf("%d manifests, want the configuration and the pod", len(docs))
	}
	var config corev1.ConfigMap
	var pod corev1.Pod
	strict(t, docs[0], &config)
	strict(t, docs[1], &pod)
	if config.Kind != "ConfigMap" || pod.Kind != "Pod" || pod.Spec.ServiceAccountName == "" || *pod.Spec.AutomountServiceAccountToken {
		t.Errorf("%s and %s, service account %q", config.Kind, pod.Kind, pod.Spec.ServiceAccountName)
	}
	tokens := map[string]string{} // by path, their audience
	mounted := ""
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil {
			t.Errorf("volume %s is a secret", v.Name)
		}
		if v.ConfigMap != nil && v.ConfigMap.Name != config.Name {
			t.Errorf("volume %s is of ConfigMap %s", v.Name, v.ConfigMap.Name)
		}
		if v.Projected == nil {
			continue
		}
		for _, m := range pod.Spec.Containers[0].VolumeMounts {
			if m.Name == v.Name {
				mounted = m.MountPath
			}
		}
		for _, source := range v.Projected.Sources {
			if source.ServiceAccountToken == nil {
				t.Fatalf("volume %s has something else than a token: %+v", v.Name, source)
			}
			tokens[mounted+"/"+source.ServiceAccountToken.Path] = source.ServiceAccountToken.Audience
		}
	}
	for _, e := range pod.Spec.Containers[0].Env {
		if e.ValueFrom != nil || strings.Contains(e.Name, "SECRET") {
			t.Errorf("the environment has %s", e.Name)
		}
	}
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(config.Data["config.toml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	home := program(t).NewHome(t)
	shown := readJSON(t, home.Want(0, "profile", "show", "gep", "--json", "--config", path).Stdout)
	file, _ := shown["client_assertion_file"].(string)
	if shown["client_auth"] != "jwt_file" || tokens[file] == "" || tokens[file] != shown["issuer"] {
		t.Errorf("client_auth %v, its file %q for %q of %v", shown["client_auth"], file, tokens[file], tokens)
	}
	if out := home.Want(0, "config", "show", "--config", path).Stdout; !strings.Contains(out, "/var/run/secrets/tokens/openbao") || tokens["/var/run/secrets/tokens/openbao"] != "openbao" {
		t.Errorf("config show says\n%s\nand the tokens are %v", out, tokens)
	}
}
