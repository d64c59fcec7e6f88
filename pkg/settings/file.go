package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/typo"
)

// maxFile bounds the config file.
const maxFile = 256 << 10

// load reads the config file and lays the chosen profile over the defaults. It
// does so once; an error is the same at every later call.
func (s *Settings) load() error {
	if s.file == nil && s.err == nil {
		s.file, s.err = s.read()
		if s.err == nil {
			s.err = s.choose()
		}
	}
	return s.err
}

// choose applies the profile.
func (s *Settings) choose() error {
	e := s.top("profile")
	if e.layer == fromDefault && s.file.defaultProfile != "" {
		e = entry{secret.FromString(s.file.defaultProfile), fromProfile, s.file.source(s.file.defaultProfile, s.file.defaultLine)}
		s.layers.SetDefault("profile", e)
	}
	name := e.text.Reveal()
	if name == "" { // --profile ""
		name = "default"
	}
	profile, ok := s.file.profiles[name]
	// default is always there, with nothing in it.
	if !ok && (name != "default" || e.layer == fromProfile) {
		return s.noProfile(name, e)
	}
	for key, v := range profile {
		s.layers.SetDefault(key, entry{v.text, fromProfile, s.file.source(name, v.line)})
	}
	return nil
}

func (s *Settings) noProfile(name string, e entry) error {
	// Config even for --profile: the flag is well formed, the file lacks something.
	err := failure.New(failure.Config, "profile %s (%s) is not in %s", quote(name), e.source, s.file.shown())
	have := slices.Sorted(maps.Keys(s.file.profiles))
	if near := typo.Nearest(name, have); near != "" {
		return err.WithHint("did you mean %s? profiles: %s", near, strings.Join(have, ", "))
	}
	if len(have) > 0 {
		return err.WithHint("profiles: %s", strings.Join(have, ", "))
	}
	return err.WithHint("valetkey config set --profile %s vms.address HOST makes it", name)
}

// read opens, checks and parses the config file. Without a file the document is empty.
func (s *Settings) read() (*document, error) {
	path, source, err := s.path()
	if err != nil || path == "" {
		return &document{}, err
	}
	f, err := openFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if source == "default" {
			return &document{path: path}, nil
		}
		return nil, failure.Wrap(failure.Config, errors.New("there is no such file"), "read config file %s (%s)", path, source).
			WithHint("valetkey config init makes one; VALETKEY_CONFIG=%s reads none", os.DevNull)
	}
	if err != nil {
		return nil, failure.Wrap(failure.Config, durable.Words(err), "read config file %s (%s)", path, source).
			WithHint("VALETKEY_CONFIG names another file; VALETKEY_CONFIG=%s reads none", os.DevNull)
	}
	defer func() { _ = f.Close() }()
	data, err := readChecked(f)
	if err != nil {
		return nil, err
	}
	doc, err := parse(path, data)
	if err != nil {
		return nil, err
	}
	if doc.secret {
		if err := durable.CheckPrivateFile(f, true); err != nil {
			return nil, failure.Annotate(err, "config file holds a secret and must be readable by you alone")
		}
	}
	return doc, nil
}

// path is the absolute path of the config file and what named it. It is empty
// when there is no place for one, or when none is wanted.
func (s *Settings) path() (path, source string, err error) {
	at, err := s.must("config")
	if err != nil || at.IsEmpty() || at.Text() == os.DevNull {
		return "", at.Source, err
	}
	if path, err = filepath.Abs(at.Text()); err != nil {
		return "", at.Source, failure.Wrap(failure.Config, err, "find config file %s (%s)", at.Text(), at.Source)
	}
	return path, at.Source, nil
}

// readChecked reads the file after checking owner and mode of the open file
// and of the directories that decide what the path leads to.
func readChecked(f *os.File) ([]byte, error) {
	if err := durable.CheckPrivateFile(f, false); err != nil {
		return nil, failure.Annotate(err, "check config file")
	}
	dirs := []string{filepath.Dir(f.Name())}
	if real, err := filepath.EvalSymlinks(f.Name()); err == nil && filepath.Dir(real) != dirs[0] {
		dirs = append(dirs, filepath.Dir(real))
	}
	for _, dir := range dirs {
		if err := durable.CheckDir(dir); err != nil {
			return nil, failure.Wrap(failure.Config, err, "check directory of the config file")
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, failure.Wrap(failure.Config, durable.Words(err), "read config file %s", f.Name())
	}
	if len(data) > maxFile {
		return nil, failure.New(failure.Config, "config file %s is larger than 256 KiB", f.Name())
	}
	return data, nil
}

func (d *document) shown() string {
	if d.path == "" {
		return "the config file (there is none)"
	}
	return d.path
}

func (d *document) source(profile string, line int) string {
	return fmt.Sprintf("profile %s (%s:%d)", profile, d.path, line)
}

// Profiles returns the names of the profiles in the config file, sorted.
func (s *Settings) Profiles() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		// A profile that is not there must not keep anybody from listing those that are.
		if err := s.load(); err != nil && s.file == nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(s.file.profiles)), nil
}
