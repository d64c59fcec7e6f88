package keystore

import (
	"errors"
	"io/fs"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

// trouble gives an error of the file system its kind and reason. A refusal
// has the given reason: it means something else to a reader than to a writer.
func (s *File) trouble(err error, refused Reason, verb, path string) error {
	var known *failure.Error
	if errors.As(err, &known) {
		return failure.Annotate(err, "file store")
	}
	err = durable.Words(err)
	switch {
	case durable.NoSpace(err):
		return Unusable(s.Name(), ReadOnly, err, "file store: %s %s", verb, path)
	case errors.Is(err, fs.ErrPermission):
		return Unusable(s.Name(), refused, err, "file store: %s %s", verb, path)
	case readOnly(err):
		return Unusable(s.Name(), ReadOnly, err, "file store: %s %s", verb, path)
	}
	return Unusable(s.Name(), Absent, err, "file store: %s %s", verb, path).
		WithHint("VALETKEY_STORE_DIR names the directory of the store")
}
