package jobsecrets

import (
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxSize is what VDK's Control Service takes as the secrets of one job: the
// bytes of their JSON text as Java's org.json writes it. Exactly as many are allowed.
const MaxSize = 1 << 20

// size counts the secrets as the Control Service does: no white space, and
// the escaping of org.json. A member given twice counts once.
func size(o object) int {
	n := 1 // the braces, and one comma less than members
	for key, value := range o.values() {
		n += quotedSize(key) + 1 + valueSize(value) + 1
	}
	return max(n, 2)
}

// valueSize is the size of one JSON value; each of its strings is counted on its own.
func valueSize(v json.RawMessage) int {
	n := 0
	for i := 0; i < len(v); {
		switch c := v[i]; c {
		case '"':
			end := i + valueEnd(v[i:])
			n += literalSize(v[i:end])
			i = end
		case ' ', '\t', '\r', '\n':
			i++
		default:
			n++
			i++
		}
	}
	return n
}

// literalSize is the size of a string that is given as JSON.
func literalSize(literal []byte) int { return runesSize(decode(literal)) }

func quotedSize(s string) int { return runesSize([]rune(s)) }

func runesSize(runes []rune) int {
	n := 2
	var before rune
	for _, r := range runes {
		n += runeSize(r, before)
		before = r
	}
	return n
}

// runeSize is the size of a character after another one, as org.json writes it.
func runeSize(r, before rune) int {
	switch {
	case r == '"', r == '\\', r == '/' && before == '<', r == '\b', r == '\t', r == '\n', r == '\f', r == '\r':
		return 2
	case r < ' ', r >= 0x80 && r < 0xa0, r >= 0x2000 && r < 0x2100:
		return 6
	case utf16.IsSurrogate(r):
		return 1 // half of a pair: Java's UTF-8 makes it a question mark
	}
	return utf8.RuneLen(r)
}
