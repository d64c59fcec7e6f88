//go:build !windows

package durable_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/valetkey/valetkey/pkg/durable"
)

// A lock that a program inherited ends with the last that holds it.
func TestInheritedLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	cmd := other(t, "inherit", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_, _ = cmd.Process.Wait()
	if held, err := durable.TryLock(path); held != nil || err != nil {
		t.Fatalf("the heir lives: %v, %v", held, err)
	}
	_ = in.Close()
	held, err := durable.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	// One that is released is released for its heirs, too.
	child := exec.Command("cat")
	if in, err = child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stop := held.Inherit()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := held.Release(); err != nil {
		t.Error(err)
	}
	held.Inherit()() // of nothing
	again, err := durable.TryLock(path)
	if err != nil || again == nil {
		t.Fatalf("after the release: %v, %v", again, err)
	}
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}
