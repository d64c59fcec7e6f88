package terminal_test

import (
	"bytes"
	"context"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/terminal"
)

func TestLines(t *testing.T) {
	var errs bytes.Buffer
	term := &terminal.Terminal{Err: &errs}
	term.Note("a\nb")
	term.Warn("w %d", 1)
	term.Hint("h")
	term.Quiet = true
	term.Note("unseen")
	term.Hint("unseen")
	term.Fail("f\x1b[2J")
	want := "valetkey: a\\nb\nvaletkey: warning: w 1\nvaletkey: hint: h\nvaletkey: f\\x1b[2J\n"
	if errs.String() != want {
		t.Errorf("%q, want %q", errs.String(), want)
	}
}

func TestVisible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		for _, r := range terminal.Visible(s) {
			if unicode.IsControl(r) || r == 0x202e || r == 0x2066 {
				t.Fatalf("%U is left of %q", r, s)
			}
		}
	})
	if s := "grüße, 世界"; terminal.Visible(s) != s {
		t.Error("plain text is changed")
	}
}

func TestNobodyToAsk(t *testing.T) {
	for name, term := range map[string]*terminal.Terminal{"off": {NoInput: true}, "none": {}} {
		if term.CanAsk() {
			t.Errorf("%s: can ask", name)
		}
		_, err := term.AskSecret(context.Background(), "VMS password: ", "set VALETKEY_VMS_PASSWORD")
		if !failure.Is(err, failure.Usage) || failure.HintOf(err) != "set VALETKEY_VMS_PASSWORD" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
