package backendtest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// Memory is a backend that ends with the process. It checks and sets.
type Memory struct {
	mu    sync.Mutex
	items map[string]memoryItem
	count int
}

type memoryItem struct {
	value secret.Secret
	rev   backend.Revision
}

// NewMemory returns an empty one.
func NewMemory() *Memory { return &Memory{items: map[string]memoryItem{}} }

// Load implements backend.Backend.
func (m *Memory) Load(_ context.Context, name string) (secret.Secret, backend.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, ok := m.items[name]
	if !ok {
		return "", "", backend.NotFound()
	}
	return item.value, item.rev, nil
}

// Save implements backend.Backend.
func (m *Memory) Save(_ context.Context, name string, value secret.Secret, replaces backend.Revision) (backend.Revision, error) {
	if err := backend.CheckSize(value); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.items[name].rev != replaces {
		return "", backend.Conflict(name)
	}
	m.count++
	rev := backend.Revision(strconv.Itoa(m.count))
	m.items[name] = memoryItem{value, rev}
	return rev, nil
}

// Delete implements backend.Backend.
func (m *Memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.items, name)
	return nil
}

// List implements backend.Backend, two names a page.
func (m *Memory) List(_ context.Context, after string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := slices.Sorted(maps.Keys(m.items))
	from, found := slices.BinarySearch(names, after)
	if found {
		from++
	}
	return names[from:min(from+2, len(names))], nil
}

// Describe implements backend.Backend.
func (m *Memory) Describe() backend.Description {
	return backend.Description{Name: "memory", Where: "this process alone", Volatile: true}
}
