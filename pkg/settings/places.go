package settings

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

const app = "valetkey"

// ConfigPath returns where the config file lies or would lie. A path in
// VALETKEY_CONFIG may be relative: whoever names a file has chosen it.
func (s *Settings) ConfigPath() (Value, error) { return s.Lookup("config") }

// StateDir returns the directory of locks, journal and index. It need not exist.
func (s *Settings) StateDir() (Value, error) { return s.directory("state.dir") }

// StoreDir returns the directory of the store file. It need not exist.
func (s *Settings) StoreDir() (Value, error) { return s.directory("store.dir") }

// directory refuses a relative path: what is kept there would be found from one
// working directory only.
func (s *Settings) directory(name string) (Value, error) {
	v, err := s.Lookup(name)
	if err == nil && !s.isAbsolute(v.Text()) {
		return v, failure.New(failure.Config, "%s (%s) is not an absolute path", name, v.Source).
			WithHint("a relative one would mean another place in every working directory")
	}
	return v, err
}

// configPath is the place of the config file when VALETKEY_CONFIG is not set.
// It is empty when there is no home: then there is no file.
func (s *Settings) configPath() (string, error) {
	dir := s.absolute("XDG_CONFIG_HOME")
	switch {
	case s.goos == "windows":
		dir = s.absolute("APPDATA")
	case dir == "" && s.home() != "":
		dir = filepath.Join(s.home(), ".config")
	}
	if dir == "" {
		return "", nil
	}
	return filepath.Join(dir, app, "config.yaml"), nil
}

// defaultDir is the default of state.dir and store.dir.
func (s *Settings) defaultDir(row Row) (string, error) {
	variable, below, leaf := "XDG_STATE_HOME", filepath.Join(".local", "state"), app
	if row.Name == "store.dir" {
		variable, below = "XDG_DATA_HOME", filepath.Join(".local", "share")
	}
	if s.goos == "windows" {
		variable, below = "LOCALAPPDATA", filepath.Join("AppData", "Local")
		if row.Name == "store.dir" {
			leaf = filepath.Join(app, "store")
		}
	}
	if dir := s.absolute(variable); dir != "" {
		return filepath.Join(dir, leaf), nil
	}
	if home := s.home(); home != "" {
		return filepath.Join(home, below, leaf), nil
	}
	return "", s.noHome("find a place for %s", row.Name).
		WithHint("set %s to a directory of your own (%s)", row.Env, row.Help)
}

// home is the home directory, or empty.
func (s *Settings) home() string { return s.absolute(s.homeVariable()) }

func (s *Settings) homeVariable() string {
	if s.goos == "windows" {
		return "USERPROFILE"
	}
	return "HOME"
}

func (s *Settings) noHome(format string, args ...any) *failure.Error {
	return failure.Wrap(failure.Config, errors.New(s.homeVariable()+" is not set to an absolute path"), format, args...)
}

// absolute is the path in a variable; one that is not absolute counts as not
// set, as the XDG rules want it.
func (s *Settings) absolute(variable string) string {
	path := s.getenv(variable)
	if !s.isAbsolute(path) {
		return ""
	}
	return path
}

func (s *Settings) isAbsolute(path string) bool {
	windows := s.goos == "windows" && len(path) > 2 && path[1] == ':'
	return filepath.IsAbs(path) || windows
}

// filePath completes a path that stands in the config file: ~/ is the home,
// and a relative path starts at the file's own directory, so that it means the
// same wherever valetkey runs.
func (s *Settings) filePath(text string) (string, error) {
	if rest, ok := strings.CutPrefix(filepath.ToSlash(text), "~/"); ok {
		if s.home() == "" {
			return "", s.noHome("expand %s", quote(text)).WithHint("write an absolute path")
		}
		return filepath.Join(s.home(), rest), nil
	}
	if filepath.IsAbs(text) || s.file == nil {
		return text, nil
	}
	return filepath.Join(filepath.Dir(s.file.path), text), nil
}

// homeToken reads ~/.vault-token, where the CLI of Vault keeps its login. It is
// read only, never written, and bound to no address, just as Vault treats it.
// A file that is not there or not ours to read counts as none.
func (s *Settings) homeToken() (entry, bool, error) {
	if s.home() == "" {
		return entry{}, false, nil
	}
	path := filepath.Join(s.home(), ".vault-token")
	f, err := openFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return entry{}, false, nil
	}
	if err != nil {
		return entry{}, false, failure.Wrap(failure.Config, durable.Words(err), "read %s", path)
	}
	defer func() { _ = f.Close() }()
	const limit = 64 << 10
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(text) > limit {
		err = errors.New("it is too large for a token")
	}
	if err != nil {
		return entry{}, false, failure.Wrap(failure.Config, durable.Words(err), "read %s", path)
	}
	text = bytes.TrimSpace(text)
	return entry{secret.New(text), fromHomeFile, "file " + path}, len(text) > 0, nil
}

// openFile opens a regular file for reading; a pipe or a device would hang or never end.
func openFile(path string) (*os.File, error) {
	f, err := openNoWait(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
