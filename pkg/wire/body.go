package wire

import (
	"io"

	"github.com/valetkey/valetkey/pkg/failure"
)

// MaxJSON is the usual limit for one JSON answer, in bytes.
const MaxJSON = 16 << 20

// ReadBody reads all of r, at most limit bytes. More than that is
// failure.Network; what was read is dropped. Errors of r are returned as they
// are, for [Explain].
func ReadBody(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, TooLong(limit)
	}
	return body, nil
}

// TooLong is the error of an answer that is larger than limit bytes.
func TooLong(limit int64) error {
	if limit >= 1<<20 && limit%(1<<20) == 0 {
		return failure.New(failure.Network, "answer is larger than %d MiB", limit>>20)
	}
	return failure.New(failure.Network, "answer is larger than %d bytes", limit)
}
