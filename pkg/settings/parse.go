package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/typo"
)

// document is a checked config file.
type document struct {
	path           string
	defaultProfile string
	defaultLine    int
	profiles       map[string]map[string]fileValue
	secret         bool // a secret stands in some profile
}

// fileValue is the value of a setting in a profile.
type fileValue struct {
	text secret.Text
	line int
}

// parser turns YAML nodes into a document. Nodes keep positions, show
// duplicated keys, and expand no aliases.
type parser struct {
	doc *document
}

// parse checks the names and the types of all profiles. Values are checked when
// they are looked up, so that a slip in one profile does not stop the others.
func parse(path string, data []byte) (*document, error) {
	p := &parser{doc: &document{path: path, profiles: map[string]map[string]fileValue{}}}
	root, err := parseYAML(path, data)
	if err != nil || root == nil {
		return p.doc, err
	}
	return p.doc, p.root(root)
}

// parseYAML returns the root of the only document, or nil when there is nothing in it.
func parseYAML(path string, data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := decoder.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		if again := decoder.Decode(&second); again == nil {
			return nil, at(path, second.Line, second.Column, "a second YAML document; a config file is one document")
		} else if !errors.Is(again, io.EOF) {
			err = again
		}
	}
	if err != nil {
		return nil, brokenYAML(path, data, err)
	}
	if len(first.Content) != 1 || isNull(first.Content[0]) {
		return nil, nil
	}
	return first.Content[0], nil
}

// brokenYAML finds the place of a syntax error. The YAML library tells the line
// alone, so the column is that of the first character in it.
func brokenYAML(path string, data []byte, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, message, ok := strings.Cut(rest, ": "); ok {
			line, _ = strconv.Atoi(number)
			text = message
			if parserSays(message) {
				line++ // the library counts from 0 where its parser, not its scanner, complains
			}
		}
	}
	lines := bytes.Split(data, []byte("\n"))
	if tab := tabLine(lines); strings.Contains(text, "tab character") && tab > 0 {
		line = tab
	}
	line = max(1, min(line, len(lines)))
	content := lines[line-1]
	column := 1 + len(content) - len(bytes.TrimLeft(content, " "))
	e := at(path, line, column, "broken YAML: %s", strings.Join(strings.Fields(text), " "))
	if bytes.HasPrefix(bytes.TrimLeft(content, " "), []byte("\t")) {
		return e.WithHint("indent with spaces; YAML takes no tabs")
	}
	return e
}

// parserSays tells the complaints of the YAML library's parser from those of its scanner.
func parserSays(message string) bool {
	for _, what := range []string{"',' or ']'", "',' or '}'", "key", "'-' indicator", "node content", "<document start>"} {
		if message == "did not find expected "+what {
			return true
		}
	}
	return false
}

// tabLine is the first line that is indented with a tab, counted from 1, or 0.
func tabLine(lines [][]byte) int {
	for i, l := range lines {
		if bytes.HasPrefix(bytes.TrimLeft(l, " "), []byte("\t")) {
			return i + 1
		}
	}
	return 0
}

