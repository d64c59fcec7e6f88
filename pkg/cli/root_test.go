package cli

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
)

// Some calls into the system cannot be interrupted, such as opening a pipe that
// nobody writes to. The process ends all the same.
func TestInterruptedInACallThatDoesNotReturn(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		stuck, release := make(chan struct{}), make(chan struct{})
		go func() {
			<-stuck
			interrupt()
		}()
		code := Main(ctx, Process{
			Args: []string{"dev", "--", "true"}, Stdin: null, Stdout: null, Stderr: null,
			Executable: func() (string, error) {
				close(stuck)
				<-release
				return "", errors.New("released")
			},
		})
		if code != 130 {
			t.Errorf("exit code %d", code)
		}
		close(release)
	})
}
