package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

func readTOML(text string) ([]setting, error) {
	var tree map[string]any
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		return nil, fmt.Errorf("not TOML: %w", err)
	}
	return flatten("", tree), nil
}

// readDocker reads what docker, podman and the others read of their common file.
func readDocker(text string) ([]setting, error) {
	if text == "" {
		return nil, nil
	}
	if _, _, _, err := openDocker(text); err != nil {
		return nil, err
	}
	var known struct {
		Auths       map[string]struct{ Auth string }
		CredHelpers map[string]string
		CredsStore  string
		HTTPHeaders map[string]string `json:"HttpHeaders"`
		PsFormat    string
		DetachKeys  string
		Plugins     map[string]map[string]string
		Aliases     map[string]string
	}
	if err := json.Unmarshal([]byte(text), &known); err != nil {
		return nil, fmt.Errorf("not as docker has it: %w", err)
	}
	var tree map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, errors.New("not JSON")
	}
	return flatten("", tree), nil
}
