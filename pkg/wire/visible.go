package wire

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns text from elsewhere in one line that cannot play tricks on a
// terminal: control characters, line breaks, invisible and direction-changing
// characters and broken UTF-8 become Go escapes such as \n and \x1b.
func Visible(s string) string {
	if isVisible(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if (r != utf8.RuneError || size > 1) && shown(r) {
			b.WriteString(s[i : i+size])
		} else {
			quoted := strconv.QuoteToASCII(s[i : i+size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}

// Excerpt is [Visible] text of at most limit bytes, cut off with "…".
func Excerpt(s string, limit int) string {
	s = strings.TrimSpace(s)
	cut := len(s) > limit
	if cut {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	s = Visible(s)
	if cut {
		s += "…"
	}
	return s
}

func isVisible(s string) bool {
	for i, r := range s {
		if !shown(r) || (r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD")) {
			return false
		}
	}
	return true
}

func shown(r rune) bool { return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) }
