package cli

import "io/fs"

// ownedByOther leaves it to Windows to say who may replace a file.
func ownedByOther(fs.FileInfo) (uid uint32, other bool) { return 0, false }
