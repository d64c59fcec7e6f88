package vms

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/wire"
)

// maxEntry bounds what one entry of a list may take, in bytes. A list as a whole
// is unbounded: it is read entry by entry.
const maxEntry = 4 << 20

// list iterates over a list of any length in flat memory. VMS answers a bare
// array or {"count","next","previous","results"}, the same call of the same
// cluster at times one and at times the other; each page is taken as it comes.
// The first error ends the iteration.
func list[T any](ctx context.Context, c *Client, what call) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		seen := map[string]bool{}
		what := what
		what.stream = true
		for {
			next, more, err := page(ctx, c, what, func(v T) bool { return yield(v, nil) })
			if err == nil && more && next != "" {
				what.target, err = c.nextPage(what, next, seen)
			}
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			if !more || next == "" {
				return
			}
		}
	}
}

// page reads one page; more is false when yield wanted no more.
func page[T any](ctx context.Context, c *Client, what call, yield func(T) bool) (next string, more bool, err error) {
	a, err := c.do(ctx, what)
	if err != nil {
		return "", false, c.noSuchList(what, err)
	}
	defer func() { _ = a.stream.Close() }()
	r := &entryReader{r: a.stream}
	decoder := json.NewDecoder(r)
	next, more, err = readPage(decoder, r, yield)
	if err == nil {
		return next, more, nil
	}
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	if errors.Is(err, errNoList) || errors.As(err, &syntax) || errors.As(err, &mismatch) {
		// The decoder's text may quote the answer.
		return "", false, failure.New(failure.Network, "%s: the answer of %s is not a list that is understood (at byte %d)",
			what.what, c.Address(), decoder.InputOffset())
	}
	return "", false, failure.Annotate(c.explain(err), "%s", what.what)
}

var errNoList = errors.New("not a list")

func readPage[T any](d *json.Decoder, r *entryReader, yield func(T) bool) (next string, more bool, err error) {
	r.refill()
	token, err := d.Token()
	if err != nil {
		return "", false, cutOff(err)
	}
	switch token {
	case json.Delim('['):
		more, err = readEntries(d, r, yield)
		return "", more, err
	case json.Delim('{'):
	default:
		return "", false, errNoList
	}
	found := false
	for d.More() {
		r.refill()
		name, err := d.Token()
		if err != nil {
			return "", false, cutOff(err)
		}
		switch name {
		case "results":
			token, err := d.Token()
			if err != nil {
				return "", false, cutOff(err)
			}
			if token != json.Delim('[') {
				return "", false, errNoList
			}
			found = true
			if more, err = readEntries(d, r, yield); err != nil || !more {
				return "", false, err
			}
		case "next":
			var target *string
			if err := d.Decode(&target); err != nil {
				return "", false, cutOff(err)
			}
			if target != nil {
				next = *target
			}
		default:
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return "", false, cutOff(err)
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return "", false, cutOff(err)
	}
	if !found {
		return "", false, errNoList
	}
	return next, true, nil
}

func readEntries[T any](d *json.Decoder, r *entryReader, yield func(T) bool) (more bool, err error) {
	for d.More() {
		r.refill()
		var v T
		if err := d.Decode(&v); err != nil {
			return false, cutOff(err)
		}
		if !yield(v) {
			return false, nil
		}
	}
	_, err = d.Token()
	return err == nil, cutOff(err)
}

// cutOff makes an end in the middle of a list a lost connection, not an end.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// entryReader lets maxEntry bytes through for each entry.
type entryReader struct {
	r    io.Reader
	left int
}

func (e *entryReader) refill() { e.left = maxEntry }

func (e *entryReader) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, wire.TooLong(maxEntry)
	}
	n, err := e.r.Read(p[:min(len(p), e.left)])
	e.left -= n
	return n, err
}

// get reads one object.
func get[T any](ctx context.Context, c *Client, what call) (T, error) {
	var v T
	a, err := c.do(ctx, what)
	if err != nil {
		return v, err
	}
	if json.Unmarshal(a.body, &v) != nil {
		return v, failure.New(failure.Network, "%s: the answer of %s is not understood", what.what, c.Address())
	}
	return v, nil
}

func getCall(what string, query url.Values, path ...string) call {
	return call{what: what, method: http.MethodGet, path: path, query: query}
}
