package durable

import (
	"os"

	"github.com/gofrs/flock"
)

// Held is a lock on a file. It ends with [Held.Release] or with the process,
// however that ends, so no lock is ever stale.
type Held struct{ f *flock.Flock }

func tryLock(path string, exclusive bool) (*Held, error) {
	f := flock.New(path, flock.SetPermissions(0o600))
	try := f.TryRLock
	if exclusive {
		try = f.TryLock
	}
	ok, err := try()
	if err != nil || !ok {
		_ = f.Close()
		return nil, err
	}
	return &Held{f}, nil
}

// Path is the path of the lock file.
func (h *Held) Path() string { return h.f.Path() }

func (h *Held) stat() (os.FileInfo, error) { return h.f.Stat() }

// Release gives the lock up. It may be called more than once.
func (h *Held) Release() error { return h.f.Unlock() }

// Inherit does nothing: a lock of Windows is its process's own.
func (h *Held) Inherit() (stop func()) { return func() {} }
