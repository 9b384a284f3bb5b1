package openbao

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// maxClock is how far this machine's clock may be from the engine's. It does not enter a
// lease; access tokens end by it.
const maxClock = 5 * time.Second

// Probe implements backend.Sharer. Through each address it writes, checks and sets, reads
// and deletes an item of its own.
func (s *Store) Probe(ctx context.Context) []backend.Finding {
	all := []backend.Finding{s.probeRights(ctx)}
	for _, address := range s.c.cfg.Address {
		all = append(all, s.probeNode(ctx, base(address))...)
	}
	return append(all, s.probeLeader(ctx)...)
}

// fresh is the same store in a process that has seen no state yet.
func (s *Store) fresh() *Store { return &Store{c: newClient(s.c.cfg, s.c.opt)} }

// probeRights asks the engine what this machine's policy allows.
func (s *Store) probeRights(ctx context.Context) backend.Finding {
	wanted := s.rights()
	paths := make([]string, len(wanted))
	for i, w := range wanted {
		paths[i] = w.path
	}
	rep, err := s.c.do(ctx, request{method: http.MethodPost, path: "sys/capabilities-self", body: map[string]any{"paths": paths}})
	if err == nil && rep.status != http.StatusOK {
		err = s.c.refused(rep, "write", "sys/capabilities-self")
	}
	if err != nil {
		return backend.Finding{What: "the machine's login and policy", Err: err}
	}
	var answer struct{ Data map[string]any }
	if err := json.Unmarshal(rep.body, &answer); err != nil {
		return backend.Finding{What: "the machine's policy", Err: s.c.unavailable(errNotKV2, "sys/capabilities-self")}
	}
	var missing []string
	for _, w := range wanted {
		has, _ := answer.Data[w.path].([]any)
		for _, capability := range w.capabilities {
			if !slices.Contains(has, any(capability)) && !slices.Contains(has, any("root")) {
				missing = append(missing, capability+" "+w.path)
			}
		}
	}
	if len(missing) > 0 {
		return backend.Finding{What: "the machine's policy", Err: backend.Errorf(backend.ErrUnavailable, nil,
			hint.Do(hint.Run("store", "init", "--store", "openbao"), hint.Words(" shows the policy")), "the policy of this machine lacks: %s", strings.Join(missing, ", "))}
	}
	return backend.Finding{What: "this machine can log in, and its policy allows what is needed"}
}

// A right is what the policy has to allow on a path.
type right struct {
	path         string
	capabilities []string
}

// rights are those that the store needs, on an example of each path.
func (s *Store) rights() []right {
	return []right{
		{s.path("data", "grant"), []string{"create", "read", "update"}},
		{s.path("metadata", "grant"), []string{"create", "update", "delete"}},
		{s.path("metadata", "") + "/", []string{"list"}},
		{s.path("detailed-metadata", "") + "/", []string{"list"}},
	}
}

func (s *Store) probeNode(ctx context.Context, node string) (all []backend.Finding) {
	failed := func(err error) []backend.Finding {
		return append(all, backend.Finding{What: "the node at " + node, Err: err})
	}
	c := s.fresh().c
	query := url.Values{"standbyok": {"true"}}
	rep, err := c.call(ctx, request{method: http.MethodGet, path: "sys/health", query: query, bare: true, only: node, quick: true}, "")
	if err != nil {
		return failed(err)
	}
	var health struct {
		Sealed, Standby bool
		Version         string
	}
	if rep.status != http.StatusOK || json.Unmarshal(rep.body, &health) != nil {
		return failed(c.unavailable(nil, "the node at %s answers %d to sys/health", node, rep.status))
	}
	role := "active"
	if health.Standby {
		role = "standby"
	}
	what := fmt.Sprintf("%s is %s, version %s", node, role, shown(health.Version))
	if away := s.c.opt.Now().Sub(rep.date); !rep.date.IsZero() && away.Abs() > maxClock {
		all = append(all, backend.Finding{What: fmt.Sprintf("the clock of %s differs from this machine's by %s", node, away.Round(time.Second)), Warn: true})
	}
	old, err := s.probeItem(ctx, node)
	switch {
	case err != nil:
		return failed(err)
	case old:
		all = append(all, backend.Finding{What: what + "; it answered a read with an old state, which t2-cred allows for; disable_standby_reads in the engine's configuration avoids the extra requests", Warn: true})
	default:
		all = append(all, backend.Finding{What: what + ": write, check-and-set and read work"})
	}
	return all
}

