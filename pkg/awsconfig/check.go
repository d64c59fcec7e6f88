package awsconfig

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Place returns the section of the file to edit for a profile. It refuses a file
// in which AWS tools would not find the profile, or not all the same one
// (failure.Config, naming the lines): where it is written twice, which makes the
// AWS CLI refuse the whole file; where its header has spaces or quotes that some
// tools stumble over; and where the file is no plain UTF-8.
func Place(file []byte, profile string) (section string, err error) {
	if err := checkText(file); err != nil {
		return "", err
	}
	section = Section(profile)
	names := []string{section}
	if profile == "default" { // tools read both, and prefer either
		names = append(names, "profile default")
	}
	found := 0
	for i, l := range splitLines(file) {
		name, isHeader := header(l)
		if !isHeader || !slices.Contains(names, name) {
			continue
		}
		if !plainHeader(l, name) {
			return "", failure.New(failure.Config, "line %d, %q, is not found by all AWS tools", i+1, visible(l)).
				WithHint("write [%s] there, at the start of the line", name)
		}
		if found > 0 {
			return "", failure.New(failure.Config, "lines %d and %d both start the profile %s, and AWS tools disagree on which counts", found, i+1, profile).
				WithHint("make one of them")
		}
		found, section = i+1, name
	}
	return section, nil
}

// plainHeader reports whether the line is the header as every tool expects it;
// a comment may follow.
func plainHeader(line, name string) bool {
	rest, found := strings.CutPrefix(line, "["+name+"]")
	rest = strings.TrimSpace(rest)
	return found && (rest == "" || rest[0] == '#' || rest[0] == ';') && !strings.Contains(rest, "]")
}

// checkText refuses what the readers of AWS tools take for different lines.
func checkText(file []byte) error {
	const hint = "save it as plain UTF-8 text"
	if bytes.HasPrefix(file, []byte("\xef\xbb\xbf")) {
		return failure.New(failure.Config, "line 1 starts with a byte order mark, with which the AWS CLI refuses the whole file").WithHint(hint)
	}
	for i, l := range splitLines(file) {
		what := ""
		switch {
		case !utf8.ValidString(l):
			what = "is not UTF-8"
		case strings.Contains(l, "\x00"):
			what = "has a zero byte in it"
		case strings.Contains(strings.TrimSuffix(l, "\r\n"), "\r"):
			what = "has a carriage return in it, at which some AWS tools break the line"
		default:
			continue
		}
		return failure.New(failure.Config, "line %d %s", i+1, what).WithHint(hint)
	}
	return nil
}

// CheckEntry refuses a value that not every AWS tool would read back as it is:
// some cut it at a # or ; after a space, and all trim it (failure.Config).
func CheckEntry(e Entry) error {
	if v := e.Value; v == "" || strings.TrimSpace(v) != v || strings.ContainsAny(v[:1], `"'`) || comment(v) || strings.ContainsFunc(v, isControl) || !utf8.ValidString(v) {
		return failure.New(failure.Config, "%s %q cannot stand in an AWS config file: some tools would read something else", e.Name, v).
			WithHint("use one without quotes, and without a # or ; after a space")
	}
	return nil
}

// comment reports whether some readers would cut the value.
func comment(value string) bool {
	return strings.Contains(value, " #") || strings.Contains(value, " ;")
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func visible(line string) string { return strings.TrimRight(line, "\r\n") }
