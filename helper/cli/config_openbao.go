package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

// storesConfig are the tables of stores that need more than their name.
type storesConfig struct {
	OpenBao *openbaoConfig `toml:"openbao"`
}

// openbaoConfig is the table stores.openbao. It holds no secret: credentials are files, or
// credentials of systemd.
type openbaoConfig struct {
	Address      any    `toml:"address"` // a string or a list
	CAFile       string `toml:"ca_file"`
	Namespace    string `toml:"namespace"`
	Mount        string `toml:"mount"`
	Prefix       string `toml:"prefix"`
	Auth         string `toml:"auth"`
	AuthMount    string `toml:"auth_mount"`
	Role         string `toml:"role"`
	JWTFile      string `toml:"jwt_file"`
	RoleIDFile   string `toml:"role_id_file"`
	SecretIDFile string `toml:"secret_id_file"`
	CertFile     string `toml:"cert_file"`
	KeyFile      string `toml:"key_file"`
	TokenFile    string `toml:"token_file"`
	Lease        string `toml:"lease"`
	Takeover     string `toml:"takeover"`
}

func openbaoKeys() []string {
	return []string{
		"address", "ca_file", "namespace", "mount", "prefix", "auth", "auth_mount", "role", "jwt_file", "role_id_file",
		"secret_id_file", "cert_file", "key_file", "token_file", "lease", "takeover",
	}
}

// values are the keys that are set, with their values.
func (t *openbaoConfig) values() (all [][2]string) {
	for i, value := range []string{
		strings.Trim(fmt.Sprint(t.Address), "[]"), t.CAFile, t.Namespace, t.Mount, t.Prefix, t.Auth, t.AuthMount, t.Role, t.JWTFile, t.RoleIDFile,
		t.SecretIDFile, t.CertFile, t.KeyFile, t.TokenFile, t.Lease, t.Takeover,
	} {
		if value != "" {
			all = append(all, [2]string{openbaoKeys()[i], value})
		}
	}
	return all
}

// checkOpenBao makes the table what package store knows; nil for no table.
func checkOpenBao(path string, text []byte, t *openbaoConfig) (*store.OpenBao, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // as the doc comment says
	}
	wrong := func(key, why string) error {
		return configErrorf(hint.Say("mend the line"), "configuration %s: stores.openbao.%s %s", at(path, text, "stores", "openbao", key), key, why)
	}
	o := store.OpenBao{
		CAFile: t.CAFile, Namespace: t.Namespace, Mount: t.Mount, Prefix: t.Prefix, Auth: t.Auth, AuthMount: t.AuthMount, Role: t.Role,
		JWTFile: t.JWTFile, RoleIDFile: t.RoleIDFile, SecretIDFile: t.SecretIDFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
		TokenFile: t.TokenFile, Takeover: t.Takeover,
	}
	switch address := t.Address.(type) {
	case nil:
	case string:
		o.Address = []string{address}
	case []any:
		for _, one := range address {
			word, ok := one.(string)
			if !ok {
				return nil, wrong("address", "must be a string or a list of strings")
			}
			o.Address = append(o.Address, word)
		}
	default:
		return nil, wrong("address", "must be a string or a list of strings")
	}
	for _, kv := range t.values() {
		if strings.HasSuffix(kv[0], "_file") && (looksSecret(kv[1]) || isUUID(kv[1])) {
			return nil, wrong(kv[0], "looks like a secret; the configuration names files, and holds none")
		}
	}
	if t.Lease != "" {
		var err error
		if o.Lease, err = time.ParseDuration(t.Lease); err != nil {
			return nil, wrong("lease", "is not a duration such as \"60s\"")
		}
	}
	if bad, ok := errors.AsType[*store.OpenBaoError](o.Check()); ok {
		return nil, wrong(bad.Key, bad.Why)
	}
	return &o, nil
}
