package render_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
)

var header = []string{"NAME", "COUNT", "TAG"}

// elements are n entries, then the error if there is one.
func elements(n int, err error) iter.Seq2[render.Element, error] {
	return func(yield func(render.Element, error) bool) {
		for i := range n {
			name := strings.Repeat("a", 1+i%3)
			if !yield(render.Element{Value: item{name, int64(i), "x<\n>"}, Row: []string{name, "1", "x<\n>"}}, nil) {
				return
			}
		}
		if err != nil {
			yield(render.Element{}, err)
		}
	}
}

func whole(list iter.Seq2[render.Element, error]) render.Answer {
	values, rows := []item{}, [][]string{}
	for e := range list {
		values, rows = append(values, e.Value.(item)), append(rows, e.Row)
	}
	return render.Answer{Value: values, Header: header, Rows: rows}
}

func TestAStreamIsTheWholeListInParts(t *testing.T) {
	for name, p := range map[string]render.Printer{
		"json": {Format: render.JSON}, "yaml": {Format: render.YAML}, "pipe": {}, "table": {Format: render.Table},
		"terminal": {IsTerminal: true, Color: true}, "jq": {JQ: "length, .[].count"},
	} {
		for _, n := range []int{0, 1, 2, 501, 1200} {
			var streamed, printed bytes.Buffer
			p.Out = &streamed
			if err := p.Stream(header, elements(n, nil)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			p.Out = &printed
			if err := p.Print(whole(elements(n, nil))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if diff := cmp.Diff(printed.String(), streamed.String()); diff != "" {
				t.Errorf("%s of %d: %s", name, n, diff)
			}
		}
	}
}

func TestAStreamThatBreaksOff(t *testing.T) {
	broken := failure.New(failure.Network, "lost")
	for name, c := range map[string]struct {
		printer render.Printer
		n       int
		want    string
	}{
		"json":          {render.Printer{Format: render.JSON}, 1, "[\n  {\n    \"name\": \"a\",\n    \"count\": 0,\n    \"tag\": \"x<\\n>\"\n  }\n"},
		"json at once":  {render.Printer{Format: render.JSON}, 0, ""},
		"yaml":          {render.Printer{Format: render.YAML}, 1, "- name: a\n  count: 0\n  tag: |-\n    x<\n    >\n"},
		"yaml at once":  {render.Printer{Format: render.YAML}, 0, ""},
		"pipe":          {render.Printer{}, 1, "a\t1\tx<\\n>\n"},
		"table":         {render.Printer{Format: render.Table}, 1, "NAME  COUNT  TAG\na     1      x<\\n>\n"},
		"table at once": {render.Printer{Format: render.Table}, 0, ""},
		"jq":            {render.Printer{JQ: "length"}, 3, ""},
	} {
		var out bytes.Buffer
		c.printer.Out = &out
		if err := c.printer.Stream(header, elements(c.n, broken)); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// gone is a reader that goes away.
type gone struct{ err error }

func (g gone) Write([]byte) (int, error) { return 0, g.err }

func TestAReaderThatGoesAwayEndsAStream(t *testing.T) {
	n := 0
	endless := func(yield func(render.Element, error) bool) {
		for yield(render.Element{Value: item{}, Row: []string{"a"}}, nil) {
			n++
		}
	}
	for _, format := range []render.Format{render.JSON, render.YAML, render.Auto, render.Table} {
		if err := (render.Printer{Out: gone{io.ErrClosedPipe}, Format: format}).Stream(header, endless); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if err := (render.Printer{Out: gone{io.ErrShortWrite}, Format: format}).Stream(header, endless); !failure.Is(err, failure.Internal) {
			t.Errorf("%s: a full disk: %v", format, err)
		}
	}
}
