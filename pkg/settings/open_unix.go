//go:build !windows

package settings

import (
	"os"
	"syscall"
)

// openNoWait opens for reading and does not wait for a writer when path is a pipe.
func openNoWait(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
