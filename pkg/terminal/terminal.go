// Package terminal is how valetkey talks to a person.
//
// Standard output is for answers and belongs to package render. Notes, warnings,
// hints and errors go to standard error, one line each, with "valetkey: " in
// front. Questions go to the terminal itself (/dev/tty, or CONIN$ and CONOUT$),
// so pipes stay clean and a prompt is seen even when standard error is captured
// by another program.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// Terminal holds the streams of one run. Its methods may be called concurrently.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	InIsTerminal  bool
	OutIsTerminal bool
	ErrIsTerminal bool

	// OutColor and ErrColor say whether colour is wanted on the two streams.
	OutColor bool
	ErrColor bool

	// Quiet suppresses notes and hints. Warnings and errors are always shown.
	Quiet bool
	// NoInput makes every question fail at once.
	NoInput bool

	// Pause is called when a question begins; the function it returns is called
	// when the answer is there. Deadlines do not run while a person thinks.
	Pause func() func()

	mu   sync.Mutex
	open func() (*os.File, *os.File, error)
}

// Style is what the environment says about colour.
type Style struct {
	NoColor    bool // NO_COLOR is set to anything but the empty string
	ForceColor bool // CLICOLOR_FORCE is set to anything but the empty string and 0
	Dumb       bool // TERM=dumb
}

// New returns a terminal over the three standard streams.
func New(in, out, errs *os.File, style Style) *Terminal {
	t := &Terminal{
		In: in, Out: out, Err: errs,
		InIsTerminal:  isTerminal(in),
		OutIsTerminal: isTerminal(out),
		ErrIsTerminal: isTerminal(errs),
		open:          openTerminal,
	}
	t.OutColor = style.color(t.OutIsTerminal)
	t.ErrColor = style.color(t.ErrIsTerminal)
	return t
}

func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) } //nolint:gosec // a file descriptor fits an int

func (s Style) color(isTerminal bool) bool {
	switch {
	case s.NoColor:
		return false
	case s.ForceColor:
		return true
	}
	return isTerminal && !s.Dumb
}

// Note writes a line that a person may want to know. Quiet suppresses it.
func (t *Terminal) Note(format string, args ...any) {
	if !t.Quiet {
		t.line("", format, args...)
	}
}

// Warn writes a line that a person should know.
func (t *Terminal) Warn(format string, args ...any) { t.line("warning: ", format, args...) }

// Hint writes the next step. Quiet suppresses it.
func (t *Terminal) Hint(format string, args ...any) {
	if !t.Quiet {
		t.line("hint: ", format, args...)
	}
}

// Fail writes the line that says why a command failed.
func (t *Terminal) Fail(format string, args ...any) { t.line("", format, args...) }

func (t *Terminal) line(label, format string, args ...any) {
	text := Visible(Bounded(fmt.Sprintf(format, args...)))
	prefix := "valetkey: "
	if t.ErrColor {
		prefix = "\x1b[1mvaletkey:\x1b[0m "
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintf(t.Err, "%s%s%s\n", prefix, label, text) // nobody is left to tell
}

// Raw writes a whole line to standard error as it is; the JSON error uses it.
func (t *Terminal) Raw(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintln(t.Err, line) // nobody is left to tell
}

// maxTold bounds what is told in one line, in bytes.
const maxTold = 2000

// Bounded leaves out the middle of a text that is longer than anybody reads: an
// argument may have any length, and the beginning and the end say what is wrong.
func Bounded(s string) string {
	if len(s) <= maxTold {
		return s
	}
	head, tail := maxTold/2, len(s)-maxTold/2
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	return fmt.Sprintf("%s… (%d bytes) …%s", s[:head], tail-head, s[tail:])
}

// Visible returns s with control characters, and the marks that reorder text,
// written out, so that what a server or a file says can neither move the cursor
// nor forge a line.
func Visible(s string) string {
	clean := true
	for _, r := range s {
		if unsafeRune(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x80 && unsafeRune(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unsafeRune(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafeRune(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c:
		return true // bidirectional controls
	case r == 0x2028, r == 0x2029, r == 0xfeff:
		return true
	}
	return false
}
