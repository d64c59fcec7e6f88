package keystore

import (
	"bytes"
	"context"
	"sync"
)

// Memory is a store that ends with its process. Use [NewMemory].
type Memory struct {
	mu    sync.Mutex
	items map[string][]byte
}

// NewMemory returns an empty store in memory.
func NewMemory() *Memory { return &Memory{items: map[string][]byte{}} }

// Name implements Store.
func (m *Memory) Name() string { return "memory" }

// Get implements Store.
func (m *Memory) Get(ctx context.Context, item string) ([]byte, error) {
	if err := begin(ctx, m.Name(), item); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.items[item]
	if !ok {
		return nil, notFound(m.Name(), item)
	}
	return bytes.Clone(value), nil
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, item string, value []byte) error {
	if err := begin(ctx, m.Name(), item); err != nil {
		return err
	}
	if err := checkSize(m.Name(), item, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items[item] = bytes.Clone(value)
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, item string) error {
	if err := begin(ctx, m.Name(), item); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.items[item]; !ok {
		return notFound(m.Name(), item)
	}
	delete(m.items, item)
	return nil
}
