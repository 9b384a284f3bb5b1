package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/terradue/t2-cred/helper/secret"
)

func init() {
	register("memory", func(Options, string) (Backend, error) {
		return &memory{items: map[string]secret.Secret{}, locks: map[string]chan struct{}{}}, nil
	})
}

// memory keeps everything in this process and nothing after it: for tests, and
// for who wants nothing kept.
type memory struct {
	mu    sync.Mutex
	items map[string]secret.Secret
	locks map[string]chan struct{} // filled while held
}

func (m *memory) Load(_ context.Context, name string) (secret.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.items[name]
	if !ok {
		return "", &Error{Kind: ErrNotFound}
	}
	return v, nil
}

func (m *memory) Save(_ context.Context, name string, value secret.Secret) error {
	if err := checkSize(value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items[name] = value
	return nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.items, name)
	return nil
}

func (m *memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.items)), nil
}

// lock makes memory its own locker: what only this process sees needs no file.
func (m *memory) lock(ctx context.Context, name string) (func(), error) {
	m.mu.Lock()
	c, ok := m.locks[name]
	if !ok {
		c = make(chan struct{}, 1)
		m.locks[name] = c
	}
	m.mu.Unlock()
	select {
	case c <- struct{}{}:
		return func() { <-c }, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, &Error{Kind: ErrBusy, Detail: "this process itself holds it"}
	}
}

// ownNotes says that notes, too, stay in this process.
func (m *memory) ownNotes() noteShelf { return &memoryNotes{} }
