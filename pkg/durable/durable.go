// Package durable keeps small files safe: written whole or not at all, on disk
// before a call returns, locked so that a lock dies with its process, and in
// directories that nobody else can write to.
//
// Errors of the file system come back as they are, wrapped, so that a caller
// who knows what the file is for gives them a kind. Ownership and permission
// findings are [failure.Config], since the person has to put them right.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// tempPattern names the files that a killed writer may leave behind. They are
// never read.
const tempPattern = ".valetkey-*.tmp"

// WriteFile replaces the file at path with data, atomically: a reader or a
// crash at any time finds the old content or the new one, never a part. When
// it returns nil the content and the name have reached the disk.
//
// The temporary file lies beside the target with mode 0600 from its first byte
// and gets perm just before it is renamed. A symbolic link at path is followed
// and stays. The directory must exist. Concurrent writers are safe; the last
// rename wins.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	path, err = target(path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	if err = fill(f, data, perm); err != nil {
		return err
	}
	if err = rename(temp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// fill writes, syncs and closes the temporary file.
func fill(f *os.File, data []byte, perm fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil && perm != 0o600 {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	// A network file system may report a full disk only now.
	return errors.Join(err, f.Close())
}

// target follows a symbolic link, so that a linked file is replaced where it
// really lies.
func target(path string) (string, error) {
	// A missing file is created; any other trouble shows when it is written.
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return "", fmt.Errorf("follow link: %w", err)
		}
		return real, nil
	}
	return path, nil
}

// Remove deletes the file at path and waits until the directory has reached
// the disk. A missing file is an error that matches [fs.ErrNotExist].
func Remove(path string) error {
	if err := remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
