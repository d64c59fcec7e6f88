package keystore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	keyring "github.com/zalando/go-keyring"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// identityFile makes an age identity and returns its path.
func identityFile(t *testing.T) string {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "identity.txt")
	if err := os.WriteFile(path, []byte("# made for a test\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// quick is a file store with a passphrase whose scrypt costs nothing.
func quick(o FileOptions) *File {
	s := NewFile(o)
	s.workFactor = 2
	return s
}

func phrase(p string) func(context.Context) (secret.Text, error) {
	return func(context.Context) (secret.Text, error) { return secret.FromString(p), nil }
}

// ring is the library's mock, which is not safe for concurrent use.
type ring struct {
	mu sync.Mutex
	plain
}

func (r *ring) Get(s, u string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plain.Get(s, u)
}

func (r *ring) Set(s, u, v string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plain.Set(s, u, v)
}

func (r *ring) Delete(s, u string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plain.Delete(s, u)
}

// The same promises for every store, each looked at through two handles where
// a second one sees the same items.
func TestConformance(t *testing.T) {
	keyring.MockInit()
	dir, sealed, identity := t.TempDir(), t.TempDir(), identityFile(t)
	memory, shared := NewMemory(), &ring{}
	stores := map[string]func() Store{
		"memory":          func() Store { return memory },
		"file identity":   func() Store { return NewFile(FileOptions{Dir: dir, Identity: identity}) },
		"file passphrase": func() Store { return quick(FileOptions{Dir: sealed, Passphrase: phrase("pw")}) },
		"os":              func() Store { return NewOS(OSOptions{Keyring: shared}) },
	}
	maps.Copy(stores, kernelStores(t))
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { conform(t, open) })
	}
}

func conform(t *testing.T, open func() Store) {
	ctx := t.Context()
	s := open()
	if !strings.HasPrefix(t.Name(), "TestConformance/"+s.Name()) {
		t.Errorf("name %q", s.Name())
	}
	const item = "vms.example.com:8443/-/alice"

	if _, err := s.Get(ctx, item); !failure.Is(err, failure.NotFound) {
		t.Errorf("get of an absent item: %v", err)
	}
	if err := s.Delete(ctx, item); !failure.Is(err, failure.NotFound) {
		t.Errorf("delete of an absent item: %v", err)
	}
	for _, value := range []string{`{"a":1}`, strings.Repeat("x", 2500), `"ünïcode\n'quoted' $(no)"`, "short"} {
		if err := s.Put(ctx, item, []byte(value)); err != nil {
			t.Fatalf("put %d bytes: %v", len(value), err)
		}
		got, err := open().Get(ctx, item)
		if err != nil || string(got) != value {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(value))
		}
	}
	big := bytes.Repeat([]byte("x"), MaxSize+1)
	if err := s.Put(ctx, item, big); ReasonOf(err) != TooLarge {
		t.Errorf("oversized: %v", err)
	}
	if got, err := s.Get(ctx, item); err != nil || string(got) != "short" {
		t.Errorf("after a refused put: %q, %v", got, err)
	}
	got, _ := s.Get(ctx, item)
	got[0] = 'X'
	if again, _ := s.Get(ctx, item); string(again) != "short" {
		t.Error("a caller's change reached the store")
	}
	if err := s.Delete(ctx, item); err != nil {
		t.Error(err)
	}
	if _, err := open().Get(ctx, item); !failure.Is(err, failure.NotFound) {
		t.Errorf("get after delete: %v", err)
	}
	conformNames(t, open)
	conformWriters(t, open)
	conformContext(t, s)
}

func conformNames(t *testing.T, open func() Store) {
	ctx, s := t.Context(), open()
	names := hostileNames()
	for _, n := range names {
		if err := s.Put(ctx, n, []byte("value of "+n)); err != nil {
			t.Fatalf("put %q: %v", n, err)
		}
	}
	for _, n := range names {
		if got, err := s.Get(ctx, n); err != nil || string(got) != "value of "+n {
			t.Errorf("name %.40q: %q, %v", n, got, err)
		}
	}
	for _, n := range names {
		if err := s.Delete(ctx, n); err != nil {
			t.Errorf("delete %.40q: %v", n, err)
		}
	}
	if err := s.Put(ctx, "", nil); err == nil {
		t.Error("an empty name was taken")
	}
}

func hostileNames() []string {
	return []string{
		"..", ".", "/", "../../etc/passwd", `..\..\x`, `C:\x`, "con", "NUL", "com1.txt", "a/b", "a%2fb", "a:b", "a b",
		"Alice", "alice", "ALICE", "é", "e\u0301", "-", "--x", "x.", "x ", "x\n", "~", "item-a", "a.age", "a.lock", "passphrase",
		strings.Repeat("n", 200), strings.Repeat("n", 201), strings.Repeat("Ü", 100),
	}
}

func conformWriters(t *testing.T, open func() Store) {
	ctx := t.Context()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := open()
			value := []byte(strings.Repeat(fmt.Sprint(i), 1000+i))
			for range 5 {
				if err := s.Put(ctx, "contended", value); err != nil {
					t.Error(err)
				}
				got, err := s.Get(ctx, "contended")
				if err != nil || len(got) < 1000 || len(got) != 1000+int(got[0]-'0') || bytes.Count(got, got[:1]) != len(got) {
					t.Errorf("torn value of %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	if err := open().Delete(ctx, "contended"); err != nil {
		t.Error(err)
	}
}

func conformContext(t *testing.T, s Store) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	calls := map[string]func(context.Context) error{
		"get":    func(ctx context.Context) error { _, err := s.Get(ctx, "i"); return err },
		"put":    func(ctx context.Context) error { return s.Put(ctx, "i", []byte("v")) },
		"delete": func(ctx context.Context) error { return s.Delete(ctx, "i") },
	}
	for name, call := range calls {
		if err := call(gone); !failure.Is(err, failure.Cancelled) {
			t.Errorf("%s, cancelled: %v", name, err)
		}
		if err := call(late); !failure.Is(err, failure.Network) || ReasonOf(err) != "" { // it was not the store that took the time
			t.Errorf("%s, late: %v", name, err)
		}
	}
	if _, err := s.Get(t.Context(), "i"); !failure.Is(err, failure.NotFound) {
		t.Errorf("a cancelled put wrote something: %v", err)
	}
}