func at(path string, line, column int, format string, args ...any) *failure.Error {
	return failure.New(failure.Config, "%s:%d:%d: %s", path, line, column, fmt.Sprintf(format, args...))
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) *failure.Error {
	return at(p.doc.path, n.Line, n.Column, format, args...)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// each calls do for every pair of a mapping, after checking that it is one and
// that its keys are different strings. An empty value counts as an empty mapping.
func (p *parser) each(n *yaml.Node, what string, do func(key string, keyNode, value *yaml.Node) error) error {
	if isNull(n) {
		return nil
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return p.fail(n, "anchors and aliases are not taken")
	}
	if n.Kind != yaml.MappingNode {
		return p.fail(n, "%s must be a mapping (key: value)", what)
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.ShortTag() != "!!str" {
			return p.fail(key, "%s has a key that is not a plain string", what)
		}
		if line, ok := seen[key.Value]; ok {
			return p.fail(key, "key %s stands here a second time; first in line %d", quote(key.Value), line)
		}
		seen[key.Value] = key.Line
		if err := do(key.Value, key, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) root(n *yaml.Node) error {
	return p.each(n, "the config file", func(key string, keyNode, value *yaml.Node) error {
		switch key {
		case "default_profile":
			text, err := p.scalar(value, key)
			p.doc.defaultProfile, p.doc.defaultLine = text, value.Line
			if err == nil && text == "" {
				err = p.fail(value, "default_profile is empty")
			}
			return err
		case "profiles":
			return p.each(value, "profiles", p.profile)
		}
		err := p.fail(keyNode, "unknown key %s", quote(key))
		if keys, _ := below(""); typo.Nearest(key, keys) == key {
			return err.WithHint("settings stand below profiles: NAME:")
		}
		return suggest(err, key, []string{"default_profile", "profiles"})
	})
}

func (p *parser) profile(name string, keyNode, value *yaml.Node) error {
	if name == "" {
		return p.fail(keyNode, "a profile needs a name")
	}
	values := map[string]fileValue{}
	p.doc.profiles[name] = values
	return p.section(value, "profile "+quote(name), "", values)
}

// section reads the settings below prefix.
func (p *parser) section(n *yaml.Node, what, prefix string, values map[string]fileValue) error {
	return p.each(n, what, func(key string, keyNode, value *yaml.Node) error {
		name := key
		if prefix != "" {
			name = prefix + "." + key
		}
		if row, ok := Find(name); ok && !row.Outside && !strings.Contains(key, ".") {
			return p.setting(row, value, values)
		}
		if _, ok := below(name); ok && !strings.Contains(key, ".") {
			return p.section(value, name, name, values)
		}
		return p.unknown(key, name, prefix, keyNode)
	})
}

func (p *parser) unknown(key, name, prefix string, n *yaml.Node) error {
	err := p.fail(n, "unknown key %s", quote(name))
	if row, ok := Find(name); ok && row.Outside && row.Env != "" {
		return err.WithHint("%s is not set in the config file but by the variable %s", name, row.Env)
	}
	if _, ok := Find(name); ok {
		return err.WithHint("write it as nested keys: one level for each dot")
	}
	keys, _ := below(prefix)
	if near := typo.Nearest(key, keys); near == "" {
		if full := typo.Nearest(name, names(func(r Row) bool { return !r.Outside })); full != "" {
			return err.WithHint("did you mean %s?", full)
		}
	}
	return suggest(err, key, keys)
}

func suggest(err *failure.Error, key string, known []string) error {
	if near := typo.Nearest(key, known); near != "" {
		return err.WithHint("did you mean %s?", near)
	}
	return err.WithHint("known here: %s", strings.Join(known, ", "))
}

// setting reads one value.
func (p *parser) setting(row Row, n *yaml.Node, values map[string]fileValue) error {
	text, err := p.text(row, n)
	if err != nil {
		return err
	}
	if row.Secret && text != "" {
		p.doc.secret = true
	}
	values[row.Name] = fileValue{secret.FromString(text), n.Line}
	return nil
}

func (p *parser) text(row Row, n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return "", p.fail(n, "anchors and aliases are not taken")
	}
	switch row.Kind {
	case Bool:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			return "", p.fail(n, "%s must be true or false", row.Name)
		}
		return n.Value, nil
	case List, Argv:
		if n.Kind != yaml.SequenceNode && (row.Kind == Argv || n.Kind != yaml.ScalarNode) {
			return "", p.fail(n, "%s must be a list of strings", row.Name).WithHint(`such as ["pass", "show", "vms"]`)
		}
		if n.Kind == yaml.ScalarNode {
			return p.scalar(n, row.Name)
		}
		words := make([]string, len(n.Content))
		for i, item := range n.Content {
			var err error
			if words[i], err = p.scalar(item, "an item of "+row.Name); err != nil {
				return "", err
			}
		}
		if row.Kind == List {
			return strings.Join(words, ","), nil
		}
		b, err := json.Marshal(words)
		return string(b), err
	}
	return p.scalar(n, row.Name)
}

// scalar wants a string. A number or a date is refused rather than guessed at:
// 0123 or 1e5 would not come out as it was written.
func (p *parser) scalar(n *yaml.Node, what string) (string, error) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return "", p.fail(n, "anchors and aliases are not taken")
	case n.Kind != yaml.ScalarNode:
		return "", p.fail(n, "%s must be a string, not a list or a mapping", what)
	case isNull(n):
		return "", p.fail(n, "%s has no value", what).WithHint("write a value, or remove the line")
	case n.ShortTag() != "!!str":
		return "", p.fail(n, "%s must be a string", what).WithHint("put the value into quotes")
	}
	return n.Value, nil
}
