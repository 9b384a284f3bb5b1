package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/secret"
)

// TestSecret_redactsItselfEverywhere prints a secret in every way that a
// careless line could, alone and inside other values.
func TestSecret_redactsItselfEverywhere(t *testing.T) {
	const value = "Qm7wX2vLr9KzT4bNs8JdF3gH6pYc1aVe"
	s := secret.Secret(value)
	type holder struct {
		S secret.Secret
		M map[string]secret.Secret
		P *secret.Secret
	}
	h := holder{S: s, M: map[string]secret.Secret{"k": s}, P: &s}
	outputs := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v", "% x", "%10.3s"} {
		outputs["Secret "+verb] = fmt.Sprintf(strings.ReplaceAll(verb, "%T", ""), s)
		outputs["holder "+verb] = fmt.Sprintf(strings.ReplaceAll(verb, "%T", ""), h)
	}
	outputs["Sprint"] = fmt.Sprint(s)
	outputs["String"], outputs["GoString"] = s.String(), s.GoString()
	outputs["Errorf"] = fmt.Errorf("token %v: %w", s, errors.New("refused")).Error()
	for name, v := range map[string]any{"Secret": s, "holder": h} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		outputs["json "+name] = string(b)
		var text, js bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&js, nil)).Info("m", "v", v)
		outputs["slog text "+name], outputs["slog json "+name] = text.String(), js.String()
	}
	func() {
		defer func() { outputs["panic"] = fmt.Sprint(recover()) }()
		panic(s)
	}()
	hex := fmt.Sprintf("%x", value)
	for name, out := range outputs {
		if strings.Contains(out, value) || strings.Contains(strings.ToLower(out), hex) {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
	if s.Reveal() != value {
		t.Errorf("Reveal() = %q, want %q", s.Reveal(), value)
	}
}
