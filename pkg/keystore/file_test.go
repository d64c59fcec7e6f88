package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

func TestValuesAreEncryptedAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "store")
	s := NewFile(FileOptions{Dir: dir, Identity: identityFile(t)})
	if err := s.Put(t.Context(), "item", []byte("canary-5d1f")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	path := filepath.Join(dir, entries[0].Name())
	raw, _ := os.ReadFile(path)
	if bytes.Contains(raw, []byte("canary")) {
		t.Error("the value lies in the clear")
	}
	info, _ := entries[0].Info()
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestIdentityFile(t *testing.T) {
	good := identityFile(t)
	text, _ := os.ReadFile(good)
	write := func(name string, mode fs.FileMode, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		path   string
		kind   failure.Kind
		reason Reason
		ok     bool
	}{
		"good":         {path: good, ok: true},
		"post-quantum": {path: write("h", 0o600, []byte(hybrid.String())), ok: true},
		"missing":      {path: filepath.Join(t.TempDir(), "none"), kind: failure.Store, reason: Absent},
		"nonsense":     {path: write("n", 0o600, []byte("AGE-SECRET-KEY-canary-1")), kind: failure.Config},
		"empty":        {path: write("e", 0o600, nil), kind: failure.Config},
		"a directory":  {path: t.TempDir(), kind: failure.Config},
		"readable":     {path: write("r", 0o644, text), kind: failure.Config, ok: runtime.GOOS == "windows"},
	}
	for name, c := range cases {
		s := NewFile(FileOptions{Dir: t.TempDir(), Identity: c.path})
		err := s.Put(t.Context(), "i", []byte("v"))
		if c.ok {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !failure.Is(err, c.kind) || ReasonOf(err) != c.reason {
			t.Errorf("%s: %v (%v)", name, err, failure.DetailsOf(err))
		}
		if strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: the error shows the identity: %v", name, err)
		}
		if !strings.Contains(err.Error(), "VALETKEY_STORE_IDENTITY") {
			t.Errorf("%s: the error does not name the setting: %v", name, err)
		}
	}
}

func TestIdentityIsReplacedByPuttingOneAboveIt(t *testing.T) {
	dir, old, next := t.TempDir(), identityFile(t), identityFile(t)
	if err := NewFile(FileOptions{Dir: dir, Identity: old}).Put(t.Context(), "i", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(FileOptions{Dir: dir, Identity: next}).Get(t.Context(), "i"); ReasonOf(err) != Denied {
		t.Errorf("a foreign identity: %v", err)
	}
	a, _ := os.ReadFile(next)
	b, _ := os.ReadFile(old)
	both := filepath.Join(t.TempDir(), "both")
	if err := os.WriteFile(both, append(a, b...), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewFile(FileOptions{Dir: dir, Identity: both})
	got, err := s.Get(t.Context(), "i")
	if err != nil || string(got) != "v" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := s.Put(t.Context(), "i", got); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(FileOptions{Dir: dir, Identity: next}).Get(t.Context(), "i"); err != nil {
		t.Errorf("the new identity alone: %v", err)
	}
}

func TestPassphrase(t *testing.T) {
	dir := t.TempDir()
	asked, asksNew := 0, 0
	count := func(n *int, p string) func(context.Context) (secret.Text, error) {
		return func(context.Context) (secret.Text, error) { *n++; return secret.FromString(p), nil }
	}
	s := quick(FileOptions{Dir: dir, Passphrase: count(&asked, "wrong"), NewPassphrase: count(&asksNew, "pw")})
	for range 3 {
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), "i", []byte("v")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "i"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 0 || asksNew != 1 {
		t.Errorf("asked %d and %d times", asked, asksNew)
	}
	typo := quick(FileOptions{Dir: dir, Passphrase: phrase("pq"), NewPassphrase: count(&asksNew, "pw")})
	if _, err := typo.Get(t.Context(), "i"); ReasonOf(err) != Denied {
		t.Errorf("get with a wrong passphrase: %v", err)
	}
	if err := typo.Put(t.Context(), "other", []byte("v")); ReasonOf(err) != Denied {
		t.Errorf("put with a wrong passphrase: %v", err)
	}
	if asksNew != 1 {
		t.Error("an existing store was taken for a new one")
	}
	if err := quick(FileOptions{Dir: dir, Passphrase: phrase("")}).Put(t.Context(), "i", nil); !failure.Is(err, failure.Usage) {
		t.Errorf("an empty passphrase: %v", err)
	}
	if _, err := quick(FileOptions{Dir: dir}).Get(t.Context(), "i"); ReasonOf(err) != Locked {
		t.Errorf("nobody to ask: %v", err)
	}
	nobody := failure.New(failure.Usage, "no terminal")
	ask := func(context.Context) (secret.Text, error) { return secret.Text{}, nobody }
	if _, err := quick(FileOptions{Dir: dir, Passphrase: ask}).Get(t.Context(), "i"); !errors.Is(err, nobody) {
		t.Errorf("the prompt's own error: %v", err)
	}
}

func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	s := NewFile(FileOptions{Dir: dir, Identity: identityFile(t)})
	if err := s.Put(t.Context(), "i", []byte("canary-77")); err != nil {
		t.Fatal(err)
	}
	path := s.path("i")
	whole, _ := os.ReadFile(path)
	for name, data := range map[string][]byte{
		"empty": {}, "cut": whole[:len(whole)-3], "cut in the header": whole[:20], "text": []byte("hello"),
		"flipped": append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1),
		"huge":    make([]byte, MaxSize+overhead+1),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), "i"); !failure.Is(err, failure.Store) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestUnsafePlacesAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // the rights of the profile directory decide there
	}
	identity, dir := identityFile(t), t.TempDir()
	s := NewFile(FileOptions{Dir: dir, Identity: identity})
	if err := s.Put(t.Context(), "i", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.path("i"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "i"); !failure.Is(err, failure.Config) {
		t.Errorf("an item that others can read: %v", err)
	}
	if err := os.Chmod(s.path("i"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "i"); !failure.Is(err, failure.Config) {
		t.Errorf("get in a directory that others can write: %v", err)
	}
	if err := s.Put(t.Context(), "i", nil); !failure.Is(err, failure.Config) {
		t.Errorf("put in a directory that others can write: %v", err)
	}
}

func TestADirectoryThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewFile(FileOptions{Dir: filepath.Join(file, "store"), Identity: identityFile(t)})
	if err := s.Put(t.Context(), "i", nil); ReasonOf(err) != Absent || !strings.Contains(failure.HintOf(err), "VALETKEY_STORE_DIR") {
		t.Errorf("below a file: %v", err)
	}
}

func TestFileTrouble(t *testing.T) {
	s := NewFile(FileOptions{})
	for name, c := range map[string]struct {
		err     error
		refused Reason
		want    Reason
	}{
		"reading what is forbidden": {fs.ErrPermission, Denied, Denied},
		"writing what is forbidden": {fs.ErrPermission, ReadOnly, ReadOnly},
		"anything else":             {errors.New("i/o error"), ReadOnly, Absent},
	} {
		err := s.trouble(&fs.PathError{Op: "open", Path: "/tmp-123", Err: c.err}, c.refused, "write", "/store/i")
		if ReasonOf(err) != c.want || failure.HintOf(err) == "" || !strings.Contains(err.Error(), "/store/i") || strings.Contains(err.Error(), "tmp-123") {
			t.Errorf("%s: %v, %v", name, err, failure.DetailsOf(err))
		}
	}
}