// probeItem writes through a node. old reports whether a read through it, by a process
// that has seen no state, gave an old one.
func (s *Store) probeItem(ctx context.Context, node string) (old bool, err error) {
	writer, reader, name := s.fresh(), s.fresh(), "probe,"+strings.ToLower(rand.Text())
	value := secret.Secret("probe")
	defer func() { _ = writer.Delete(context.WithoutCancel(ctx), name) }()
	for version := range 2 {
		_, refused, err := writer.set(ctx, name, value, version, node)
		if err == nil && refused {
			err = s.c.unavailable(nil, "%s refuses a check-and-set on the newest version", node)
		}
		if err != nil {
			return false, err
		}
	}
	seen, err := reader.read(ctx, name, node, "")
	if err != nil {
		return false, err
	}
	_, refused, err := writer.set(ctx, name, value, 0, node)
	if err == nil && !refused {
		err = s.c.unavailable(errors.New("the item was overwritten"), "%s does not check before it sets", node)
	}
	return seen.number < 2, err
}

// probeLeader says where the active node cannot be asked itself.
func (s *Store) probeLeader(ctx context.Context) []backend.Finding {
	leader, err := s.fresh().c.leader(ctx)
	if err == nil && leader == "" {
		return []backend.Finding{{What: "address does not list the active node, so a standby that is behind costs up to a second; list all nodes", Warn: true}}
	}
	return nil
}

// Policy is the policy that a machine needs, in the engine's language.
func (c Config) Policy() string {
	return strings.NewReplacer("MOUNT", c.Mount, "PREFIX", c.Prefix).Replace(`path "MOUNT/data/PREFIX/*" {
  capabilities = ["create", "read", "update"]
}
path "MOUNT/metadata/PREFIX/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
path "MOUNT/detailed-metadata/PREFIX/*" {
  capabilities = ["list"]
}
`)
}

// PolicyName is a name for it.
func (c Config) PolicyName() string { return strings.ReplaceAll(c.Prefix, "/", "-") }

// AdminCommands are what the engine's administrator types, after the policy was written.
// Words in capitals are for the administrator to replace.
func (c Config) AdminCommands() (lines [][]string) {
	login := map[string]string{
		authJWT: "bao write auth/METHOD/role/ROLE role_type=jwt user_claim=sub bound_audiences=AUDIENCE bound_subject=SUBJECT token_policies=POLICY token_ttl=1h",
		authKubernetes: "bao write auth/METHOD/role/ROLE bound_service_account_names=ACCOUNT bound_service_account_namespaces=NAMESPACE " +
			"token_policies=POLICY token_ttl=1h",
		authAppRole: "bao write auth/METHOD/role/POLICY token_policies=POLICY token_ttl=1h\n" +
			"bao read -field=role_id auth/METHOD/role/POLICY/role-id\nbao write -f -field=secret_id auth/METHOD/role/POLICY/secret-id",
		authCert:      "bao write auth/METHOD/certs/ROLE certificate=@FILE token_policies=POLICY token_ttl=1h",
		authTokenFile: "bao token create -orphan -period=24h -policy=POLICY -field=token",
	}[c.Auth]
	text := "bao secrets enable -path=MOUNT -version=2 kv\nbao write MOUNT/config max_versions=2\n" + login
	role := c.Role
	if role == "" {
		role = c.PolicyName()
	}
	words := strings.NewReplacer("MOUNT", c.Mount, "METHOD", c.authMount(), "ROLE", role, "POLICY", c.PolicyName())
	for line := range strings.Lines(text) {
		argv := strings.Fields(line)
		for i := range argv {
			argv[i] = words.Replace(argv[i])
		}
		lines = append(lines, argv)
	}
	return lines
}
