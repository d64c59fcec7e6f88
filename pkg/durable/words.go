package durable

import (
	"errors"
	"io/fs"
	"os"
)

// errNoSpace words what the system may call "file too large" or "disk quota exceeded".
type errNoSpace struct{ error }

func (errNoSpace) Error() string { return "the disk or the quota is full" }

func (e errNoSpace) Unwrap() error { return e.error }

// Words returns an error of the file system without the path, which is often that
// of a temporary file: the caller names the one that is meant. A full disk is
// called so. Errors of another kind come back as they are.
func Words(err error) error {
	var (
		onPath  *fs.PathError
		onPaths *os.LinkError
	)
	switch {
	case errors.As(err, &onPath):
		err = onPath.Err
	case errors.As(err, &onPaths):
		err = onPaths.Err
	}
	if NoSpace(err) {
		return errNoSpace{err}
	}
	return err
}

// NoSpace reports whether an error says that there is no room for a file: the
// disk, a quota or the limit of the process is used up.
func NoSpace(err error) bool { return noSpace(err) }
