package durable

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// patience bounds the wait for another process that has the file open for a
// moment: Windows refuses to replace or delete a file that somebody reads.
const patience = 2 * time.Second

func rename(from, to string) error { return patiently(func() error { return os.Rename(from, to) }) }

func remove(path string) error { return patiently(func() error { return os.Remove(path) }) }

func patiently(do func() error) error {
	for start, pause := time.Now(), 5*time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := do()
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Since(start) > patience {
			return err
		}
		time.Sleep(pause)
	}
}

// syncDir does nothing: Windows has no such call, and NTFS journals names.
func syncDir(string) error { return nil }

func noSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
