package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

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

// What a passphrase costs is no waiting: a machine that is too slow for a
// deadline gets its item nevertheless, and pays once for the same bytes.
func TestPassphraseOnASlowMachine(t *testing.T) {
	begun, ended := 0, 0
	ctx, passes := t.Context(), func() {}
	open := func(dir string) *File {
		return quick(FileOptions{Dir: dir, Passphrase: phrase("pw"), Computing: func() func() {
			begun++
			passes()
			return func() { ended++ }
		}})
	}
	slow := func() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		t.Cleanup(cancel)
		passes = func() { <-ctx.Done() }
	}
	cost := func(what string, want int, do func() error) {
		t.Helper()
		begun, ended = 0, 0
		if err := do(); err != nil || begun != want || ended != want {
			t.Errorf("%s: %d computations (%d ended), want %d: %v", what, begun, ended, want, err)
		}
	}
	dir := t.TempDir()
	s := open(dir)
	slow()
	cost("the first put", 2, func() error { return s.Put(ctx, "i", []byte("v")) })
	slow()
	cost("the next", 1, func() error { return s.Put(ctx, "i", []byte("w")) })
	cost("what it wrote itself", 0, func() error { _, err := s.Get(t.Context(), "i"); return err })
	other := open(dir)
	cost("a passphrase that is tried before it is used", 1, func() error { return other.Prepare(t.Context()) })
	slow()
	cost("what somebody else wrote", 1, func() error { _, err := other.Get(ctx, "i"); return err })
	if got, err := other.Get(t.Context(), "i"); err != nil || string(got) != "w" {
		t.Errorf("again: %q, %v", got, err)
	}
	passes = func() {}
	if err := s.Put(t.Context(), "i", []byte("x")); err != nil {
		t.Fatal(err)
	}
	cost("what somebody else changed", 1, func() error {
		got, err := other.Get(t.Context(), "i")
		if string(got) != "x" {
			t.Errorf("got %q", got)
		}
		return err
	})
	if err := open(t.TempDir()).Prepare(t.Context()); err != nil { // a look makes nothing
		t.Error(err)
	}
	wrong := quick(FileOptions{Dir: dir, Passphrase: phrase("pq")})
	if err := wrong.Prepare(t.Context()); ReasonOf(err) != Denied {
		t.Errorf("a wrong passphrase, before a lock is taken: %v", err)
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

// A crash may leave the beginning of a file: of the temporary one beside the
// item, which is never read, or of the item itself where a file system does not
// keep a rename behind the data. That is no value, and the next write mends it.
func TestEveryPrefix(t *testing.T) {
	dir := t.TempDir()
	s := NewFile(FileOptions{Dir: dir, Identity: identityFile(t)})
	if err := s.Put(t.Context(), "i", []byte("canary-88")); err != nil {
		t.Fatal(err)
	}
	path, temp := s.path("i"), filepath.Join(dir, ".valetkey-1.tmp")
	whole, _ := os.ReadFile(path)
	for n := range len(whole) {
		if err := os.WriteFile(temp, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), "i"); err != nil || string(got) != "canary-88" {
			t.Fatalf("beside %d bytes of a temporary file: %q, %v", n, got, err)
		}
	}
	for n := range len(whole) {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), "i")
		if got != nil {
			t.Fatalf("%d of %d bytes were a value", n, len(whole))
		}
		mustBeUnusable(t, fmt.Sprintf("%d of %d bytes", n, len(whole)), err, s, Damaged)
	}
	if err := s.Put(t.Context(), "i", []byte("anew")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "i"); err != nil || string(got) != "anew" {
		t.Errorf("mended: %q, %v", got, err)
	}
}

// Writers are killed at random moments: what is there is what one of them wrote.
func TestKilledWriters(t *testing.T) {
	where := "identity|" + t.TempDir() + "|" + identityFile(t)
	s := opened(where)
	if err := contend(t.Context(), s, 0, 1); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		cmd := elsewhere(t, "write|"+where)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(20 * time.Millisecond)) //nolint:gosec // which moment is no secret
		_ = cmd.Process.Kill()
		rest, _ := io.ReadAll(out)
		_ = cmd.Wait()
		if text := strings.TrimPrefix(string(rest), "egins\n"); text != "" {
			t.Errorf("the writer ended on its own: %s", text)
		}
		got, err := s.Get(t.Context(), "contended")
		if err != nil || len(got) != 1000+int(got[0]-'0') || bytes.Count(got, got[:1]) != len(got) {
			t.Fatalf("after a kill: %d bytes, %v", len(got), err)
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
