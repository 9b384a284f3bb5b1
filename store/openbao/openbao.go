package openbao

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// A Store keeps each item under one key of the KV engine, as {"value": VALUE}. An item's
// revision is its version.
type Store struct{ c *client }

const (
	pageSize = 500 // names a page
	// settleTime is how long the nodes may take to agree about an item. The longest lag
	// of a standby that was measured is 0.2 s.
	settleTime = 5 * time.Second
)

// Open returns the backend. It touches nothing and asks nobody.
func Open(cfg Config, o backend.Options) (backend.Backend, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	return &Store{c: newClient(cfg, o)}, nil
}

// Describe implements backend.Backend. An acknowledged write is in a quorum, so it needs
// no reading back.
func (s *Store) Describe() backend.Description {
	f := s.c.cfg
	where := strings.Join(f.Address, " ") + ", " + f.Mount + "/" + f.Prefix
	if f.Namespace != "" {
		where += " in namespace " + f.Namespace
	}
	// Servers come and go. An engine with the same paths at other addresses is taken for
	// the same: a note names its grant, so what is cached of another grant is not served.
	place := fmt.Sprintf("%q %q %q", f.Namespace, f.Mount, f.Prefix)
	return backend.Description{Name: "openbao", Where: where, Place: place, Shared: true, Proves: true, KernelCache: true, Slow: true}
}

// Clock implements backend.Sharer.
func (s *Store) Clock() time.Time {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.clock
}

// Terms implements backend.Sharer.
func (s *Store) Terms() backend.Terms {
	return backend.Terms{Lease: s.c.cfg.lease(), Ask: s.c.cfg.Takeover != takeoverNever}
}

func (s *Store) path(kind, name string) string {
	path := s.c.cfg.Mount + "/" + kind + "/" + s.c.cfg.Prefix
	if name != "" {
		path += "/" + name
	}
	return path
}

// A version is one state of an item.
type version struct {
	number int // 0 where there is no item
	value  secret.Secret
	there  bool // it has a value; an administrator may have deleted the newest version
}

func (v version) revision() backend.Revision {
	if v.number == 0 {
		return ""
	}
	return backend.Revision(strconv.Itoa(v.number))
}

// Load implements backend.Backend. A standby may not know an item yet, so what is
// missing is looked for again at the active node.
func (s *Store) Load(ctx context.Context, name string) (secret.Secret, backend.Revision, error) {
	v, err := s.read(ctx, name, "", "")
	if err == nil && !v.there {
		return s.LoadNewest(ctx, name)
	}
	return v.loaded(err)
}

// LoadNewest implements backend.Sharer.
func (s *Store) LoadNewest(ctx context.Context, name string) (secret.Secret, backend.Revision, error) {
	v, _, err := s.newest(ctx, name)
	return v.loaded(err)
}

// LoadRevision implements backend.Sharer. The engine keeps as many versions as max_versions
// says.
func (s *Store) LoadRevision(ctx context.Context, name string, rev backend.Revision, newest bool) (secret.Secret, error) {
	node := ""
	if newest {
		var err error
		if node, err = s.c.leader(ctx); err != nil {
			return "", err
		}
	}
	v, err := s.read(ctx, name, node, rev)
	value, _, err := v.loaded(err)
	return value, err
}

// loaded is the answer to a Load.
func (v version) loaded(err error) (secret.Secret, backend.Revision, error) {
	switch {
	case err != nil:
		return "", v.revision(), err
	case !v.there:
		return "", v.revision(), backend.NotFound()
	}
	return v.value, v.revision(), nil
}

