package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
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

// kind is a kind of store that keeps the promises of [Store].
type kind struct {
	open func() Store // another handle on the same items
	role string       // how another process opens it, see elsewhere; empty where no other sees the items
}

// The same promises for every store, each looked at through several handles, and
// by several processes where these see the same items.
func TestConformance(t *testing.T) {
	keyring.MockInit()
	memory, shared := NewMemory(), &ring{}
	kinds := map[string]kind{
		"memory":          {open: func() Store { return memory }},
		"file identity":   fromRole(t, "identity|"+t.TempDir()+"|"+identityFile(t)),
		"file passphrase": fromRole(t, "passphrase|"+t.TempDir()),
		"os":              {open: func() Store { return NewOS(OSOptions{Keyring: shared}) }},
	}
	maps.Copy(kinds, kernelKind(t))
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			if s := k.open(); !strings.HasPrefix(name, s.Name()) {
				t.Errorf("it is called %q", s.Name())
			}
			conformValues(t, k.open)
			conformNames(t, k.open)
			conformWriters(t, k)
			conformContext(t, k.open())
		})
	}
}

func fromRole(t *testing.T, role string) kind {
	t.Helper()
	return kind{open: func() Store { return opened(role) }, role: role}
}

// opened is the store of a role: what it is and where, in words that go through
// an environment variable.
func opened(role string) Store {
	words := strings.Split(role, "|")
	switch words[0] {
	case "identity":
		return NewFile(FileOptions{Dir: words[1], Identity: words[2]})
	case "passphrase":
		return quick(FileOptions{Dir: words[1], Passphrase: phrase("pw")})
	}
	return kernelOf(words[1])
}

func conformValues(t *testing.T, open func() Store) {
	ctx, s := t.Context(), open()
	const item = "vms.example.com:8443/-/alice"
	if _, err := s.Get(ctx, item); !failure.Is(err, failure.NotFound) {
		t.Errorf("get of an absent item: %v", err)
	}
	if err := s.Delete(ctx, item); !failure.Is(err, failure.NotFound) {
		t.Errorf("delete of an absent item: %v", err)
	}
	for _, value := range []string{"", `{"a":1}`, strings.Repeat("x", 2500), `"ünïcode\n'quoted' $(no)"`, "short"} {
		if err := s.Put(ctx, item, []byte(value)); err != nil {
			t.Fatalf("put %d bytes: %v", len(value), err)
		}
		got, err := open().Get(ctx, item)
		if err != nil || string(got) != value {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(value))
		}
	}
	mustBeUnusable(t, "oversized", s.Put(ctx, item, bytes.Repeat([]byte("x"), MaxSize+1)), s, TooLarge)
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
	if err := s.Delete(ctx, item); !failure.Is(err, failure.NotFound) {
		t.Errorf("delete after delete: %v", err)
	}
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
		"..", ".", "/", "../../etc/passwd", `..\..\x`, `C:\x`, "con", "NUL", "com1.txt", "a/b", "a%2fb", "a%2Fb", "a\xff", "a\xfe", "a\xef\xbf\xbd", "a:b", "a b",
		"Alice", "alice", "ALICE", "é", "e\u0301", "-", "--x", "x.", "x ", "x\n", "~", "item-a", "a.age", "a.lock", "passphrase",
		strings.Repeat("n", 200), strings.Repeat("n", 201), strings.Repeat("Ü", 100),
	}
}

