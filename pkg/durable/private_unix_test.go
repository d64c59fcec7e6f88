//go:build !windows

package durable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

func TestModesAreChecked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, c := range []struct {
		mode           fs.FileMode
		plain, private bool
	}{
		{0o600, true, true}, {0o400, true, true}, {0o700, true, true},
		{0o644, true, false}, {0o640, true, false}, {0o604, true, false},
		{0o620, false, false}, {0o602, false, false}, {0o666, false, false},
	} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Chmod(c.mode); err != nil {
			t.Fatal(err)
		}
		for secret, want := range map[bool]bool{false: c.plain, true: c.private} {
			err := durable.CheckPrivateFile(f, secret)
			if (err == nil) != want || (err != nil && (!failure.Is(err, failure.Config) || failure.HintOf(err) == "")) {
				t.Errorf("mode %04o, secret %v: %v", c.mode, secret, err)
			}
		}
		f.Close()
		os.Remove(path)
		sub := filepath.Join(dir, "d")
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(sub, c.mode|0o100); err != nil {
			t.Fatal(err)
		}
		if err := durable.PrivateDir(sub); (err == nil) != c.plain {
			t.Errorf("directory with mode %04o: %v", c.mode, err)
		}
		os.Remove(sub)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := durable.CheckPrivateFile(d, false); !failure.Is(err, failure.Config) {
		t.Errorf("a directory as a file: %v", err)
	}
}

// Only root can give a directory away.
func TestOwnerIsChecked(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chown(dir, 12345, -1); err != nil {
		if os.Geteuid() == 0 {
			t.Fatal(err)
		}
		return // not root: nothing can be given away, and so nothing tried
	}
	if err := durable.CheckDir(dir); !failure.Is(err, failure.Config) {
		t.Errorf("a directory of somebody else: %v", err)
	}
}
