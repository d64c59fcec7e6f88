// Package render writes the answer of a command to standard output: as a table
// for people, as tab-separated lines for pipes, as JSON or YAML for programs.
//
// The member names of the JSON shapes are a promise to scripts. YAML and --jq
// are made from that JSON, so the three can never differ.
package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/terminal"
)

// Format is how an answer is written.
type Format string

// The formats every command knows. Auto is a table on a terminal and plain
// tab-separated lines in a pipe.
const (
	Auto  Format = ""
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// Answer is what a command has to say, for people and for programs.
type Answer struct {
	Value  any        // the JSON shape; nil is an empty answer
	Header []string   // column names of the table, in capitals
	Rows   [][]string // cells as text

	// Text replaces the table where the answer is one piece of text.
	// Plain replaces it in a pipe only.
	Text  *string
	Plain *string
}

// Text returns an answer that is one piece of text for people.
func Text(value any, text string) Answer { return Answer{Value: value, Text: &text} }

// Printer writes answers.
type Printer struct {
	Out        io.Writer
	Format     Format
	JQ         string // a jq program over the JSON shape, or empty
	IsTerminal bool
	Color      bool
}

// Print writes the answer. A reader that has gone away is no error: the work was done.
// A jq program that does not parse, or fails, is failure.Usage.
func (p Printer) Print(a Answer) error {
	out, err := p.render(a)
	if err != nil {
		return err
	}
	return Write(p.Out, out)
}

// Write writes b, and takes a reader that has gone away as success.
func Write(w io.Writer, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := w.Write(b)
	if err == nil || IsClosedPipe(err) {
		return nil
	}
	return failure.Wrap(failure.Internal, err, "write the answer to standard output")
}

// IsClosedPipe reports whether a write failed because nobody reads any more.
func IsClosedPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || isClosedPipe(err)
}

func (p Printer) render(a Answer) ([]byte, error) {
	switch {
	case p.JQ != "":
		return query(p.JQ, a.Value)
	case p.Format == JSON:
		return marshal(a.Value)
	case p.Format == YAML:
		return toYAML(a.Value)
	case p.Format != Auto && p.Format != Table:
		return nil, failure.New(failure.Usage, "unknown output format %q", string(p.Format)).WithHint("-o takes table, json or yaml")
	}
	aligned := p.Format == Table || p.IsTerminal
	if a.Plain != nil && !aligned {
		return line(*a.Plain), nil
	}
	if a.Text != nil {
		return line(*a.Text), nil
	}
	var b bytes.Buffer
	if aligned {
		table(&b, a.Header, a.Rows, p.Color)
	} else {
		plain(&b, a.Rows)
	}
	return b.Bytes(), nil
}

func line(s string) []byte {
	if s == "" || strings.HasSuffix(s, "\n") {
		return []byte(s)
	}
	return []byte(s + "\n")
}

// marshal writes JSON the way every answer is written: indented, no HTML escaping.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, failure.Wrap(failure.Internal, err, "write the answer as JSON")
	}
	return b.Bytes(), nil
}

// toYAML goes through the JSON text: JSON is YAML, and the node tree keeps the
// order of the members.
func toYAML(v any) ([]byte, error) {
	text, err := marshal(v)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, failure.Wrap(failure.Internal, err, "write the answer as YAML")
	}
	plainStyle(&doc)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return nil, failure.Wrap(failure.Internal, err, "write the answer as YAML")
	}
	return b.Bytes(), nil
}

// plainStyle drops the quotes of JSON wherever YAML reads the same string without.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		if text, err := yaml.Marshal(n.Value); err != nil || bytes.HasPrefix(text, []byte{'"'}) || bytes.HasPrefix(text, []byte{'\''}) {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	for _, c := range n.Content {
		plainStyle(c)
	}
}

func table(b *bytes.Buffer, header []string, rows [][]string, color bool) {
	new(columns).table(b, header, rows, color)
}

// columns are the widths of a table's columns. They only grow.
type columns []int

func (c *columns) table(b *bytes.Buffer, header []string, rows [][]string, color bool) {
	all := make([][]string, 0, len(rows)+1)
	if len(header) > 0 {
		all = append(all, header)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = terminal.Visible(c)
		}
		all = append(all, cells)
	}
	for _, row := range all {
		for i, cell := range row {
			if i == len(*c) {
				*c = append(*c, 0)
			}
			(*c)[i] = max((*c)[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range all {
		var l strings.Builder
		for i, cell := range row {
			l.WriteString(cell)
			if i < len(row)-1 {
				l.WriteString(strings.Repeat(" ", (*c)[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text := strings.TrimRight(l.String(), " ")
		if n == 0 && color && len(header) > 0 {
			text = "\x1b[1m" + text + "\x1b[0m"
		}
		b.WriteString(text)
		b.WriteByte('\n')
	}
}

func plain(b *bytes.Buffer, rows [][]string) {
	for _, row := range rows {
		for i, c := range row {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(terminal.Visible(c))
		}
		b.WriteByte('\n')
	}
}
