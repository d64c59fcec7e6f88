//go:build !windows

package durable

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/valetkey/valetkey/pkg/failure"
)

// checkOwner checks owner and mode of what info describes.
func checkOwner(path string, info fs.FileInfo, forbidden fs.FileMode, what, fix string) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int64(st.Uid) != int64(os.Geteuid()) {
		return failure.New(failure.Config, "%s belongs to user id %d, not to you (%d) or root", path, st.Uid, os.Geteuid()).
			WithHint("use a path of your own, or change its owner")
	}
	if info.Mode().Perm()&forbidden != 0 {
		return modeError(path, info.Mode(), what, fix)
	}
	return nil
}
