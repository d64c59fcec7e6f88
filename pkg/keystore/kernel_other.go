//go:build !linux

package keystore

import (
	"context"
	"runtime"
)

// Get implements Store.
func (s *Kernel) Get(ctx context.Context, item string) ([]byte, error) {
	return nil, s.absent(ctx, item)
}

// Put implements Store.
func (s *Kernel) Put(ctx context.Context, item string, _ []byte) error { return s.absent(ctx, item) }

// Delete implements Store.
func (s *Kernel) Delete(ctx context.Context, item string) error { return s.absent(ctx, item) }

func (s *Kernel) absent(ctx context.Context, item string) error {
	if err := begin(ctx, s.Name(), item); err != nil {
		return err
	}
	return Unusable(s.Name(), Absent, nil, "kernel store: only Linux has a kernel keyring, this is %s", runtime.GOOS)
}
