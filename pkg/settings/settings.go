package settings

import (
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/viper"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/typo"
)

// Input is all that settings are made from.
type Input struct {
	Env   map[string]string // the environment of the process
	Flags map[string]string // setting to value, only flags that were given; see FlagValues
	GOOS  string            // decides where files lie; empty means runtime.GOOS
}

// Settings resolves settings. It is safe for concurrent use.
type Settings struct {
	env    map[string]string
	goos   string
	mu     sync.Mutex
	layers *viper.Viper
	file   *document // nil until the config file was needed
	err    error     // what was wrong with it
	warned []string
}

// layer is where a value comes from, in rising precedence.
type layer int

const (
	fromDefault layer = iota
	fromProfile
	fromHomeFile // ~/.vault-token
	fromAlias
	fromEnv
	fromFlag
)

// entry is one value in one layer, unchecked.
type entry struct {
	text   secret.Text // of every setting: nothing that prints an entry shows a secret
	layer  layer
	source string
}

// New returns settings from in. It opens no file and never fails; what is wrong
// is reported when it is looked up.
//
// Of viper's layers the overrides hold the flags, the configuration what the
// environment says, and the defaults the defaults, which the profile replaces
// once the config file had to be read. Viper's own reading of environment and
// files is not used: it reads the environment of the process, and forgets where
// a value came from.
func New(in Input) *Settings {
	s := &Settings{env: in.Env, goos: in.GOOS, layers: viper.NewWithOptions(viper.KeyDelimiter("\x00"))}
	if s.goos == "" {
		s.goos = runtime.GOOS
	}
	if s.goos == "windows" { // where names of variables ignore case
		s.env = make(map[string]string, len(in.Env))
		for name, value := range in.Env {
			s.env[strings.ToUpper(name)] = value
		}
	}
	environment := map[string]any{}
	for _, row := range table {
		if row.Default != "" {
			s.layers.SetDefault(row.Name, entry{secret.FromString(row.Default), fromDefault, "default"})
		}
		if e, ok := s.fromEnvironment(row); ok {
			environment[row.Name] = e
		}
		if text, ok := in.Flags[row.Name]; ok && row.Flag != "" {
			s.layers.Set(row.Name, entry{secret.FromString(text), fromFlag, "flag --" + row.Flag})
		}
	}
	// A plain map of names cannot fail to merge.
	_ = s.layers.MergeConfigMap(environment)
	return s
}

// fromEnvironment returns what the first variable of the row says that is set.
// An empty variable counts as not set, for every setting: shells and CI systems
// cannot always unset one. (An empty flag is a value: it says "none".)
func (s *Settings) fromEnvironment(row Row) (entry, bool) {
	for _, name := range row.Variables() {
		text := s.getenv(name)
		// CI holds all sorts of words; only true is a promise.
		if text == "" || name == "CI" && !strings.EqualFold(text, "true") {
			continue
		}
		l := fromAlias
		if name == row.Env {
			l = fromEnv
		}
		return entry{secret.FromString(text), l, "env " + name}, true
	}
	return entry{}, false
}

func (s *Settings) getenv(name string) string {
	if s.goos == "windows" {
		name = strings.ToUpper(name)
	}
	return s.env[name]
}

// Value is a setting's value and where it comes from.
type Value struct {
	Name string
	// Source is one of `flag --x`, `env NAME`, `profile x (FILE:LINE)`,
	// `file PATH` (for ~/.vault-token) and `default`.
	Source string
	Set    bool // somebody said it; false for a default

	layer  layer
	parsed parsed
	secret secret.Text
	hidden bool
	kind   Kind
}

// Text is the value; empty for a secret. A bool is true or false, a list is
// joined with commas, a command is JSON.
func (v Value) Text() string {
	if v.hidden {
		return ""
	}
	switch v.kind {
	case List:
		return strings.Join(v.parsed.list, ",")
	case Argv:
		if len(v.parsed.list) == 0 {
			return ""
		}
		b, _ := json.Marshal(v.parsed.list) // strings always marshal
		return string(b)
	}
	return v.parsed.text
}

// String is the value as it may be shown: a secret is [redacted].
func (v Value) String() string {
	if v.hidden && !v.secret.IsEmpty() {
		return secret.Redacted
	}
	return v.Text()
}

// Secret is the value of a secret setting; empty for others.
func (v Value) Secret() secret.Text { return v.secret }

// IsEmpty reports whether there is no value at all.
func (v Value) IsEmpty() bool { return v.Text() == "" && v.secret.IsEmpty() }

// Bool is the value of a Bool.
func (v Value) Bool() bool { return v.parsed.on }

