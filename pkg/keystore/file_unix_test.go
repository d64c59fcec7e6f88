//go:build !windows

package keystore

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

func TestFullAndReadOnlyDisks(t *testing.T) {
	s := NewFile(FileOptions{})
	for errno, says := range map[syscall.Errno]string{
		syscall.ENOSPC: "full", syscall.EDQUOT: "full", syscall.EROFS: "read-only",
	} {
		err := s.trouble(&fs.PathError{Op: "open", Err: errno}, ReadOnly, "write", "p")
		if ReasonOf(err) != ReadOnly || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}