// read reads an item from any node, or from the one that is given; the newest version, or
// the one that is given.
func (s *Store) read(ctx context.Context, name, node string, rev backend.Revision) (version, error) {
	path, query := s.path("data", name), url.Values{}
	if rev != "" {
		query.Set("version", string(rev))
	}
	rep, err := s.c.do(ctx, request{method: http.MethodGet, path: path, query: query, only: node})
	if err != nil {
		return version{}, err
	}
	var answer struct {
		Data *struct {
			Data     map[string]any `json:"data"`
			Metadata *struct {
				Version int `json:"version"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if rep.status != http.StatusOK && rep.status != http.StatusNotFound {
		return version{}, s.c.refused(rep, "read", path)
	}
	if words := said(rep.body); strings.Contains(words, "no handler") {
		return version{}, s.c.refused(rep, "read", path)
	}
	err = json.Unmarshal(rep.body, &answer)
	switch {
	case rep.status == http.StatusNotFound && (err != nil || answer.Data == nil):
		return version{}, nil
	case err != nil || answer.Data == nil || answer.Data.Metadata == nil || answer.Data.Metadata.Version < 1:
		return version{}, s.c.unavailable(errNotKV2, "%s", path)
	}
	v := version{number: answer.Data.Metadata.Version}
	value, isText := answer.Data.Data["value"].(string)
	if rep.status == http.StatusOK && !isText {
		return v, backend.Errorf(backend.ErrCorrupt, nil, nil, "%s was not written by t2-cred", path)
	}
	v.value, v.there = secret.Secret(value), isText
	return v, nil
}

// newest reads an item from the active node. Where that one is not in the list of
// addresses, such as behind a load balancer, several nodes are likely asked, and the
// newest state that any has is taken. sure reports whether the active node said it.
func (s *Store) newest(ctx context.Context, name string) (v version, sure bool, err error) {
	if v, sure, err = s.atLeader(ctx, name); sure || err != nil {
		return v, sure, err
	}
	for try := 0; try < 4; try++ {
		if try > 0 && !sleep(ctx, 100*time.Millisecond) {
			return v, false, hint.TimeUp(ctx.Err(), "while the engine's nodes were asked")
		}
		seen, err := s.read(ctx, name, "", "")
		if err != nil {
			return v, false, err
		}
		if seen.number >= v.number {
			v = seen
		}
	}
	return v, false, nil
}

// atLeader reads an item from the active node, if that is in the list of addresses. The
// standbys name a node that has gone until there is another.
func (s *Store) atLeader(ctx context.Context, name string) (v version, sure bool, err error) {
	patient, cancel := context.WithTimeout(ctx, awayPatience)
	defer cancel()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		leader, err := s.c.leader(patient)
		if err != nil || leader == "" {
			return version{}, false, err
		}
		v, err := s.read(patient, name, leader, "")
		var gone *away
		if !errors.As(err, &gone) {
			s.c.prefer(leader) // what was just found to be old is not asked again
			return v, err == nil, err
		}
		if !sleep(patient, pause) {
			return version{}, false, err
		}
	}
}

// leader is the address of the active node; empty when no address of the list is it.
func (c *client) leader(ctx context.Context) (string, error) {
	rep, err := c.call(ctx, request{method: http.MethodGet, path: "sys/leader", bare: true}, "")
	if err != nil {
		return "", err
	}
	var answer struct {
		HA      *bool  `json:"ha_enabled"`
		Self    bool   `json:"is_self"`
		Address string `json:"leader_address"`
	}
	switch {
	case rep.status != http.StatusOK || json.Unmarshal(rep.body, &answer) != nil || answer.HA == nil:
		return "", nil
	case !*answer.HA:
		return rep.at, nil
	case answer.Self && len(c.cfg.Address) == 1:
		return "", nil // behind one address there may be many nodes
	case answer.Self:
		return rep.at, nil
	}
	return c.listed(answer.Address), nil
}

// prefer has an address asked first from now on.
func (c *client) prefer(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, one := range c.cfg.Address {
		if base(one) == address {
			c.at = n
		}
	}
}

// Save implements backend.Backend, by check-and-set.
func (s *Store) Save(ctx context.Context, name string, value secret.Secret, replaces backend.Revision) (backend.Revision, error) {
	if err := backend.CheckSize(value); err != nil {
		return "", err
	}
	at, err := 0, error(nil)
	if replaces != "" {
		if at, err = strconv.Atoi(string(replaces)); err != nil || at < 1 {
			return "", backend.Conflict(name)
		}
	}
	// The wait for another active node does not count as disagreement.
	left := settleTime
	for node, pause := "", 20*time.Millisecond; ; pause *= 2 {
		rev, refused, err := s.set(ctx, name, value, at, node)
		var gone *away
		if node != "" && errors.As(err, &gone) {
			rev, refused, err = s.set(ctx, name, value, at, "")
		}
		if err != nil || !refused {
			return rev, err
		}
		// A standby judges by its own state, which may be old. The refusal may also be of
		// a second try, after the answer to the first was lost.
		now, sure, err := s.newest(ctx, name)
		switch {
		case err != nil && !errors.Is(err, backend.ErrCorrupt):
			return "", err
		case now.number == at+1 && now.there && now.value == value:
			return now.revision(), nil
		case now.number > at, sure && now.number < at:
			return "", backend.Conflict(name)
		}
		if node, err = s.c.leader(ctx); err != nil {
			return "", err
		}
		if left -= pause; left < 0 || !sleep(ctx, pause) {
			if now.number < at { // no node knows our version any more
				return "", backend.Conflict(name)
			}
			return "", s.c.unavailable(nil, "the engine's nodes do not agree about %s", s.path("data", name))
		}
	}
}

// set is one check-and-set. refused says that a node saw the item at another version.
func (s *Store) set(ctx context.Context, name string, value secret.Secret, at int, node string) (rev backend.Revision, refused bool, err error) {
	path := s.path("data", name)
	body := map[string]any{"options": map[string]int{"cas": at}, "data": map[string]string{"value": value.Reveal()}} // leaves for the engine
	rep, err := s.c.do(ctx, request{method: http.MethodPost, path: path, body: body, only: node, hidden: []secret.Secret{value}})
	if err != nil {
		return "", false, err
	}
	if rep.status == http.StatusBadRequest && strings.Contains(said(rep.body), "check-and-set parameter did not match") {
		return "", true, nil
	}
	if rep.status != http.StatusOK {
		return "", false, s.c.refused(rep, "write", path)
	}
	var answer struct {
		Data *struct {
			Version int `json:"version"`
		} `json:"data"`
	}
	if json.Unmarshal(rep.body, &answer) != nil || answer.Data == nil || answer.Data.Version < 1 {
		return "", false, s.c.unavailable(errNotKV2, "%s", path)
	}
	return version{number: answer.Data.Version}.revision(), false, nil
}

// Delete implements backend.Backend. It removes the metadata: without that the old
// versions would stay.
func (s *Store) Delete(ctx context.Context, name string) error {
	path := s.path("metadata", name)
	rep, err := s.c.do(ctx, request{method: http.MethodDelete, path: path})
	if err != nil {
		return err
	}
	if rep.status != http.StatusNoContent && rep.status != http.StatusOK && rep.status != http.StatusNotFound {
		return s.c.refused(rep, "delete", path)
	}
	return nil
}

// A page is the answer to a list.
type page struct {
	last string   // of all names that the engine gave; a name with a slash at its end is a folder
	Keys []string `json:"keys"`
	Info map[string]struct {
		About map[string]string `json:"custom_metadata"`
	} `json:"key_info"`
}

// list asks for the names after one. HashiCorp Vault ignores limit and after, and gives
// the whole list.
func (s *Store) list(ctx context.Context, kind, after string) (p page, missing bool, err error) {
	query := url.Values{"list": {"true"}, "limit": {strconv.Itoa(pageSize)}}
	if after != "" {
		query.Set("after", after)
	}
	path := s.path(kind, "")
	rep, err := s.c.do(ctx, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return p, false, err
	}
	if rep.status == http.StatusNotFound && !strings.Contains(said(rep.body), "no handler") {
		return p, true, nil
	}
	var answer struct {
		Data *page `json:"data"`
	}
	if rep.status != http.StatusOK {
		return p, false, s.c.refused(rep, "list", path)
	}
	if json.Unmarshal(rep.body, &answer) != nil || answer.Data == nil {
		return p, false, s.c.unavailable(errNotKV2, "%s", path)
	}
	p = *answer.Data
	p.Keys = slices.DeleteFunc(p.Keys, func(name string) bool { return name <= after })
	slices.Sort(p.Keys)
	if len(p.Keys) > 0 {
		p.last = p.Keys[len(p.Keys)-1]
	}
	p.Keys = slices.DeleteFunc(p.Keys, func(name string) bool { return strings.HasSuffix(name, "/") })
	return p, false, nil
}

// nextPage asks for pages until one has a name, or there is none left.
func (s *Store) nextPage(ctx context.Context, kind, after string) (p page, missing bool, err error) {
	p.last = after
	for {
		if p, missing, err = s.list(ctx, kind, p.last); err != nil || len(p.Keys) > 0 || p.last == "" {
			return p, missing && after == "", err
		}
	}
}

// List implements backend.Backend.
func (s *Store) List(ctx context.Context, after string) ([]string, error) {
	p, _, err := s.nextPage(ctx, "metadata", after)
	return p.Keys, err
}

// Annotate implements backend.Sharer, in the item's custom metadata.
func (s *Store) Annotate(ctx context.Context, name string, about map[string]string) error {
	path := s.path("metadata", name)
	rep, err := s.c.do(ctx, request{method: http.MethodPost, path: path, body: map[string]any{"custom_metadata": about}})
	if err != nil {
		return err
	}
	if rep.status != http.StatusNoContent && rep.status != http.StatusOK {
		return s.c.refused(rep, "write", path)
	}
	return nil
}

// Annotations implements backend.Sharer. OpenBao gives the metadata of many items at
// once; HashiCorp Vault does not.
func (s *Store) Annotations(ctx context.Context, after string) ([]backend.Annotated, error) {
	p, missing, err := s.nextPage(ctx, "detailed-metadata", after)
	if err != nil {
		return nil, err
	}
	if missing {
		if names, err := s.List(ctx, ""); err != nil || len(names) == 0 {
			return nil, err
		}
		return nil, errors.ErrUnsupported
	}
	all := make([]backend.Annotated, len(p.Keys))
	for i, name := range p.Keys {
		all[i] = backend.Annotated{Name: name, About: p.Info[name].About}
	}
	return all, nil
}
