package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"iter"
)

// Element is one entry of a list: its JSON shape and its row of the table.
type Element struct {
	Value any
	Row   []string
}

// lookAhead is how many rows settle the widths of a table's columns.
const lookAhead = 500

// Stream writes a list of any length in flat memory, entry by entry, in the form
// in which [Printer.Print] writes it as a whole; only the columns of a long table
// may shift where a later cell is wider than the first ones were. A jq program
// wants the list as one value, which is held in memory for it.
//
// An error of the list ends it and is returned. What came before has been
// written by then: a JSON array is left open, so that nobody reads it as a
// complete one; lines, YAML and tables end early, and jq is not run. A reader that
// goes away ends the list without an error.
func (p Printer) Stream(header []string, list iter.Seq2[Element, error]) error {
	if p.JQ != "" {
		return p.gather(list)
	}
	out := bufio.NewWriterSize(p.Out, 32<<10)
	write := func(b []byte) bool {
		_, err := out.Write(b)
		if err == nil && p.IsTerminal {
			err = out.Flush()
		}
		return err == nil // a failed writer stays failed: Flush tells
	}
	failed := p.entries(header, list, write)
	switch err := out.Flush(); {
	case IsClosedPipe(err):
		return nil
	case err != nil:
		return Write(failedWriter{err}, []byte{'\n'})
	}
	return failed
}

// failedWriter lets Write word an error that came earlier.
type failedWriter struct{ err error }

func (f failedWriter) Write([]byte) (int, error) { return 0, f.err }

// entries writes the list in the printer's format, as long as write wants more.
func (p Printer) entries(header []string, list iter.Seq2[Element, error], write func([]byte) bool) error {
	switch {
	case p.Format == JSON:
		return jsonEntries(list, write)
	case p.Format == YAML:
		return yamlEntries(list, write)
	case p.Format == Table || p.IsTerminal:
		return p.tableEntries(header, list, write)
	}
	for e, err := range list {
		if err != nil {
			return err
		}
		var b bytes.Buffer
		plain(&b, [][]string{e.Row})
		if !write(b.Bytes()) {
			return nil
		}
	}
	return nil
}

func jsonEntries(list iter.Seq2[Element, error], write func([]byte) bool) error {
	before := "[\n  "
	for e, err := range list {
		var text []byte
		if err == nil {
			text, err = marshal(e.Value)
		}
		if err != nil {
			if before != "[\n  " {
				write([]byte{'\n'})
			}
			return err
		}
		// Within the array every line is one step further in. Text holds no line breaks.
		text = bytes.ReplaceAll(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'}, []byte("\n  "))
		if !write(append([]byte(before), text...)) {
			return nil
		}
		before = ",\n  "
	}
	if before == "[\n  " {
		write([]byte("[]\n"))
		return nil
	}
	write([]byte("\n]\n"))
	return nil
}

// yamlEntries writes some at once, since it costs much to begin.
func yamlEntries(list iter.Seq2[Element, error], write func([]byte) bool) error {
	const some = 100
	var held []any
	empty := true
	flush := func() (more bool, err error) {
		text, err := toYAML(held)
		held, empty = held[:0], false
		return err == nil && write(text), err
	}
	for e, err := range list {
		if err != nil {
			if len(held) > 0 {
				_, _ = flush()
			}
			return err
		}
		if held = append(held, e.Value); len(held) < some {
			continue
		}
		if more, err := flush(); !more {
			return err
		}
	}
	if len(held) == 0 && !empty {
		return nil
	}
	if held == nil {
		held = []any{}
	}
	_, err := flush()
	return err
}

// tableEntries holds the first rows back until they have settled the widths.
func (p Printer) tableEntries(header []string, list iter.Seq2[Element, error], write func([]byte) bool) error {
	var widths columns
	held, settled := [][]string{}, false
	flush := func() bool {
		var b bytes.Buffer
		widths.table(&b, header, held, p.Color)
		header, held, settled = nil, nil, true
		return write(b.Bytes())
	}
	for e, err := range list {
		if err != nil {
			if !settled && len(held) > 0 {
				flush()
			}
			return err
		}
		held = append(held, e.Row)
		if (settled || len(held) == lookAhead) && !flush() {
			return nil
		}
	}
	if !settled {
		flush()
	}
	return nil
}

// gather runs the jq program over the whole list.
func (p Printer) gather(list iter.Seq2[Element, error]) error {
	whole := []json.RawMessage{}
	for e, err := range list {
		if err != nil {
			return err
		}
		text, err := json.Marshal(e.Value)
		if err != nil {
			return err
		}
		whole = append(whole, text)
	}
	return p.Print(Answer{Value: whole})
}
