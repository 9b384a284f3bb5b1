package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	credentialprovider "k8s.io/kubelet/pkg/apis/credentialprovider/v1"

	"github.com/terradue/t2-cred/e2e/run"
)

// TestHookKubelet plays the kubelet, which needs a node: the request is encoded and the
// answer decoded by the types that Kubernetes publishes, as strictly as it can.
func TestHookKubelet(t *testing.T) {
	s := newToolStage(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	scheme := runtime.NewScheme()
	if err := credentialprovider.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	ask := func(image string) credentialprovider.CredentialProviderResponse {
		t.Helper()
		request, err := json.Marshal(credentialprovider.CredentialProviderRequest{
			TypeMeta: metav1.TypeMeta{Kind: "CredentialProviderRequest", APIVersion: credentialprovider.SchemeGroupVersion.String()},
			Image:    image, ServiceAccountAnnotations: map[string]string{"a": "b"},
		})
		if err != nil {
			t.Fatal(err)
		}
		r := s.WantDo(0, run.Cmd{Args: []string{"kubelet", "--profile", "gep"}, Stdin: string(request), Product: true})
		object, kind, err := decoder.Decode([]byte(r.Stdout), nil, nil)
		answer, ok := object.(*credentialprovider.CredentialProviderResponse)
		if err != nil || !ok {
			t.Fatalf("%v: %v", kind, err)
		}
		return *answer
	}

	answer := ask(s.server.host + "/eo/app:1.0")
	auth, ok := answer.Auth[s.server.host]
	if !ok || len(answer.Auth) != 1 || auth.Username != "oauth2" || answer.CacheKeyType != credentialprovider.RegistryPluginCacheKeyType {
		t.Errorf("%d registries, cached by %q", len(answer.Auth), answer.CacheKeyType)
	}
	if answer.CacheDuration == nil || answer.CacheDuration.Duration <= 0 || answer.CacheDuration.Duration > time.Hour {
		t.Errorf("kept for %v", answer.CacheDuration)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.server.host+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+auth.Password)
	response, err := s.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("HTTP %d", response.StatusCode)
	}
	s.server.wantRequests(t, "alice")

	if none := ask("library/nginx"); len(none.Auth) != 0 || none.CacheDuration.Duration != 0 {
		t.Errorf("for Docker Hub: %d registries", len(none.Auth))
	}
}
