package presign

const hexDigits = "0123456789ABCDEF"

// unreserved tells whether S3 leaves the byte as it is.
func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '_' || c == '.' || c == '~'
}

// appendEscaped appends s in S3's own escaping: every byte but the unreserved
// ones, and but the slash where it separates, becomes % and two capital digits.
// net/url leaves more bytes alone, and the signature would not match.
func appendEscaped(dst []byte, s string, keepSlash bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if unreserved(c) || c == '/' && keepSlash {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// escapeTail escapes what dst holds from start on, in place.
func escapeTail(dst []byte, start int) []byte {
	grow := 0
	for _, c := range dst[start:] {
		if !unreserved(c) {
			grow += 2
		}
	}
	if grow == 0 {
		return dst
	}
	from := len(dst)
	for range grow {
		dst = append(dst, 0)
	}
	for to := len(dst); from > start; {
		from--
		c := dst[from]
		if unreserved(c) {
			to--
			dst[to] = c
			continue
		}
		to -= 3
		dst[to], dst[to+1], dst[to+2] = '%', hexDigits[c>>4], hexDigits[c&15]
	}
	return dst
}

// appendLower appends s with A to Z in lower case.
func appendLower(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, lower(s[i]))
	}
	return dst
}

// appendTrimmed appends a header value without spaces at its ends and with one
// space for a run of them, as it counts in a signature.
func appendTrimmed(dst []byte, s string) []byte {
	space := false
	start := len(dst)
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' {
			space = true
			continue
		}
		if space && len(dst) > start {
			dst = append(dst, ' ')
		}
		space = false
		dst = append(dst, s[i])
	}
	return dst
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// compareFold compares by bytes, A to Z counting as a to z.
func compareFold(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if d := int(lower(a[i])) - int(lower(b[i])); d != 0 {
			return d
		}
	}
	return len(a) - len(b)
}
