// Package awsconfig edits the shared configuration file of AWS tools
// (~/.aws/config) without touching anything it was not asked to change.
//
// It is pure: files go in and come out as bytes.
package awsconfig

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Entry is one `name = value` line of a section.
type Entry struct{ Name, Value string }

// Section is the header name that AWS tools look a profile up by in the config
// file: "default" stands alone, any other is "profile NAME".
func Section(profile string) string {
	if profile == "default" {
		return profile
	}
	return "profile " + profile
}

// CheckProfile refuses names that the file format cannot hold, or that a tool
// would not find again: botocore passes over a name of two words (failure.Usage).
func CheckProfile(profile string) error {
	if profile == "" || strings.ContainsAny(profile, "[]#;\"'\\") || len(strings.Fields(profile)) != 1 || strings.TrimSpace(profile) != profile {
		return failure.New(failure.Usage, "%q cannot be the name of an AWS profile", profile).
			WithHint("letters, digits, - and _ are safe in every tool")
	}
	return nil
}

// CommandLine joins a program and its arguments for credential_process. Some AWS
// tools hand the line to a shell, others split it at spaces: so the path is
// quoted only when it must be, with double quotes, and what no form of quoting
// can carry is refused. Readers of older SDKs drop what follows a quoted first
// word, so on Unix env(1) goes before one; others end the line at a # or ; after
// a space. On Unix a backslash means something to shells and splitters alike; on
// Windows cmd.exe takes the quotes away from a line with its own characters in it.
func CommandLine(path string, args ...string) (string, error) {
	words := append([]string{path}, args...)
	refused := "\"'`$%!" + `\`
	if !strings.HasPrefix(path, "/") {
		refused = "\"'`$%!&|<>()^@,;="
	}
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, refused) || strings.ContainsFunc(w, isControl) || !utf8.ValidString(w) || comment(w) || strings.HasSuffix(w, `\`) {
			return "", failure.New(failure.Config, "%q cannot stand in a credential_process line", w).
				WithHint("AWS tools disagree on quoting: install valetkey under a path of letters, digits, - _ . and spaces, or let configure aws --command name a link to it that has one")
		}
		if strings.IndexFunc(w, needsQuotes) >= 0 {
			words[i] = `"` + w + `"`
		}
	}
	if strings.HasPrefix(words[0], `"/`) {
		words = append([]string{Env}, words...)
	}
	return strings.Join(words, " "), nil
}

// Env is the program that runs another, which every Unix has there.
const Env = "/usr/bin/env"

func needsQuotes(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune(`-_./\:@+=,`, r)
}

// Edit returns the file with the entries set in the section: lines of those
// names are replaced where they stand, missing ones are added after the last
// entry of the section, a missing section at the end of the file. Every other
// byte is kept. New lines end as those around them do.
func Edit(file []byte, section string, entries []Entry) []byte {
	lines := splitLines(file)
	start, end := find(lines, section)
	if start < 0 {
		return appendSection(lines, section, entries)
	}
	newline := ending(lines[start])
	out := append([]string{}, lines[:start+1]...)
	after := len(out) // the last entry: comments below it may belong to the next section
	set := map[string]bool{}
	dropping := false
	r := newReader()
	for _, l := range lines[start+1 : end] {
		if isBlank(l) {
			out = append(out, l)
			continue
		}
		if r.continues(l) {
			if !dropping {
				out = append(out, l)
				after = len(out)
			}
			continue
		}
		name, value := r.entry(l)
		e, wanted := lookup(entries, name)
		dropping = wanted // an old value's further lines go with it
		if wanted && set[name] {
			continue // a second line of the name would win over the first
		}
		if wanted {
			set[name] = true
			if text, found := strings.CutPrefix(strings.TrimSpace(l), e.Name); !found || !strings.HasPrefix(strings.TrimSpace(text), "=") || value != e.Value {
				l = l[:r.indent] + e.Name + " = " + e.Value + l[len(strings.TrimRight(l, "\r\n")):]
			}
		}
		out = append(out, l)
		after = len(out)
	}
	var add []string
	for _, e := range entries {
		if !set[strings.ToLower(e.Name)] {
			add = append(add, e.Name+" = "+e.Value+newline)
		}
	}
	if len(add) > 0 && !strings.HasSuffix(out[after-1], "\n") {
		out[after-1] += newline
	}
	return []byte(strings.Join(slices.Concat(out[:after], add, out[after:], lines[end:]), ""))
}

