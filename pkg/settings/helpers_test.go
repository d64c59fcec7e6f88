package settings_test

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
)

// world is an environment with a home of its own.
type world struct {
	t    *testing.T
	home string
	env  map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	return &world{t, home, map[string]string{"HOME": home}}
}

func (w *world) path() string { return filepath.Join(w.home, ".config", "valetkey", "config.yaml") }

// config writes the config file where it lies by default.
func (w *world) config(text string) {
	w.t.Helper()
	w.write(w.path(), text)
}

func (w *world) write(path, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) with(flags map[string]string) *settings.Settings {
	return settings.New(settings.Input{Env: w.env, Flags: flags, GOOS: "linux"})
}

func (w *world) settings() *settings.Settings { return w.with(nil) }

func wantKind(t *testing.T, err error, kind failure.Kind) {
	t.Helper()
	if !failure.Is(err, kind) {
		t.Errorf("error %v is %v, want %v", err, failure.KindOf(err), kind)
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
