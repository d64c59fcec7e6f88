package jobsecrets

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// decode returns the characters of a well-formed JSON string. Half of a
// surrogate pair, which is legal JSON and no Unicode text, stays what it is;
// Go's own decoder would replace it.
func decode(literal []byte) []rune {
	text := literal[1 : len(literal)-1]
	runes := make([]rune, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			r, n := utf8.DecodeRune(text[i:])
			runes, i = append(runes, r), i+n
			continue
		}
		if text[i+1] != 'u' {
			runes, i = append(runes, escapes[text[i+1]]), i+2
			continue
		}
		r := unit(text[i+2:])
		i += 6
		if utf16.IsSurrogate(r) && i+6 <= len(text) && text[i] == '\\' && text[i+1] == 'u' {
			if pair := utf16.DecodeRune(r, unit(text[i+2:])); pair != utf8.RuneError {
				r, i = pair, i+6
			}
		}
		runes = append(runes, r)
	}
	return runes
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unit decodes the four digits of \uXXXX.
func unit(digits []byte) rune {
	n, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}
