package durable_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

// The test binary plays other processes when this variable is set.
const roleVariable = "DURABLE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role, path, _ := strings.Cut(os.Getenv(roleVariable), " "); role != "" {
		play(role, path)
		return
	}
	os.Exit(m.Run())
}

func play(role, path string) {
	switch role {
	case "write": // whole files of two kinds, until killed
		a, b := bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<15)
		for {
			_ = durable.WriteFile(path, a, 0o600)
			_ = durable.WriteFile(path, b, 0o600)
		}
	case "hold":
		if _, err := durable.Lock(context.Background(), path); err != nil {
			panic(err)
		}
		fmt.Println("held")
		time.Sleep(time.Hour)
	case "inherit": // to a child that ends with our input
		held, err := durable.Lock(context.Background(), path)
		if err != nil {
			panic(err)
		}
		defer held.Inherit()()
		child := exec.Command("cat")
		child.Stdin = os.Stdin
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Println("held")
		time.Sleep(time.Hour)
	}
}

func other(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role+" "+path)
	return cmd
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct {
		data string
		perm fs.FileMode
	}{{"one", 0o600}, {"", 0o600}, {"three", 0o644}, {"four", 0o600}} {
		if err := durable.WriteFile(path, []byte(c.data), c.perm); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != c.data {
			t.Errorf("read %q, %v; want %q", got, err, c.data)
		}
		if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != c.perm {
			t.Errorf("mode %v, want %v", info.Mode(), c.perm)
		}
	}
	if err := durable.Remove(path); err != nil {
		t.Error(err)
	}
	if err := durable.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removing twice: %v", err)
	}
	if err := durable.WriteFile(filepath.Join(path, "no", "dir"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}

func TestWriteFileKeepsALink(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(link, []byte("x"), 0o600); err == nil {
		t.Error("a dangling link was written through")
	}
	if err := os.WriteFile(real, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(real); string(got) != "new" {
		t.Errorf("the link's target holds %q", got)
	}
	if info, _ := os.Lstat(link); info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
}

func TestFailedWriteLeavesOldContentAndNoTemp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "d")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestKilledWriterLeavesAWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for i := range 5 {
		cmd := other(t, "write", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+7*i) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		got, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // killed before the first rename
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(got, got[:1]); n != len(got) || (n != 1<<16 && n != 1<<15) {
			t.Fatalf("torn file of %d bytes", len(got))
		}
	}
}

func TestLockExcludesWithinAProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	var wg sync.WaitGroup
	var inside, overlaps atomic.Int32 // the race detector knows nothing of file locks
	for range 20 {
		wg.Go(func() {
			held, err := durable.Lock(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if inside.Add(1) != 1 {
				overlaps.Add(1)
			}
			runtime.Gosched()
			inside.Add(-1)
			if err := held.Release(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := overlaps.Load(); n != 0 {
		t.Errorf("the lock was held twice, %d times", n)
	}
}

func TestLockDiesWithItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	cmd := other(t, "hold", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if held, err := durable.TryLock(path); held != nil || err != nil {
		t.Fatalf("TryLock against a live holder: %v, %v", held, err)
	}
	if held, err := durable.TryShare(path); held != nil || err != nil {
		t.Fatalf("TryShare against a live holder: %v, %v", held, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := durable.Lock(short, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting past the deadline: %v", err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := durable.Lock(gone, path); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled wait: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	held, err := durable.Lock(t.Context(), path)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	if held.Path() != path {
		t.Errorf("path %s", held.Path())
	}
	if err := errors.Join(held.Release(), held.Release()); err != nil {
		t.Error(err)
	}
}

func TestTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "turn")
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var held []*durable.Held
	for range 3 {
		h, err := durable.Turn(t.Context(), path, 3)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, h)
	}
	if _, err := durable.Turn(short, path, 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a fourth of three: %v", err)
	}
	for _, h := range held {
		if err := h.Release(); err != nil {
			t.Error(err)
		}
	}
	if h, err := durable.Turn(t.Context(), path, 3); h == nil || err != nil {
		t.Errorf("after their release: %v", err)
	}
}

// Those who only look do not take each other for a holder.
func TestShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	one, err := durable.TryShare(path)
	if err != nil || one == nil {
		t.Fatal(err)
	}
	two, err := durable.TryShare(path)
	if err != nil || two == nil {
		t.Fatalf("shared twice: %v", err)
	}
	if held, err := durable.TryLock(path); held != nil || err != nil {
		t.Errorf("alone beside those who share: %v, %v", held, err)
	}
	if err := errors.Join(one.Release(), two.Release()); err != nil {
		t.Error(err)
	}
	if held, err := durable.TryLock(path); held == nil || err != nil {
		t.Errorf("after both: %v", err)
	}
}

func TestPrivateDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("mode bits mean nothing here; only creation is tested")
	}
	base := t.TempDir()
	path := filepath.Join(base, "a", "b")
	if err := durable.PrivateDir(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		t.Fatal(info, err)
	}
	if err := durable.PrivateDir(path); err != nil {
		t.Errorf("an existing directory: %v", err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.PrivateDir(file); !failure.Is(err, failure.Config) {
		t.Errorf("a file in its place: %v", err)
	}
	if err := durable.CheckDir(filepath.Join(base, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

func ExampleWriteFile() {
	dir, err := os.MkdirTemp("", "durable")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.json")
	fmt.Println(durable.WriteFile(path, []byte(`{"version":1}`), 0o600))
	got, _ := os.ReadFile(path)
	fmt.Println(string(got))
	// Output:
	// <nil>
	// {"version":1}
}
