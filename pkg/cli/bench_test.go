package cli

import (
	"context"
	"os"
	"testing"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

// The tree of all commands is built for help and completion.
func BenchmarkCommand(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Command()
	}
}

// What a start costs beside loading the program; bytes count, since every fresh
// page is a page fault.
func BenchmarkWarm(b *testing.B) {
	s, err := sandbox.Start(context.Background(), sandbox.Options{Binary: "/usr/bin/valetkey"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	env := s.ChildEnv(nil)
	for _, line := range []string{"credential-process", "version"} {
		b.Run(line, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := Process{Args: []string{line}, Env: env, Stdin: null, Stdout: null, Stderr: null, Executable: os.Executable}
				if code := Main(context.Background(), p); code != 0 {
					b.Fatalf("exit code %d", code)
				}
			}
		})
	}
}
