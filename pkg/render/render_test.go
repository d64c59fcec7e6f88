package render_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
)

type item struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
	Tag   string `json:"tag,omitempty"`
}

func answer() render.Answer {
	return render.Answer{
		Value:  []item{{"a<b>", 1, ""}, {"yes", 9007199254740993, "x\ty"}},
		Header: []string{"NAME", "COUNT", "TAG"},
		Rows:   [][]string{{"a<b>", "1", ""}, {"yes\x1b[31m", "9007199254740993", "x\ty"}},
	}
}

func TestFormats(t *testing.T) {
	cases := map[string]struct {
		printer render.Printer
		want    string
	}{
		"a pipe": {render.Printer{}, "a<b>\t1\t\nyes\\x1b[31m\t9007199254740993\tx\\ty\n"},
		"a terminal": {render.Printer{IsTerminal: true}, "NAME         COUNT             TAG\n" +
			"a<b>         1\nyes\\x1b[31m  9007199254740993  x\\ty\n"},
		"a table in a pipe": {render.Printer{Format: render.Table}, "NAME         COUNT             TAG\n" +
			"a<b>         1\nyes\\x1b[31m  9007199254740993  x\\ty\n"},
		"json": {render.Printer{Format: render.JSON}, `[
  {
    "name": "a<b>",
    "count": 1
  },
  {
    "name": "yes",
    "count": 9007199254740993,
    "tag": "x\ty"
  }
]
`},
		"yaml":              {render.Printer{Format: render.YAML}, "- name: a<b>\n  count: 1\n- name: \"yes\"\n  count: 9007199254740993\n  tag: \"x\\ty\"\n"},
		"jq strings":        {render.Printer{JQ: ".[].name"}, "a<b>\nyes\n"},
		"jq as json":        {render.Printer{JQ: ".[].name", Format: render.JSON}, "a<b>\nyes\n"},
		"jq numbers":        {render.Printer{JQ: ".[1].count"}, "9007199254740993\n"},
		"jq no output":      {render.Printer{JQ: "empty"}, ""},
		"jq halt":           {render.Printer{JQ: ".[0].name, halt"}, "a<b>\n"},
		"jq no environment": {render.Printer{JQ: "$ENV | length"}, "0\n"},
	}
	for name, c := range cases {
		var out bytes.Buffer
		c.printer.Out = &out
		if err := c.printer.Print(answer()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestTextAnswers(t *testing.T) {
	long, short := "two\nlines", "one"
	a := render.Answer{Value: item{Name: "n"}, Text: &long, Plain: &short}
	for name, c := range map[string]struct {
		printer render.Printer
		want    string
	}{
		"terminal": {render.Printer{IsTerminal: true}, "two\nlines\n"},
		"pipe":     {render.Printer{}, "one\n"},
		"table":    {render.Printer{Format: render.Table}, "two\nlines\n"},
		"jq":       {render.Printer{JQ: ".name"}, "n\n"},
	} {
		var out bytes.Buffer
		c.printer.Out = &out
		if err := c.printer.Print(a); err != nil || out.String() != c.want {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
}

func TestBadRequests(t *testing.T) {
	for name, p := range map[string]render.Printer{
		"format":     {Format: "xml"},
		"jq syntax":  {JQ: ".["},
		"jq unknown": {JQ: "nosuch(1)"},
		"jq run":     {JQ: ".foo.bar"},
	} {
		var out bytes.Buffer
		p.Out = &out
		if err := p.Print(answer()); !failure.Is(err, failure.Usage) {
			t.Errorf("%s: %v", name, err)
		}
		if out.Len() != 0 {
			t.Errorf("%s: wrote %q", name, out.String())
		}
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

func TestClosedPipeIsNoError(t *testing.T) {
	for _, err := range []error{syscall.EPIPE, io.ErrClosedPipe} {
		if got := (render.Printer{Out: brokenWriter{err}}).Print(answer()); got != nil {
			t.Errorf("%v: %v", err, got)
		}
	}
	if got := (render.Printer{Out: brokenWriter{errors.New("disk full")}}).Print(answer()); got == nil || !strings.Contains(got.Error(), "disk full") {
		t.Errorf("a full disk: %v", got)
	}
}
