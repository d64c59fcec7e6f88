package durable

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/valetkey/valetkey/pkg/failure"
)

// PrivateDir makes sure that path is a directory, creating it and what lies
// above it with mode 0700, and then checks it as [CheckDir] does.
//
// A directory that cannot be made is an error of the file system, not a
// failure.Config: only the caller knows which setting named it.
func PrivateDir(path string) error {
	missing := []string{}
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); err == nil || filepath.Dir(p) == p {
			break
		}
		missing = append(missing, p)
	}
	if len(missing) > 0 {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
	}
	for _, p := range missing {
		if err := syncDir(filepath.Dir(p)); err != nil {
			return err
		}
	}
	return CheckDir(path)
}

// CheckDir checks that path is a directory that belongs to the user or to root
// and that nobody else may write to; anything else is failure.Config. On
// Windows the rights of the profile directory are relied upon instead.
func CheckDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return failure.New(failure.Config, "%s is not a directory", path)
	}
	return checkOwner(path, info, 0o022, "writable by others", "chmod go-w")
}

// CheckPrivateFile checks an opened file, so that what is checked is what is
// read: it must belong to the user or to root and be writable by nobody else,
// and when it holds a secret be readable by nobody else. Anything else is
// failure.Config. On Windows only a directory is refused.
func CheckPrivateFile(f *os.File, secret bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return failure.New(failure.Config, "%s is a directory, not a file", f.Name())
	}
	if secret {
		return checkOwner(f.Name(), info, 0o077, "open to others", "chmod 600")
	}
	return checkOwner(f.Name(), info, 0o022, "writable by others", "chmod go-w")
}

// modeError reports the permission bits that should not be there.
func modeError(path string, mode fs.FileMode, what, fix string) error {
	return failure.New(failure.Config, "%s is %s (mode %04o)", path, what, mode.Perm()).
		WithHint("%s %s", fix, path)
}
