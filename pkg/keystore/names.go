package keystore

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
)

// Names longer than longName are shortened to headName bytes and a hash, so
// that they fit into every file system in use (ecryptfs takes 143 bytes).
const (
	longName = 125
	headName = 60
)

// fileName turns an item name into the name of a file, without extension.
//
// Different items give different names even where the file system folds case
// or normalises Unicode: everything but lower-case letters, digits, '.', '_'
// and '-' is escaped byte by byte. The prefix keeps names away from hidden
// files and from those Windows reserves (con, nul, com1 …).
func fileName(item string) string {
	const hexDigits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(item) {
		c := item[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	name := b.String()
	if len(name) > longName {
		sum := sha256.Sum256([]byte(item))
		name = name[:headName] + "~" + hex.EncodeToString(sum[:]) // an escaped name has no '~'
	}
	return "item-" + name
}

// LockPath is the path of the lock file in dir that guards an item. It has the
// same safe name as the item has in a file store.
func LockPath(dir, item string) string { return filepath.Join(dir, fileName(item)+".lock") }
