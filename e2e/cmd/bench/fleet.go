package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/terradue/t2-cred/e2e/openbao"
	"github.com/terradue/t2-cred/e2e/run"
)

// fleet measures a refresh through the shared store, on an engine of three servers.
func (b *bench) fleet(r *report) error {
	if !b.size.engine {
		return nil
	}
	engine, err := b.newFleetHome(openbao.Start(b.t, openbao.Options{}))
	if err != nil {
		return err
	}
	const base, ours, cached = "t2-cred get --fresh, file store", "t2-cred get --fresh, OpenBao", "t2-cred get, OpenBao"
	get, err := b.cachedGet(engine)
	if err != nil {
		return err
	}
	tasks := []task{once(base, b.t2(b.file, "get", "--fresh")), once(ours, b.t2(engine, "get", "--fresh")), once(cached, get)}
	got, err := b.sample(b.size.refresh, tasks...)
	if err != nil {
		return err
	}
	r.add(timing("A refresh through OpenBao", fmt.Sprintf(`From start to exit on %s, %d rounds, with an engine of three servers on one disk. The
difference is a TLS connection, two reads, and two writes that wait for the disks of two
servers. A cached get asks the kernel's keyring alone.`, b.issuer.about, b.size.refresh), got, tasks))
	r.judge("refresh, OpenBao / file store", 2, got[ours].over(got[base]), "×")
	return nil
}

// newFleetHome is a user of the engine, who has made one exchange.
func (b *bench) newFleetHome(c *openbao.Cluster) (*run.Home, error) {
	const prefix = "bench"
	c.Store()
	c.SetPolicy(prefix, openbao.Policy(prefix))
	keys := b.path("approle")
	if err := os.Mkdir(keys, 0o700); err != nil {
		return nil, err
	}
	c.AppRole(prefix, prefix, "1h", keys)
	h := b.program.NewHome(b.t).Set(b.ring.Bus())
	h.InClear()
	file := filepath.Join(h.Dir, ".config/t2-cred/config.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`store = "openbao"

[stores.openbao]
address = ["%s"]
ca_file = %q
mount = %q
prefix = %q
auth = "approle"
role_id_file = %q
secret_id_file = %q
`, strings.Join(c.Addresses(), `", "`), c.CAFile(), openbao.Mount, prefix, filepath.Join(keys, "role-id"), filepath.Join(keys, "secret-id"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	b.addProfile(h)
	return h, nil
}