// Duration is the value of a Duration; zero for the word none.
func (v Value) Duration() time.Duration { return v.parsed.duration }

// List is the value of a List or an Argv.
func (v Value) List() []string { return slices.Clone(v.parsed.list) }

// Lookup returns a setting by name. An unknown name is failure.Usage with a suggestion.
func (s *Settings) Lookup(name string) (Value, error) {
	row, ok := Find(name)
	if !ok {
		return Value{}, unknown(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookup(row)
}

func unknown(name string) error {
	name, _, assigned := strings.Cut(name, "=") // what was assigned may be a secret
	if _, known := Find(name); assigned && known {
		return failure.New(failure.Usage, "%s= is not the name of a setting", name).
			WithHint("write a space between name and value; a secret is typed or passed with --stdin")
	}
	err := failure.New(failure.Usage, "unknown setting %s", quote(name))
	if near := typo.Nearest(name, names(func(Row) bool { return true })); near != "" {
		return err.WithHint("did you mean %s?", near)
	}
	return err.WithHint("valetkey config list shows all settings")
}

// lookup does the work of Lookup. The caller holds the lock.
func (s *Settings) lookup(row Row) (Value, error) {
	e, err := s.entry(row)
	if err != nil {
		return Value{Name: row.Name}, err
	}
	if e.layer == fromDefault {
		return s.derived(row)
	}
	return s.value(row, e)
}

// must is lookup by a name that the table holds.
func (s *Settings) must(name string) (Value, error) {
	row, _ := Find(name)
	return s.lookup(row)
}

// entry returns the entry of the highest layer and reads files only when no
// flag and no variable says anything.
func (s *Settings) entry(row Row) (entry, error) {
	e := s.top(row.Name)
	if e.layer > fromHomeFile {
		return e, nil
	}
	if row.Name == "vault.token" {
		if home, ok, err := s.homeToken(); ok || err != nil {
			return home, err
		}
	}
	if row.Outside && row.Name != "profile" {
		return e, nil
	}
	if err := s.load(); err != nil {
		return entry{}, err
	}
	return s.top(row.Name), nil
}

func (s *Settings) top(name string) entry {
	if e, ok := s.layers.Get(name).(entry); ok {
		return e
	}
	return entry{source: "default"}
}

// value checks an entry.
func (s *Settings) value(row Row, e entry) (Value, error) {
	v := Value{Name: row.Name, Source: e.source, Set: e.layer != fromDefault, layer: e.layer, hidden: row.Secret, kind: row.Kind}
	text := e.text.Reveal()
	if text == "" && row.Kind != Bool && row.Kind != Enum && row.Kind != Duration {
		return v, nil
	}
	// Some commands know more formats (-o csv) and check the flag themselves.
	if row.Name == "output" && e.layer == fromFlag {
		v.parsed.text = text
		return v, nil
	}
	p, err := row.parse(text)
	if err != nil {
		kind := failure.Config
		if e.layer == fromFlag {
			kind = failure.Usage
		}
		return v, failure.Wrap(kind, err, "read setting %s (%s)", row.Name, e.source).WithHint("%s: %s", row.Name, row.Help)
	}
	if row.Kind == Path && e.layer == fromProfile {
		if p.text, err = s.filePath(text); err != nil {
			return v, failure.Annotate(err, "read setting %s (%s)", row.Name, e.source)
		}
	}
	v.parsed = p
	if row.Secret {
		v.secret, v.parsed = e.text, parsed{}
	}
	return v, nil
}

// derived returns the default of a setting, which other settings may decide.
func (s *Settings) derived(row Row) (Value, error) {
	v := Value{Name: row.Name, Source: "default", hidden: row.Secret, kind: row.Kind}
	var err error
	switch row.Name {
	case "s3.public_endpoint":
		var endpoint Value
		endpoint, err = s.must("s3.endpoint")
		v.parsed = endpoint.parsed
	case "tokens.store":
		var store Value
		store, err = s.must("keys.store")
		v.parsed.text = row.Default
		if slices.Contains(row.Choices, store.Text()) {
			v.parsed = store.parsed
		}
	case "config":
		v.parsed.text, err = s.configPath()
	case "state.dir", "store.dir":
		v.parsed.text, err = s.defaultDir(row)
	default:
		if row.Default != "" {
			v.parsed, err = row.parse(row.Default)
		}
	}
	return v, err
}

// Warnings returns what should be said on stderr at every run, about the
// settings looked up so far: a certificate that is not verified, a variable
// that is ignored. Each is said once.
func (s *Settings) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warned)
}

func (s *Settings) warn(text string) {
	if !slices.Contains(s.warned, text) {
		s.warned = append(s.warned, text)
	}
}