func appendSection(lines []string, section string, entries []Entry) []byte {
	newline := "\n"
	var add []string
	if n := len(lines); n > 0 {
		last := lines[n-1]
		newline = ending(lines[0])
		if !strings.HasSuffix(last, "\n") {
			add = append(add, newline)
		}
		if strings.TrimSpace(last) != "" {
			add = append(add, newline)
		}
	}
	add = append(add, "["+section+"]"+newline)
	for _, e := range entries {
		add = append(add, e.Name+" = "+e.Value+newline)
	}
	return []byte(strings.Join(slices.Concat(lines, add), ""))
}

// ending is the line end of a line, or the plain one where it has none.
func ending(line string) string {
	if strings.HasSuffix(line, "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// Get returns the entries of a section, by lower-case name, and whether it is there.
func Get(file []byte, section string) (map[string]string, bool) {
	lines := splitLines(file)
	start, end := find(lines, section)
	if start < 0 {
		return nil, false
	}
	values := map[string]string{}
	r := newReader()
	for _, l := range lines[start+1 : end] {
		if name, value := r.entry(l); name != "" {
			values[name] = value
		}
	}
	return values, true
}

func lookup(entries []Entry, name string) (Entry, bool) {
	for _, e := range entries {
		if name != "" && strings.EqualFold(e.Name, name) {
			return e, true
		}
	}
	return Entry{}, false
}

func splitLines(file []byte) []string {
	lines := strings.SplitAfter(string(file), "\n")
	if n := len(lines); lines[n-1] == "" {
		lines = lines[:n-1]
	}
	return lines
}

// find returns the line of the section's header and the line after its end, or -1.
func find(lines []string, section string) (start, end int) {
	start = -1
	for i, l := range lines {
		name, isHeader := header(l)
		switch {
		case isHeader && start >= 0:
			return start, i
		case isHeader && name == section:
			start = i
		}
	}
	return start, len(lines)
}

func header(line string) (string, bool) {
	t := strings.TrimSpace(line)
	if !strings.HasPrefix(t, "[") {
		return "", false
	}
	name, _, found := strings.Cut(t[1:], "]")
	if !found {
		return "", false
	}
	fields := strings.Fields(name)
	for i := range fields {
		fields[i] = strings.Trim(fields[i], `"'`)
	}
	return strings.Join(fields, " "), true
}

// reader reads the lines of a section in turn, as Python's configparser does:
// a line that is indented deeper than the entry before belongs to it, such as
// those below `s3 =`.
type reader struct{ indent int } // of the last entry, -1 before the first

func newReader() *reader { return &reader{indent: -1} }

// entry returns the lower-case name and the value, or nothing for other lines.
func (r *reader) entry(line string) (name, value string) {
	t := strings.TrimSpace(line)
	if isBlank(line) || r.continues(line) {
		return "", ""
	}
	r.indent = indent(line)
	i := strings.IndexAny(t, "=:")
	if i < 0 {
		return "", ""
	}
	return strings.ToLower(strings.TrimSpace(t[:i])), strings.TrimSpace(t[i+1:])
}

// continues reports whether the line belongs to the entry before it.
func (r *reader) continues(line string) bool {
	return r.indent >= 0 && indent(line) > r.indent && !isBlank(line)
}

// isBlank reports whether the line says nothing: it is empty, or a comment.
func isBlank(line string) bool {
	t := strings.TrimSpace(line)
	return t == "" || t[0] == '#' || t[0] == ';'
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
