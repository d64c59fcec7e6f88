package settings

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// find walks from root along keys as far as they exist. It returns the last
// mapping on the way, how many keys led to it, and the value if all exist.
func find(root *yaml.Node, keys []string) (in *yaml.Node, depth int, value *yaml.Node) {
	in = root
	for depth = range keys {
		_, next := member(in, keys[depth])
		if next == nil || depth == len(keys)-1 || next.Kind != yaml.MappingNode {
			return in, depth, next
		}
		in = next
	}
	return in, depth, nil
}

// member is the key and the value of a name in a mapping, or nil.
func member(in *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value == name {
			return in.Content[i], in.Content[i+1]
		}
	}
	return nil, nil
}

// editText changes one value or adds lines, and touches nothing else. It gives
// up on what it does not understand.
func editText(path string, old []byte, keys []string, value *yaml.Node) ([]byte, bool) {
	old = bytes.TrimPrefix(old, []byte("\ufeff"))
	root, err := parseYAML(path, old)
	if err != nil {
		return nil, false
	}
	rendered, ok := render(value)
	if !ok {
		return nil, false
	}
	newline := "\n"
	if bytes.Contains(old, []byte("\r\n")) {
		newline = "\r\n"
	}
	if root == nil {
		return insert(old, len(bytes.Split(old, []byte("\n"))), nested(keys, 0, rendered, newline), newline), true
	}
	in, depth, have := find(root, keys)
	switch {
	case have != nil && depth == len(keys)-1:
		start, end, ok := extent(old, have)
		if !ok {
			return nil, false
		}
		return append(append(append([]byte{}, old[:start]...), rendered...), old[end:]...), true
	case have != nil || in.Style&yaml.FlowStyle != 0 || len(in.Content) == 0:
		return nil, false
	}
	last, ok := lastLine(in)
	if !ok {
		return nil, false
	}
	return insert(old, last, nested(keys[depth:], in.Content[0].Column-1, rendered, newline), newline), true
}

// render is a value on one line.
func render(value *yaml.Node) (string, bool) {
	b, err := yaml.Marshal(value)
	text := strings.TrimSuffix(string(b), "\n")
	return text, err == nil && text != "" && !strings.Contains(text, "\n")
}

// nested is keys below each other, the first one indented, and the value.
func nested(keys []string, indent int, rendered, newline string) string {
	var b strings.Builder
	for i, key := range keys {
		name, ok := render(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key})
		if !ok {
			return "" // which changes nothing, and is found out
		}
		b.WriteString(strings.Repeat(" ", indent+2*i) + name + ":")
		if i == len(keys)-1 {
			b.WriteString(" " + rendered)
		}
		b.WriteString(newline)
	}
	return b.String()
}

// insert puts text behind the line with that number, counted from 1.
func insert(old []byte, line int, text, newline string) []byte {
	at := lineStart(old, line+1)
	out := append([]byte{}, old[:at]...)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, newline...)
	}
	return append(append(out, text...), old[at:]...)
}

// lineStart is the offset of a line, counted from 1; the end if there are fewer.
func lineStart(data []byte, line int) int {
	at := 0
	for ; line > 1; line-- {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return len(data)
		}
		at += i + 1
	}
	return at
}

// lastLine is the last line that n reaches, if that can be told.
func lastLine(n *yaml.Node) (int, bool) {
	last := n.Line
	if n.Kind == yaml.ScalarNode && (n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || strings.Contains(n.Value, "\n")) {
		return 0, false
	}
	for _, c := range n.Content {
		l, ok := lastLine(c)
		if !ok {
			return 0, false
		}
		last = max(last, l)
	}
	return last, true
}

// extent is where a scalar on one line begins and ends.
func extent(data []byte, n *yaml.Node) (start, end int, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return 0, 0, false
	}
	start = lineStart(data, n.Line)
	for column := 1; column < n.Column && start < len(data); column++ {
		_, size := utf8.DecodeRune(data[start:])
		start += size
	}
	rest := data[start:]
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return start, start + i + 1, rest[0] == '"'
			}
		}
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] != '\'' {
				continue
			}
			if i+1 < len(rest) && rest[i+1] == '\'' {
				i++
				continue
			}
			return start, start + i + 1, rest[0] == '\''
		}
	default:
		return start, start + len(n.Value), n.Value != "" && bytes.HasPrefix(rest, []byte(n.Value))
	}
	return 0, 0, false
}

// editTree sets the value in the tree and writes it anew. Comments stay; blank
// lines and indentation become those of the encoder.
func editTree(path string, old []byte, keys []string, value *yaml.Node) ([]byte, bool) {
	root, err := parseYAML(path, old)
	if err != nil {
		return nil, false
	}
	if root == nil {
		root = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	in := root
	if len(in.Content) == 0 {
		in.Style = 0
	}
	for i, name := range keys {
		keyNode, have := member(in, name)
		if keyNode == nil {
			keyNode, have = &yaml.Node{}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
			keyNode.SetString(name)
			in.Content = append(in.Content, keyNode, have)
		}
		if last := i == len(keys)-1; !last && (isNull(have) || len(have.Content) == 0) {
			// Becomes lines of its own; a comment behind it moves behind the key.
			if keyNode.LineComment == "" {
				keyNode.LineComment, have.LineComment = have.LineComment, ""
			}
			have.Kind, have.Tag, have.Value, have.Style = yaml.MappingNode, "!!map", "", 0
		}
		in = have
	}
	value.LineComment, value.HeadComment, value.FootComment = in.LineComment, in.HeadComment, in.FootComment
	*in = *value
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if encoder.Encode(root) != nil || encoder.Close() != nil {
		return nil, false
	}
	return b.Bytes(), true
}
