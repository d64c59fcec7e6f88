package terminal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// maxAnswer bounds what is read at a prompt.
const maxAnswer = 1 << 20

// CanAsk reports whether there is a person to ask.
func (t *Terminal) CanAsk() bool {
	if t.NoInput || t.open == nil {
		return false
	}
	in, out, err := t.open()
	if err != nil {
		return false
	}
	closeBoth(in, out)
	return true
}

// Ask shows the question and returns the line that was typed, without its end.
// With nobody to ask it is a failure.Usage whose hint is the other way to answer.
func (t *Terminal) Ask(ctx context.Context, question, otherwise string) (string, error) {
	line, err := t.ask(ctx, question, otherwise, true)
	return string(line), err
}

// AskSecret is Ask without echo.
func (t *Terminal) AskSecret(ctx context.Context, question, otherwise string) (secret.Text, error) {
	line, err := t.ask(ctx, question, otherwise, false)
	return secret.New(line), err
}

// readLine reads what the terminal hands over when a line is complete. Ctrl-D on
// an empty line, and a terminal that went away, are io.EOF.
func readLine(in io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxAnswer)).ReadBytes('\n')
	switch {
	case err != nil && len(line) == 0:
		return nil, err
	case len(line) >= maxLine:
		return nil, errTooLong
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

var errTooLong = errors.New("it is longer than a line that a terminal can pass on")

// Confirm asks a yes-or-no question; anything but y or yes is no.
func (t *Terminal) Confirm(ctx context.Context, question, otherwise string) (bool, error) {
	answer, err := t.Ask(ctx, question+" [y/N] ", otherwise)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

func (t *Terminal) ask(ctx context.Context, question, otherwise string, echo bool) ([]byte, error) {
	label := strings.TrimRight(strings.TrimSuffix(strings.TrimSpace(question), "[y/N]"), ": ")
	nobody := func(why string) error {
		return failure.New(failure.Usage, "cannot ask %q: %s", label, why).WithHint("%s", otherwise)
	}
	if t.NoInput {
		return nil, nobody("prompts are off (--no-input, VALETKEY_NO_INPUT or CI)")
	}
	if t.open == nil {
		return nil, nobody("there is no terminal")
	}
	in, out, err := t.open()
	if err != nil {
		return nil, nobody("there is no terminal")
	}
	defer closeBoth(in, out)
	if t.Pause != nil {
		defer t.Pause()()
	}

	state, err := term.GetState(fd(in))
	if err != nil {
		return nil, nobody("there is no terminal")
	}
	if !echo {
		// Off before the question is seen: what is typed fast must not show.
		if err := echoOff(fd(in)); err != nil {
			return nil, nobody("the terminal cannot hide what is typed")
		}
		defer func() { _ = term.Restore(fd(in), state) }()
	}
	if _, err := fmt.Fprint(out, Visible(question)); err != nil {
		return nil, failure.Wrap(failure.Usage, err, "write to the terminal")
	}
	type result struct {
		line []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := readLine(in)
		done <- result{line, err}
	}()
	var got result
	select {
	case got = <-done:
	case <-ctx.Done():
		// The reader stays blocked until the process ends, which it is about to.
		_ = term.Restore(fd(in), state)
		_, _ = fmt.Fprintln(out)
		return nil, failure.Wrap(failure.KindOf(ctx.Err()), ctx.Err(), "ask %q", label)
	}
	if !echo || errors.Is(got.err, io.EOF) {
		_, _ = fmt.Fprintln(out) // the end of the line was not echoed
	}
	if errors.Is(got.err, io.EOF) {
		return nil, failure.New(failure.Usage, "no answer to %q", label).WithHint("%s", otherwise)
	}
	if got.err != nil {
		return nil, failure.Wrap(failure.Usage, got.err, "read the answer to %q", label).WithHint("%s", otherwise)
	}
	return got.line, nil
}

func fd(f *os.File) int { return int(f.Fd()) } //nolint:gosec // a file descriptor fits an int

func closeBoth(in, out *os.File) {
	_ = in.Close()
	if out != in {
		_ = out.Close()
	}
}
