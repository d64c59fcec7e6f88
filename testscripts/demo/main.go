// Command demo tells the main job of valetkey as a story, on a sandbox of real
// HTTPS servers on loopback. `make demo` runs it; it leaves nothing behind.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := outside
	if len(os.Args) == 3 && os.Args[1] == "inside" {
		run = func(ctx context.Context) error { return inside(ctx, os.Args[2]) }
	}
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// outside builds valetkey and runs the story inside `valetkey dev`.
func outside(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "valetkey-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Println("building valetkey ...")
	binary := filepath.Join(dir, "valetkey")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/valetkey") //nolint:gosec // our own program
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build valetkey: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	story := exec.CommandContext(ctx, binary, "dev", "--", self, "inside", binary) //nolint:gosec // our own programs
	story.Stdin, story.Stdout, story.Stderr = os.Stdin, os.Stdout, os.Stderr
	story.Env = append(os.Environ(), "HOME="+dir)
	story.Cancel = func() error { return story.Process.Signal(os.Interrupt) }
	return story.Run()
}

// inside is the story itself. It runs with the environment of the sandbox.
func inside(ctx context.Context, binary string) error {
	s := &story{ctx: ctx, binary: binary}
	s.say("A sandbox is up: VMS, Vault and S3 on loopback, each with real HTTPS. We are alice,",
		"a directory user. Her password is in the environment here; nothing below shows it.")

	s.chapter("An access key is issued once and stored before anybody can lose it")
	s.valetkey("keys", "create")
	s.say("VMS shows a secret once. valetkey has proven its encrypted store before it asked for the key.")
	s.valetkey("keys", "list", "-o", "table")

	s.chapter("AWS tools use it without being given it")
	s.say("The AWS config of the sandbox says: credential_process = valetkey credential-process.")
	s.s3()

	s.chapter("A user has two slots, over all machines: the third key is refused, nothing is lost")
	s.valetkey("keys", "create")
	s.fails(8, "keys", "create")

	s.chapter("A secret of a data job goes into Vault, typed at a prompt that shows nothing")
	s.typed("hunter2-from-the-keyboard", "secrets", "set", "db-password")
	s.valetkey("secrets", "list")
	s.valetkey("secrets", "get", "db-password")

	s.chapter("A page of JSON that opens one schema of a database, and nothing else")
	s.valetkey("policy", "render", "schema-access", "--set", "bucket=vastdb", "--set", "schema=department_a")

	s.chapter("A link to one object, for ten minutes, for somebody without any key")
	s.fetch("s3://demo/hello.txt")

	s.chapter("And all of it can be taken back")
	s.deleteAll()
	s.say("", "That is valetkey. The sandbox ends now, with its keys and its files.")
	return s.err
}

type story struct {
	ctx    context.Context
	binary string
	err    error
	number int
}

func (s *story) say(lines ...string) {
	if s.err == nil {
		fmt.Println(strings.Join(lines, "\n"))
	}
}

func (s *story) chapter(title string) {
	if s.err != nil {
		return
	}
	s.number++
	fmt.Printf("\n== %d. %s\n", s.number, title)
}

func (s *story) command(args ...string) *exec.Cmd {
	fmt.Printf("\n$ valetkey %s\n", strings.Join(args, " "))
	cmd := exec.CommandContext(s.ctx, s.binary, args...) //nolint:gosec // our own program
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd
}

func (s *story) valetkey(args ...string) {
	if s.err == nil {
		s.fail(s.command(args...).Run(), args)
	}
}

func (s *story) fail(err error, args []string) {
	if err != nil {
		s.err = fmt.Errorf("valetkey %s: %w", strings.Join(args, " "), err)
	}
}

// fails runs a command that must end with the code.
func (s *story) fails(code int, args ...string) {
	if s.err != nil {
		return
	}
	err := s.command(args...).Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		s.err = fmt.Errorf("valetkey %s: %v, want exit code %d", strings.Join(args, " "), err, code) //nolint:errorlint // a report
		return
	}
	fmt.Printf("(exit code %d)\n", code)
}
