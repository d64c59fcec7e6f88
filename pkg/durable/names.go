package durable

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Names longer than longName are shortened to headName bytes and a hash, so
// that they fit into every file system in use (ecryptfs takes 143 bytes).
const (
	longName = 125
	headName = 60
)

// SafeName turns any name into the name of a file, without extension.
//
// Different names stay different even where the file system folds case or
// normalises Unicode: everything but lower-case letters, digits, '.', '_' and
// '-' is escaped byte by byte. The prefix keeps names away from hidden files
// and from those Windows reserves (con, nul, com1 …). The result is frozen:
// existing stores are found by it.
func SafeName(name string) string {
	const hexDigits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	safe := b.String()
	if len(safe) > longName {
		sum := sha256.Sum256([]byte(name))
		safe = safe[:headName] + "~" + hex.EncodeToString(sum[:]) // an escaped name has no '~'
	}
	return "item-" + safe
}
