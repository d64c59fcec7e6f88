//go:build !windows

package durable

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Held is a lock on a file. It ends with [Held.Release] or with the process,
// however that ends, so no lock is ever stale.
type Held struct {
	path string
	mu   sync.Mutex
	f    *os.File // nil once released
}

// tryLock uses flock(2): the lock belongs to the open file, not to the process,
// so that two calls exclude each other within one process as well.
func tryLock(path string, exclusive bool) (*Held, error) {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	f, err := openLock(path, os.O_RDONLY, how)
	if errors.Is(err, unix.EBADF) || errors.Is(err, unix.EIO) {
		f, err = openLock(path, os.O_RDWR, how) // NFS locks alone only what is open for writing
	}
	if f == nil {
		return nil, err
	}
	return &Held{path: path, f: f}, nil
}

func openLock(path string, flag, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|flag, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB) //nolint:gosec // a file descriptor fits an int
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil //nolint:nilnil // somebody else holds it
	}
	return nil, &os.PathError{Op: "lock", Path: path, Err: err}
}

// Path is the path of the lock file.
func (h *Held) Path() string { return h.path }

func (h *Held) stat() (os.FileInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.f == nil {
		return nil, os.ErrClosed
	}
	return h.f.Stat()
}

// Release gives the lock up, for those who inherited it, too. It may be called
// more than once.
func (h *Held) Release() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.f == nil {
		return nil
	}
	err := unix.Flock(int(h.f.Fd()), unix.LOCK_UN) //nolint:gosec // a file descriptor fits an int
	if closed := h.f.Close(); err == nil {
		err = closed
	}
	h.f = nil
	return err
}

// inheritFrom is far above the descriptors that shells and tools use by number.
const inheritFrom = 128

// Inherit makes every program that this process starts from now on, until stop
// is called, hold the lock, too: if this process dies the lock ends with the
// last of them. Where a descriptor cannot be had nothing is inherited.
func (h *Held) Inherit() (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.f == nil {
		return func() {}
	}
	// Unlike all others this descriptor stays open in a program that is started.
	fd, err := unix.FcntlInt(h.f.Fd(), unix.F_DUPFD, inheritFrom)
	if err != nil {
		return func() {}
	}
	return sync.OnceFunc(func() { _ = unix.Close(fd) })
}
