//go:build unix

package cli

import (
	"io/fs"
	"os"
	"syscall"
)

// ownedByOther reports whether a file belongs to somebody else, and to whom.
func ownedByOther(info fs.FileInfo) (uid uint32, other bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, int64(st.Uid) != int64(os.Geteuid())
}
