// Package awsconfig edits the shared configuration file of AWS tools
// (~/.aws/config) without touching anything it was not asked to change.
//
// It is pure: files go in and come out as bytes.
package awsconfig

import (
	"bytes"
	"strings"

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
// a space.
func CommandLine(path string, args ...string) (string, error) {
	words := append([]string{path}, args...)
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, "\"'`$\r\n\t%!") || strings.Contains(w, " #") || strings.Contains(w, " ;") {
			return "", failure.New(failure.Config, "%q cannot stand in a credential_process line", w).
				WithHint("AWS tools disagree on quoting: install valetkey under a path of letters, digits, - _ . and spaces")
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
// names are replaced where they stand, missing ones are added at the end of the
// section, a missing section at the end of the file. Every other byte is kept.
func Edit(file []byte, section string, entries []Entry) []byte {
	newline := "\n"
	if bytes.Contains(file, []byte("\r\n")) {
		newline = "\r\n"
	}
	lines := splitLines(file)
	start, end := find(lines, section)
	var block strings.Builder
	if start < 0 {
		if n := len(lines); n > 0 {
			if !strings.HasSuffix(lines[n-1], "\n") {
				lines[n-1] += newline
			}
			if strings.TrimSpace(lines[n-1]) != "" {
				block.WriteString(newline)
			}
		}
		block.WriteString("[" + section + "]" + newline)
		for _, e := range entries {
			block.WriteString(e.Name + " = " + e.Value + newline)
		}
		return []byte(strings.Join(lines, "") + block.String())
	}

	var out []string
	out = append(out, lines[:start+1]...)
	set := map[string]bool{}
	last := len(out)
	r := newReader()
	for i := start + 1; i < end; i++ {
		name, value := r.entry(lines[i])
		e, wanted := lookup(entries, name)
		switch {
		case wanted && !set[name]:
			set[name] = true
			text := lines[i][:r.indent] + e.Name + " = " + e.Value + newline
			if value == e.Value {
				text = lines[i]
			}
			out = append(out, text)
			for i+1 < end && r.continues(lines[i+1]) {
				i++ // the old value's further lines go with it
			}
		case wanted:
			continue // a second line of the name would win over the first
		default:
			out = append(out, lines[i])
		}
		if strings.TrimSpace(lines[i]) != "" {
			last = len(out)
		}
	}
	var add []string
	for _, e := range entries {
		if !set[strings.ToLower(e.Name)] {
			add = append(add, e.Name+" = "+e.Value+newline)
		}
	}
	if len(add) > 0 && last > 0 && !strings.HasSuffix(out[last-1], "\n") {
		out[last-1] += newline
	}
	result := append([]string{}, out[:last]...)
	result = append(result, add...)
	result = append(result, out[last:]...)
	result = append(result, lines[end:]...)
	return []byte(strings.Join(result, ""))
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
	if t == "" || t[0] == '#' || t[0] == ';' || r.continues(line) {
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
	return r.indent >= 0 && indent(line) > r.indent && strings.TrimSpace(line) != ""
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
