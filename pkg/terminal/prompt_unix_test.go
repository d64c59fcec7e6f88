//go:build unix

package terminal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/valetkey/valetkey/pkg/failure"
)

// person is the other side of a pseudo-terminal.
type person struct {
	t      *testing.T
	screen *os.File
	tty    *os.File
	term   *Terminal
	seen   bytes.Buffer
}

func newPerson(t *testing.T) *person {
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, screen: screen, tty: tty, term: &Terminal{Err: io.Discard}}
	p.term.open = func() (*os.File, *os.File, error) {
		f, err := os.OpenFile(tty.Name(), os.O_RDWR|unix.O_NOCTTY, 0)
		return f, f, err
	}
	t.Cleanup(func() {
		_ = screen.Close()
		_ = tty.Close()
	})
	return p
}

func (p *person) echoes() bool {
	termios, err := unix.IoctlGetTermios(fd(p.tty), getTermios)
	if err != nil {
		p.t.Fatal(err)
	}
	return termios.Lflag&unix.ECHO != 0
}

// reads waits until the text is on the screen.
func (p *person) reads(text string) {
	p.t.Helper()
	if err := p.screen.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	b := make([]byte, 256)
	for !strings.Contains(p.seen.String(), text) {
		n, err := p.screen.Read(b)
		p.seen.Write(b[:n])
		if err != nil {
			p.t.Fatalf("%q is not on the screen: %q, %v", text, p.seen.String(), err)
		}
	}
}

func (p *person) types(text string) {
	if _, err := io.WriteString(p.screen, text); err != nil {
		p.t.Fatal(err)
	}
}

type answer struct {
	text string
	err  error
}

func (p *person) isAsked(ctx context.Context) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		text, err := p.term.AskSecret(ctx, "Password: ", "use --stdin")
		got <- answer{text.Reveal(), err}
	}()
	return got
}

func TestSecretPrompt(t *testing.T) {
	for name, c := range map[string]struct {
		typed, want string
		kind        failure.Kind
	}{
		"a line":              {"pässword ü\n", "pässword ü", 0},
		"spaces are kept":     {"  two  \n", "  two  ", 0},
		"an empty line":       {"\n", "", 0},
		"backspace and kill":  {"wrong\x15rihgt\x7f\x7f\x7fght\n", "right", 0},
		"no answer":           {"\x04", "", failure.Usage},
		"an unfinished line":  {"abc\x04\x04", "abc", 0},
		"more than a line":    {strings.Repeat("x", maxLine+100) + "\n", "", failure.Usage},
		"as long as possible": {strings.Repeat("x", maxLine-2) + "\n", strings.Repeat("x", maxLine-2), 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			paused := 0
			p.term.Pause = func() func() {
				paused++
				return func() { paused-- }
			}
			got := p.isAsked(t.Context())
			p.reads("Password: ")
			if p.echoes() {
				t.Error("the question shows before the echo is off")
			}
			p.types(c.typed)
			a := <-got
			if a.text != c.want || c.kind == 0 && a.err != nil || c.kind != 0 && !failure.Is(a.err, c.kind) {
				t.Errorf("%d bytes, %v", len(a.text), a.err)
			}
			if c.kind != 0 && failure.HintOf(a.err) != "use --stdin" {
				t.Errorf("no way out is named: %q", failure.HintOf(a.err))
			}
			p.reads("Password: \r\n")
			if p.seen.String() != "Password: \r\n" {
				t.Errorf("the screen shows %q", p.seen.String())
			}
			if !p.echoes() {
				t.Error("the echo stays off")
			}
			if paused != 0 {
				t.Error("the deadline stands still for ever")
			}
		})
	}
}

func TestInterruptedPrompt(t *testing.T) {
	p := newPerson(t)
	ctx, interrupt := context.WithCancel(t.Context())
	got := p.isAsked(ctx)
	p.reads("Password: ")
	interrupt()
	if a := <-got; !failure.Is(a.err, failure.Cancelled) || !errors.Is(a.err, context.Canceled) {
		t.Errorf("%v", a.err)
	}
	if !p.echoes() {
		t.Error("the echo stays off")
	}
}

func TestConfirm(t *testing.T) {
	for typed, want := range map[string]bool{"y\n": true, "YES\n": true, "\n": false, "n\n": false, "yess\n": false} {
		p := newPerson(t)
		got := make(chan bool, 1)
		go func() {
			ok, err := p.term.Confirm(t.Context(), "Delete it?", "--yes")
			got <- ok && err == nil
		}()
		p.reads("Delete it? [y/N] ")
		if !p.echoes() {
			t.Error("a question without a secret must echo")
		}
		p.types(typed)
		if ok := <-got; ok != want {
			t.Errorf("%q: %t", typed, ok)
		}
	}
}
