//go:build !windows

package keystore

import (
	"errors"
	"syscall"
)

// noSpace says whether a disk or a quota is full, or a file larger than the limit
// of the process (ulimit -f).
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

func readOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
