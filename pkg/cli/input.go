package cli

import (
	"bytes"
	"context"
	"io"
	"os/exec"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
)

// maxInput bounds what is read from standard input and password commands.
const maxInput = 8 << 20

// stdin reads standard input to its end. The deadline stands still meanwhile:
// whoever pipes may take time.
func (a *app) stdin(ctx context.Context) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	defer a.pauseWait()()
	done := make(chan result, 1)
	go func() {
		b, err := io.ReadAll(io.LimitReader(a.proc.Stdin, maxInput+1))
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, failure.Wrap(failure.Usage, r.err, "read standard input")
		}
		if len(r.b) > maxInput {
			return nil, failure.New(failure.TooLarge, "standard input is larger than %d MiB", maxInput>>20)
		}
		return r.b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stdinLine reads one line from standard input: all of it but the line end.
func (a *app) stdinLine(ctx context.Context, flag string) (secret.Text, error) {
	b, err := a.stdin(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return secret.Text{}, failure.New(failure.Usage, "standard input is empty, where %s wants a line", flag)
	}
	if bytes.ContainsAny(b, "\n\x00") {
		return secret.Text{}, failure.New(failure.Usage, "standard input has several lines or a NUL, where %s wants one line", flag)
	}
	return secret.New(b), nil
}

// commandOutput runs a password command and returns the first line it prints.
// The command may ask on the terminal; its standard error is shown.
func (a *app) commandOutput(ctx context.Context, argv settings.Value) (secret.Text, error) {
	args := argv.List()
	path, err := findProgram(args[0], a.env["PATH"])
	if err != nil {
		return secret.Text{}, failure.Wrap(failure.Config, reason(err), "run %s (%s)", argv.Name, argv.Source).
			WithHint("the first word of the list is the program; a shell runs only if the list names one")
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...) //nolint:gosec // the person's own setting
	cmd.Env = a.proc.Env
	cmd.Stderr = a.proc.Stderr
	if a.silent {
		cmd.Stderr = nil
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return secret.Text{}, failure.Wrap(failure.Config, err, "run %s (%s)", argv.Name, argv.Source)
	}
	// What the command started may hold the pipe open after its end.
	stop := context.AfterFunc(ctx, func() { _ = out.Close() })
	defer stop()
	text, readErr := io.ReadAll(io.LimitReader(out, maxInput))
	if err := cmd.Wait(); err != nil || readErr != nil {
		if ctx.Err() != nil {
			return secret.Text{}, failure.Wrap(failure.KindOf(ctx.Err()), ctx.Err(), "run %s (%s)", argv.Name, argv.Source)
		}
		return secret.Text{}, failure.New(failure.Config, "%s (%s) failed: %v", argv.Name, argv.Source, err).
			WithHint("run it by hand to see why")
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return secret.Text{}, failure.New(failure.Config, "%s (%s) printed no password", argv.Name, argv.Source)
	}
	return secret.New(bytes.Clone(line)), nil
}
