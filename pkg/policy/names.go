package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/valetkey/valetkey/pkg/failure"
)

// The limits of names. A prefix must leave room for a name behind its slash, in
// a key of 1,024 bytes.
const (
	minBucket = 3
	maxBucket = 63
	maxSchema = 128
	maxPrefix = 1024 - len("/") - 1
)

// The check functions return the value as it goes into a document, and warnings
// behind it.

func checkBucket(name string, o Options) ([]string, error) {
	const hint = "a bucket name has 3 to 63 of a-z, 0-9, dots and dashes"
	wild, err := checkName("bucket", name, maxBucket, ".-_", hint, o)
	if err != nil {
		return nil, err
	}
	switch {
	case len(name) < minBucket && !wild:
		return nil, failure.New(failure.Usage, "bucket %q is shorter than %d characters", name, minBucket).WithHint(hint)
	case strings.ContainsAny(name[:1]+name[len(name)-1:], ".-"):
		return nil, failure.New(failure.Usage, "bucket %q begins or ends with a dot or a dash", name).WithHint(hint)
	}
	checked := withWildcard("bucket", name, wild)
	if strings.ContainsFunc(name, func(r rune) bool { return r == '_' || 'A' <= r && r <= 'Z' }) {
		checked = append(checked, fmt.Sprintf("bucket %q has a capital or an underscore, which many S3 tools do not take", name))
	}
	return checked, nil
}

func checkSchema(name string, o Options) ([]string, error) {
	const hint = "a schema name has 1 to 128 letters, digits, underscores and dashes"
	wild, err := checkName("schema", name, maxSchema, "_-", hint, o)
	if err != nil {
		return nil, err
	}
	return withWildcard("schema", name, wild), nil
}

// checkName takes ASCII letters, digits and what else is listed.
func checkName(what, name string, most int, also, hint string, o Options) (wild bool, err error) {
	switch {
	case name == "":
		return false, failure.New(failure.Usage, "%s is empty", what).WithHint("%s", hint)
	case len(name) > most:
		return false, failure.New(failure.TooLarge, "%s %q is longer than %d characters", what, shorten(name), most).WithHint("%s", hint)
	}
	for _, r := range name {
		switch {
		case r == '*' || r == '?':
			if !o.AllowWildcard {
				return false, refuseWildcard(what, name)
			}
			wild = true
		case 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(also, r):
		default:
			return false, failure.New(failure.Usage, "%s %q has the character %q", what, name, r).WithHint("%s", hint)
		}
	}
	return wild, nil
}

// checkPrefix takes what can stand in a key and be seen. One slash at the end
// may be given or left out.
func checkPrefix(given string, o Options) ([]string, error) {
	bad := func(why string) error {
		return failure.New(failure.Usage, "prefix %q %s", shorten(given), why).WithHint("such as in/2024")
	}
	prefix := strings.TrimSuffix(given, "/")
	switch {
	case prefix == "":
		return nil, failure.New(failure.Usage, "prefix is empty, which would open the whole bucket").WithHint("template bucket-write is for that")
	case len(prefix) > maxPrefix:
		return nil, failure.New(failure.TooLarge, "prefix %q is longer than %d bytes", shorten(given), maxPrefix)
	case !utf8.ValidString(prefix):
		return nil, bad("is not UTF-8")
	case strings.HasPrefix(prefix, "/"), strings.HasSuffix(prefix, "/"):
		return nil, bad("begins with a slash or ends with two")
	case strings.HasPrefix(prefix, " "), strings.HasSuffix(prefix, " "):
		return nil, bad("begins or ends with a space")
	case strings.Contains(prefix, "${"):
		return nil, bad("holds a policy variable")
	}
	for _, part := range strings.Split(prefix, "/") {
		if part == "." || part == ".." {
			return nil, bad("has a part that HTTP clients resolve before they send it")
		}
	}
	wild := false
	for _, r := range prefix {
		switch {
		case r == '*' || r == '?':
			if !o.AllowWildcard {
				return nil, refuseWildcard("prefix", given)
			}
			wild = true
		case strings.ContainsRune("\"'`\\", r):
			return nil, bad("has a quote or a backslash")
		case r != ' ' && !unicode.IsGraphic(r), unicode.Is(unicode.Zs, r) && r != ' ':
			return nil, bad("has a character that cannot be seen")
		}
	}
	checked := withWildcard("prefix", prefix, wild)
	if strings.Contains(prefix, ",") {
		checked = append(checked, fmt.Sprintf("prefix %q has a comma and counts as one; two prefixes are given one by one", shorten(prefix)))
	}
	return checked, nil
}

func refuseWildcard(what, value string) error {
	return failure.New(failure.Usage, "%s %q has a wildcard", what, shorten(value)).
		WithHint("--allow-wildcard takes * and ?, for all that they match today and later")
}

func withWildcard(what, value string, wild bool) []string {
	if !wild {
		return []string{value}
	}
	return []string{value, fmt.Sprintf("%s %q has a wildcard: it covers whatever matches, today and later, across slashes too", what, shorten(value))}
}
