package doctor

import (
	"fmt"
	"strings"
)

// ReadLine splits a credential_process line as the AWS CLI and boto3 do, which
// use no shell, and says where others would read it in another way: the SDKs for
// Go, Java, .NET and JavaScript hand the line to a shell, and readers of the
// config file may cut it. On Windows the split knows double quotes only.
//
// A line without findings means the same to all of them. The words are nil when
// the line cannot be split.
func ReadLine(line string, windows bool) (words []string, findings []Finding) {
	r := lineReader{windows: windows}
	for _, c := range line {
		r.take(c)
	}
	r.flush()
	switch {
	case r.quote != 0:
		return nil, []Finding{{Severity: Error, Message: fmt.Sprintf("a %c quote is not closed", r.quote), Hint: writeIt}}
	case r.escaped:
		return nil, []Finding{{Severity: Error, Message: "the line ends in a backslash", Hint: writeIt}}
	case len(r.words) == 0:
		return nil, []Finding{{Severity: Error, Message: "the line names no program", Hint: writeIt}}
	}
	if strings.HasPrefix(line, `"`) && len(r.words) > 1 {
		r.found = append(r.found, Finding{
			Severity: Info, Message: "older SDKs read nothing after a quoted first word",
			Hint: "a path without spaces needs no quotes, and on Unix valetkey configure aws puts /usr/bin/env before one with spaces",
		})
	}
	return r.words, r.found
}

const writeIt = "valetkey configure aws writes a line that every tool reads alike"

type lineReader struct {
	windows bool
	quote   rune // the quote that is open, or 0
	escaped bool // the character before was a backslash that takes effect
	inWord  bool
	word    strings.Builder
	words   []string
	found   []Finding
	told    map[string]bool
}

func (r *lineReader) take(c rune) {
	switch {
	case r.escaped:
		r.escaped = false
		if r.quote != 0 && c != '"' && c != '\\' {
			r.word.WriteByte('\\') // within quotes a backslash only goes before these
			r.inside(c)
		}
		r.put(c)
	case r.quote == '\'':
		if c == '\'' {
			r.quote = 0
			return
		}
		r.put(c)
	case c == '\\' && !r.windows:
		if r.quote == 0 {
			r.tell("backslashes", "a backslash outside quotes disappears")
		}
		r.escaped, r.inWord = true, true
	case r.quote == '"':
		if c == '"' {
			r.quote = 0
			return
		}
		r.inside(c)
		r.put(c)
	case c == ' ', c == '\t', c == '\r', c == '\n':
		r.flush()
	case c == '"':
		r.quote, r.inWord = c, true
	case c == '\'':
		r.tell("single quotes", "single quotes are no quotes to cmd.exe and to tools that split at spaces")
		if r.windows {
			r.put(c)
			return
		}
		r.quote, r.inWord = c, true
	default:
		r.outside(c)
		r.put(c)
	}
}

// inside looks at a character within double quotes, outside at one within none.
func (r *lineReader) inside(c rune) {
	switch {
	case c == '$', c == '`':
		r.tell("$", "a shell replaces %c…, the AWS CLI and boto3 take it as it stands", c)
	case c == '%' && r.windows:
		r.tell("%", "cmd.exe replaces %%…%%, the AWS CLI and boto3 take it as it stands")
	}
}

func (r *lineReader) outside(c rune) {
	r.inside(c)
	switch {
	case c == '~' && !r.inWord:
		r.tell("~", "a shell replaces ~ by the home directory, the AWS CLI and boto3 look for a file of that name")
	case (c == '#' || c == ';') && !r.inWord:
		r.tell("comment", "what follows %c is a comment to some tools and part of the line to others", c)
	case strings.ContainsRune(";|&<>()*?[", c):
		r.tell("shell", "%c is an order to a shell, and a plain character to the AWS CLI and boto3", c)
	}
}

func (r *lineReader) put(c rune) {
	r.inWord = true
	r.word.WriteRune(c)
}

func (r *lineReader) flush() {
	if r.quote != 0 || r.escaped || !r.inWord {
		return
	}
	r.words = append(r.words, r.word.String())
	r.word.Reset()
	r.inWord = false
}

// tell adds a finding, once for each thing that is told.
func (r *lineReader) tell(what, format string, args ...any) {
	if r.told == nil {
		r.told = map[string]bool{}
	}
	if !r.told[what] {
		r.told[what] = true
		r.found = append(r.found, Finding{Severity: Warning, Message: fmt.Sprintf(format, args...), Hint: writeIt})
	}
}
