package keystore

import "context"

// onFullDisk plays nothing here: Windows has no limit to the size of files.
func onFullDisk(context.Context, Store) error { return nil }
