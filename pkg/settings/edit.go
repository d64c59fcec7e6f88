package settings

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// Set writes a setting into the chosen profile of the config file, which it
// makes if need be, and keeps comments and layout. The value is checked first.
// The name `profile` sets default_profile. An unknown name, a bad value and a
// secret are failure.Usage.
//
// The wait for another process that changes the file ends with ctx.
func (s *Settings) Set(ctx context.Context, name, value string) error {
	row, err := s.settable(name)
	if err != nil {
		return err
	}
	if row.Secret {
		return failure.New(failure.Usage, "%s is a secret and is not taken as an argument", name).
			WithHint("leave the value out and type it, or pass it with --stdin")
	}
	return s.change(ctx, row, value)
}

// SetSecret is Set for a secret setting.
func (s *Settings) SetSecret(ctx context.Context, name string, value secret.Text) error {
	row, err := s.settable(name)
	if err != nil {
		return err
	}
	if !row.Secret {
		return failure.New(failure.Usage, "%s is not a secret", name).WithHint("valetkey config set %s VALUE", name)
	}
	return s.change(ctx, row, value.Reveal())
}

// settable returns the row of a setting that the config file can hold.
func (s *Settings) settable(name string) (Row, error) {
	row, ok := Find(name)
	if !ok {
		return row, unknown(name)
	}
	if row.Outside && name != "profile" {
		return row, failure.New(failure.Usage, "%s cannot stand in the config file", name).WithHint("set the variable %s", row.Env)
	}
	return row, nil
}

func (s *Settings) change(ctx context.Context, row Row, value string) error {
	p, err := row.checkNew(value)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path, err := s.writable()
	if err != nil {
		return err
	}
	if _, err := current(path); err != nil { // no lock file beside a device
		return err
	}
	held, err := durable.Lock(ctx, path+".lock")
	if err != nil {
		return failure.Wrap(kindOfWrite(err), durable.Words(err), "lock config file %s", path)
	}
	defer func() { _ = held.Release() }()
	old, err := current(path)
	if err != nil {
		return err
	}
	doc, err := parse(path, old)
	if err != nil {
		return err
	}
	keys, err := s.keys(row, doc, value)
	if err != nil {
		return err
	}
	data, err := edit(path, old, keys, row.node(p))
	if err != nil {
		return err
	}
	if err := durable.WriteFile(path, data, 0o600); err != nil {
		return failure.Wrap(failure.Config, durable.Words(err), "write config file %s", path)
	}
	s.file, s.err = nil, nil // the next lookup reads the file anew
	return nil
}

func kindOfWrite(err error) failure.Kind {
	if kind := failure.KindOf(err); kind != failure.Internal {
		return kind // a wait that ended
	}
	return failure.Config
}

// keys is the way to the value in the file.
func (s *Settings) keys(row Row, doc *document, value string) ([]string, error) {
	if row.Name == "profile" {
		if _, ok := doc.profiles[value]; !ok {
			return nil, failure.New(failure.Usage, "profile %s is not in %s", quote(value), doc.path).
				WithHint("valetkey config set --profile %s NAME VALUE makes it", value)
		}
		return []string{"default_profile"}, nil
	}
	e := s.top("profile")
	profile := e.text.Reveal()
	if e.layer <= fromProfile && doc.defaultProfile != "" {
		profile = doc.defaultProfile
	}
	if profile == "" {
		profile = "default"
	}
	return append([]string{"profiles", profile}, strings.Split(row.Name, ".")...), nil
}

// writable returns the path of the config file after making its directory.
func (s *Settings) writable() (string, error) {
	path, source, err := s.path()
	if err != nil {
		return "", err
	}
	if path == "" && source == "default" {
		return "", s.noHome("find a place for the config file").WithHint("set VALETKEY_CONFIG to a path of your own")
	}
	if path == "" {
		return "", failure.New(failure.Config, "no config file is wanted (%s)", source).WithHint("unset VALETKEY_CONFIG or name a file in it")
	}
	if err := durable.PrivateDir(filepath.Dir(path)); err != nil {
		return "", failure.Wrap(failure.Config, err, "make directory of the config file")
	}
	return path, nil
}

// current returns the content of the config file, which may be missing.
func current(path string) ([]byte, error) {
	f, err := openFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.Wrap(failure.Config, durable.Words(err), "read config file %s", path)
	}
	defer func() { _ = f.Close() }()
	return readChecked(f)
}

// node is a checked value as YAML.
func (r Row) node(p parsed) *yaml.Node {
	text := func(s string) *yaml.Node {
		n := &yaml.Node{}
		n.SetString(s)
		if strings.ContainsAny(s, "\n\r") {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	}
	switch r.Kind {
	case Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: p.text}
	case List, Argv:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		for _, word := range p.list {
			n.Content = append(n.Content, text(word))
		}
		return n
	}
	return text(p.text)
}

// edit puts value at keys. It changes the text where it can, so that layout and
// comments stay, and writes the tree anew where it cannot; either way the
// result is parsed and compared before it is taken.
func edit(path string, old []byte, keys []string, value *yaml.Node) ([]byte, error) {
	before, err := parse(path, old)
	if err != nil {
		return nil, err
	}
	for _, try := range []func() ([]byte, bool){
		func() ([]byte, bool) { return editText(path, old, keys, value) },
		func() ([]byte, bool) { return editTree(path, old, keys, value) },
	} {
		if data, ok := try(); ok && len(data) <= maxFile && changed(path, before, data, keys, value) {
			return data, nil
		}
	}
	return nil, failure.New(failure.Config, "cannot change %s in %s and keep the rest", keys[len(keys)-1], path).WithHint("edit the file by hand")
}

// changed reports whether data says what before said, with value at keys.
func changed(path string, before *document, data []byte, keys []string, value *yaml.Node) bool {
	after, err := parse(path, data)
	if err != nil {
		return false
	}
	want := flatten(before)
	if keys[0] == "default_profile" {
		want[keys[0]] = value.Value
		return maps.Equal(want, flatten(after))
	}
	row, _ := Find(strings.Join(keys[2:], "."))
	text, err := (&parser{doc: before}).text(row, value)
	want[strings.Join(keys, "\x00")] = text
	return err == nil && maps.Equal(want, flatten(after))
}

// flatten is what a document says, without positions.
func flatten(d *document) map[string]string {
	all := map[string]string{}
	if d.defaultProfile != "" {
		all["default_profile"] = d.defaultProfile
	}
	for profile, values := range d.profiles {
		for name, v := range values {
			all[strings.Join(append([]string{"profiles", profile}, strings.Split(name, ".")...), "\x00")] = v.text.Reveal()
		}
	}
	return all
}