// Goroutines write, each through a handle of its own, and processes do.
func conformWriters(t *testing.T, k kind) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := contend(t.Context(), k.open(), i, 5); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 4 {
		if k.role == "" {
			break
		}
		wg.Go(func() {
			if out, err := elsewhere(t, fmt.Sprintf("contend %d|%s", i, k.role)).CombinedOutput(); err != nil {
				t.Errorf("another process: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	if err := k.open().Delete(t.Context(), "contended"); err != nil {
		t.Error(err)
	}
}

// contend writes a value that shows when it is torn, and reads what is there.
func contend(ctx context.Context, s Store, i, times int) error {
	for range times {
		if err := s.Put(ctx, "contended", []byte(strings.Repeat(strconv.Itoa(i), 1000+i))); err != nil {
			return err
		}
		got, err := s.Get(ctx, "contended")
		if err != nil {
			return err
		}
		if len(got) < 1000 || len(got) != 1000+int(got[0]-'0') || bytes.Count(got, got[:1]) != len(got) {
			return fmt.Errorf("torn value of %d bytes", len(got))
		}
	}
	return nil
}

// roleVariable makes the test binary play another process.
const roleVariable = "KEYSTORE_TEST_ROLE"

func elsewhere(t *testing.T, role string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

func TestMain(m *testing.M) {
	if role, where, _ := strings.Cut(os.Getenv(roleVariable), "|"); role != "" {
		if err := play(role, where); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// play is what another process does with a store.
func play(role, where string) error {
	ctx, s := context.Background(), opened(where)
	what, number, _ := strings.Cut(role, " ")
	n, _ := strconv.Atoi(number)
	switch what {
	case "contend":
		return contend(ctx, s, n, 5)
	case "write": // until killed
		fmt.Println("begins")
		for ; ; n = (n + 1) % 10 {
			if err := contend(ctx, s, n, 1); err != nil {
				return err
			}
		}
	}
	return onFullDisk(ctx, s)
}

func conformContext(t *testing.T, s Store) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	for name, call := range each(s) {
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

// mustBeUnusable checks the error of a store that cannot be used: all that a
// person and a script are promised of it.
func mustBeUnusable(t *testing.T, what string, err error, s Store, want Reason) {
	t.Helper()
	details := failure.DetailsOf(err)
	if !failure.Is(err, failure.Store) || ReasonOf(err) != want || details["store"] != s.Name() ||
		!reflect.DeepEqual(details["alternatives"], Alternatives(s.Name())) || failure.HintOf(err) == "" || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v, reason %q, want %q, hint %q, details %v", what, err, ReasonOf(err), want, failure.HintOf(err), details)
	}
}

// Every way in which a store cannot be used, by the calls that come across it.
func TestUnusable(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	silent := func() (string, error) { <-never; return "", nil }
	answers := func(err error) fake { return fake{get: func() (string, error) { return "", err }} }
	probes := func(r Reason) fake {
		return fake{probe: func(context.Context) error { return fmt.Errorf("w: %w", &refusal{r, errors.New("x")}) }}
	}
	ring := func(k Keyring) Store { return NewOS(OSOptions{Keyring: k, Timeout: 20 * time.Millisecond}) }
	identity, dir, sealed := identityFile(t), t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "file")
	for _, s := range []Store{NewFile(FileOptions{Dir: dir, Identity: identity}), quick(FileOptions{Dir: sealed, Passphrase: phrase("pw")})} {
		if err := s.Put(t.Context(), "i", []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		store Store
		calls string
		want  Reason
	}{
		"os, too large for it":          {ring(answers(keyring.ErrSetDataTooBig)), "get put delete", TooLarge},
		"os, none on this system":       {ring(answers(keyring.ErrUnsupportedPlatform)), "get put delete", Absent},
		"os, absent":                    {ring(probes(Absent)), "get put delete", Absent},
		"os, locked":                    {ring(probes(Locked)), "get put delete", Locked},
		"os, denied":                    {ring(probes(Denied)), "get put delete", Denied},
		"os, never answers":             {ring(fake{get: silent}), "get put delete", TimedOut},
		"os, the probe never ends":      {ring(fake{probe: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}), "get put delete", TimedOut},
		"file, no identity":             {NewFile(FileOptions{Dir: dir, Identity: file + ".none"}), "get put", Absent},
		"file, another's identity":      {NewFile(FileOptions{Dir: dir, Identity: identityFile(t)}), "get", Denied},
		"file, a wrong passphrase":      {quick(FileOptions{Dir: sealed, Passphrase: phrase("pq")}), "get put", Denied},
		"file, nobody to ask":           {quick(FileOptions{Dir: sealed}), "get put", Locked},
		"file, its directory is a file": {NewFile(FileOptions{Dir: filepath.Join(file, "store"), Identity: identity}), "get put delete", Absent},
	} {
		for call, do := range each(c.store) {
			if strings.Contains(c.calls, call) {
				mustBeUnusable(t, name+", "+call, do(t.Context()), c.store, c.want)
			}
		}
	}
	// Ctrl-C ends what would go on.
	for name, s := range map[string]Store{
		"a keyring that never answers": NewOS(OSOptions{Timeout: time.Hour, Keyring: fake{get: silent}}),
		"a turn that never comes": NewOS(OSOptions{Keyring: fake{get: silent}, Turn: func(ctx context.Context) func() {
			<-ctx.Done()
			return func() {}
		}}),
		"a passphrase that nobody types": quick(FileOptions{Dir: sealed, Passphrase: func(ctx context.Context) (secret.Text, error) {
			<-ctx.Done()
			return secret.Text{}, ctx.Err()
		}}),
	} {
		for call, do := range each(s) {
			if call == "delete" && s.Name() == "file" {
				continue // asks nobody
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(5*time.Millisecond, cancel)
			if err := do(ctx); !failure.Is(err, failure.Cancelled) {
				t.Errorf("%s, %s, interrupted: %v", name, call, err)
			}
		}
	}
}
