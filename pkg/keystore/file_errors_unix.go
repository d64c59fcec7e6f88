//go:build !windows

package keystore

import (
	"errors"
	"syscall"
)

func readOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
