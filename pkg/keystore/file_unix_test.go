//go:build !windows

package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestFullAndReadOnlyDisks(t *testing.T) {
	s := NewFile(FileOptions{})
	for errno, says := range map[syscall.Errno]string{
		syscall.ENOSPC: "full", syscall.EFBIG: "full", syscall.EDQUOT: "full", syscall.EROFS: "read-only",
	} {
		err := s.trouble(&fs.PathError{Op: "open", Err: errno}, ReadOnly, "write", "p")
		if ReasonOf(err) != ReadOnly || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// A disk that is full for a process: a new item, a larger one and the file that
// proves a passphrase are refused, and what was there stays.
func TestFullDisk(t *testing.T) {
	for _, where := range []string{"identity|" + t.TempDir() + "|" + identityFile(t), "passphrase|" + t.TempDir()} {
		s := opened(where)
		if err := s.Put(t.Context(), "i", []byte("v")); err != nil {
			t.Fatal(err)
		}
		if out, err := elsewhere(t, "full|"+where).CombinedOutput(); err != nil {
			t.Errorf("%.10s: %v\n%s", where, err, out)
		}
		if got, err := s.Get(t.Context(), "i"); err != nil || string(got) != "v" {
			t.Errorf("%.10s: afterwards %q, %v", where, got, err)
		}
		entries, _ := os.ReadDir(strings.Split(where, "|")[1])
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".tmp") {
				t.Errorf("left behind: %s", e.Name())
			}
		}
	}
}

// onFullDisk writes where no file may be larger than a kilobyte.
func onFullDisk(ctx context.Context, s Store) error {
	limit := syscall.Rlimit{Cur: 1 << 10, Max: 1 << 10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for _, item := range []string{"i", "new"} {
		err := s.Put(ctx, item, bytes.Repeat([]byte("x"), 2<<10))
		if ReasonOf(err) != ReadOnly || !strings.Contains(err.Error(), "full") {
			return fmt.Errorf("put %s: %w", item, errors.Join(err, errors.New("is not refused as it should be")))
		}
	}
	if got, err := s.Get(ctx, "i"); err != nil || string(got) != "v" {
		return fmt.Errorf("get: %q, %w", got, err)
	}
	return nil
}
