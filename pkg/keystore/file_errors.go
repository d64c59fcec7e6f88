package keystore

import (
	"errors"
	"io/fs"

	"github.com/valetkey/valetkey/pkg/failure"
)

// trouble gives an error of the file system its kind and reason. A refusal
// has the given reason: it means something else to a reader than to a writer.
func (s *File) trouble(err error, refused Reason, verb, path string) error {
	var known *failure.Error
	if errors.As(err, &known) {
		return failure.Annotate(err, "file store")
	}
	// The system's own words are enough: its error repeats a path, perhaps
	// that of a temporary file.
	var onPath *fs.PathError
	if errors.As(err, &onPath) {
		err = onPath.Err
	}
	switch {
	case noSpace(err):
		return Unusable(s.Name(), ReadOnly, err, "file store: %s %s: the disk or the quota is full", verb, path)
	case errors.Is(err, fs.ErrPermission):
		return Unusable(s.Name(), refused, err, "file store: %s %s", verb, path)
	case readOnly(err):
		return Unusable(s.Name(), ReadOnly, err, "file store: %s %s", verb, path)
	}
	return Unusable(s.Name(), Absent, err, "file store: %s %s", verb, path).
		WithHint("VALETKEY_STORE_DIR names the directory of the store")
}
