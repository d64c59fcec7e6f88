// Package policy knows the identity policies of VAST: documents that say which
// S3 and database actions a user or group may do on which resources.
//
// The package is pure: it does no I/O and reads neither clock nor environment.
//
// VAST takes the grammar of AWS's policies without Principal. A resource is
// written bare ("bucket/schema/*", as VAST's own documents do) or as an ARN. All
// statements of all policies of a user count together: a denial wins, then one
// grant suffices, and what nothing speaks about is refused.
//
// Errors are of package failure; each function says of which kinds.
package policy

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Version is the version of the policy language.
const Version = "2012-10-17"

// MaxBytes is the largest document, as Print writes it.
const MaxBytes = 65536

// Effect says what a statement does to what it matches.
type Effect string

// The two effects.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Document is an identity policy.
type Document struct {
	Version    string
	ID         string // empty = none
	Statements []Statement
}

// Statement grants or refuses actions on resources. It matches a request when
// one of the actions and one of the resources match.
type Statement struct {
	Sid      string // names the statement for people; empty = none
	Effect   Effect
	Action   []string // such as s3:GetObject; case does not count; * is any run, ? one character
	Resource []string // such as bucket/*; case counts
}

// lineWidth is how long a line of a printed list may become.
const lineWidth = 100

// Print returns the document as JSON for people: members in a fixed order, a list
// on one line if it fits and else a value a line, a newline at the end. Equal
// documents print equal bytes. A list stays a list, also with one value in it.
func (d Document) Print() []byte {
	var b bytes.Buffer
	b.WriteString("{\n")
	member(&b, "  ", "Version", d.Version)
	if d.ID != "" {
		member(&b, "  ", "Id", d.ID)
	}
	b.WriteString(`  "Statement": [`)
	for i, s := range d.Statements {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    {\n")
		if s.Sid != "" {
			member(&b, "      ", "Sid", s.Sid)
		}
		member(&b, "      ", "Effect", string(s.Effect))
		list(&b, "      ", "Action", s.Action)
		b.WriteString(",\n")
		list(&b, "      ", "Resource", s.Resource)
		b.WriteString("\n    }")
	}
	if len(d.Statements) > 0 {
		b.WriteString("\n  ")
	}
	b.WriteString("]\n}\n")
	return b.Bytes()
}

// MarshalJSON implements json.Marshaler with the members that Print writes.
func (d Document) MarshalJSON() ([]byte, error) { return d.Print(), nil }

func member(b *bytes.Buffer, indent, name, value string) {
	b.WriteString(indent + `"` + name + `": `)
	b.Write(quote(value))
	b.WriteString(",\n")
}

func list(b *bytes.Buffer, indent, name string, values []string) {
	head := indent + `"` + name + `": [`
	quoted := make([][]byte, len(values))
	width := utf8.RuneCountInString(head) + len("],")
	for i, v := range values {
		quoted[i] = quote(v)
		width += utf8.RuneCount(quoted[i]) + len(", ")
	}
	b.WriteString(head)
	if width-len(", ") <= lineWidth {
		b.Write(bytes.Join(quoted, []byte(", ")))
		b.WriteByte(']')
		return
	}
	inner := "\n" + indent + "  "
	b.WriteString(inner)
	b.Write(bytes.Join(quoted, []byte(","+inner)))
	b.WriteString("\n" + indent + "]")
}

// quote writes a JSON string; <, > and & stay as they are, since people read it.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string cannot fail to encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
