package oidctest

import (
	"maps"
	"slices"
)

// Snapshot remembers what the issuer has given out and what of it was spent. The
// function returned puts all of that back, so that many tests can begin with the
// same grant. Keys, options, faults and the list of requests stay as they are.
func (i *Issuer) Snapshot() (restore func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	grants, spent := slices.Clone(i.grants), i.spent
	refresh, access, users := maps.Clone(i.refresh), maps.Clone(i.access), maps.Clone(i.users)
	states := make([]grant, len(grants))
	for n, g := range grants {
		states[n] = *g
	}
	people := map[string]user{}
	for name, u := range users {
		people[name] = *u
	}
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.grants, i.spent = slices.Clone(grants), spent
		i.refresh, i.access, i.users = maps.Clone(refresh), maps.Clone(access), maps.Clone(users)
		for n, g := range grants {
			*g = states[n]
		}
		for name, u := range users {
			*u = people[name]
		}
	}
}
