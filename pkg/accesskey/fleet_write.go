package accesskey

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// seen is a version of the document, and when it was seen.
type seen struct {
	doc    FleetDoc
	number int
	at     time.Time // the server's time, not later than it was; zero is unknown
	sent   time.Time // ours, before the request
	wrote  bool      // by us
}

// late is the latest that the server's clock may show now. A server tells whole
// seconds, and may have answered right after the request was sent. A machine
// that sleeps stops one of our clocks, and a clock that is set back the other:
// the one that has gone further counts.
func (s seen) late(now time.Time) time.Time {
	elapsed := max(now.Sub(s.sent), now.Round(0).Sub(s.sent.Round(0)), 0)
	return s.at.Add(time.Second + elapsed)
}

func (f *Fleet) read(ctx context.Context) (seen, error) {
	sent := f.o.Now()
	v, err := f.o.Document.Read(ctx)
	if err != nil {
		return seen{}, err
	}
	doc, err := DecodeFleetDoc(f.o.Identity, v.Raw)
	return seen{doc: doc, number: v.Number, at: v.At, sent: sent}, err
}

// rounds bounds how often a change is tried while others change the document.
const rounds = 50

// tries bounds how often a lost write is asked after, and sent again.
const tries = 4

// write writes the document if the newest version has the number base, else it
// is failure.Conflict: one that matches [ErrWriteLost], too, may have been
// applied, and changed by others since. A write whose answer was lost is asked after, and sent
// again as it was while the number is still the same: of equal writes for one
// number at most one is applied. What cannot be told ends with [ErrWriteLost].
func (f *Fleet) write(ctx context.Context, next FleetDoc, base int) (seen, error) {
	var stamp [12]byte
	_, _ = rand.Read(stamp[:]) // never fails
	next.Stamp = hex.EncodeToString(stamp[:])
	raw, err := next.Encode()
	if err != nil {
		return seen{}, err
	}
	var lost error
	for range tries {
		sent := f.o.Now()
		v, err := f.o.Document.Write(ctx, raw, base)
		switch {
		case err == nil:
			return seen{doc: next, number: v.Number, at: v.At, sent: sent, wrote: true}, nil
		case errors.Is(err, ErrWriteLost):
			lost = err
		case lost == nil:
			return seen{}, err
		}
		now, err := f.read(ctx)
		switch {
		case err == nil && now.doc.Stamp == next.Stamp:
			now.wrote = true
			return now, nil
		case err == nil && now.number != base:
			return seen{}, failure.Wrap(failure.Conflict, lost, "the shared document has changed since it was read")
		}
		if f.o.Sleep(ctx, jitter(200*time.Millisecond)) != nil {
			break
		}
	}
	return seen{}, lost
}

// errUnchanged ends a transaction without a write: all is as it should be.
var errUnchanged = errors.New("nothing is to be changed")

// transact changes the document, beginning with a version that is known or else
// is read, and again with a newer one as long as others change it first. Its
// error matches [ErrWriteLost] if a write may have been applied and the document
// could not be asked since.
func (f *Fleet) transact(ctx context.Context, known *seen, change func(seen) (FleetDoc, error)) (seen, error) {
	return f.transactOver(ctx, known, nil, change)
}

// transactOver looks at something else between the read and the change. The
// document was as it is given to the change all the while: where nothing is
// written, it is read again to make sure.
func (f *Fleet) transactOver(ctx context.Context, known *seen, look func(context.Context) error, change func(seen) (FleetDoc, error)) (seen, error) {
	var lost error
	pause := 20 * time.Millisecond
	for range rounds {
		var s seen
		var err error
		if known != nil {
			s, known = *known, nil
		} else if s, err = f.read(ctx); err != nil {
			return seen{}, errors.Join(lost, err)
		}
		lost = nil // what has come of it is before our eyes
		if look != nil {
			if err := look(ctx); err != nil {
				return seen{}, err
			}
		}
		next, err := change(s)
		unchanged := errors.Is(err, errUnchanged) || err == nil && same(s.doc, next)
		if err != nil && !unchanged {
			return seen{}, err
		}
		var written seen
		switch {
		case !unchanged:
			written, err = f.write(ctx, next, s.number)
		case look == nil:
			return s, nil
		default:
			if written, err = f.read(ctx); err == nil && written.number != s.number {
				err = failure.New(failure.Conflict, "the shared document has changed since it was read")
			}
		}
		if !failure.Is(err, failure.Conflict) {
			return written, err
		}
		if errors.Is(err, ErrWriteLost) {
			lost = err
		}
		if f.o.Sleep(ctx, jitter(pause)) != nil {
			break
		}
		pause = min(2*pause, time.Second)
	}
	err := failure.New(failure.Store, "%s store: others keep changing the shared document", f.o.Document.Name()).
		WithDetail("store", f.o.Document.Name()).WithDetail("reason", "timed_out").WithDetail("alternatives", []string{})
	return seen{}, errors.Join(lost, failure.Annotate(ctx.Err(), "change the shared document"), err)
}

// same reports whether two documents differ in nothing but the stamp.
func same(a, b FleetDoc) bool {
	b.Stamp = a.Stamp
	x, errX := a.Encode()
	y, errY := b.Encode()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// jitter spreads the machines, so that they do not come back all at once.
func jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(mathrand.Int64N(int64(d))) //nolint:gosec // no secret
}

// waiting is how one process waits for other machines.
type waiting struct {
	fleet *Fleet
	began time.Time
	next  time.Duration
	total time.Duration
	told  bool
}

// pause waits a little before the document is read again.
func (w *waiting) pause(ctx context.Context, other Generation) error {
	f := w.fleet
	elapsed := max(f.o.Now().Sub(w.began), w.total)
	if elapsed > f.o.Wait {
		return w.tooLong(other)
	}
	if elapsed > time.Second && !w.told && other.State == Pending {
		w.told = true
		f.o.Waiting("another machine that issues a key of " + f.o.Identity.String())
	}
	w.next = min(max(w.next*3/2, 100*time.Millisecond), time.Second)
	d := jitter(w.next)
	w.total += d
	err := f.o.Sleep(ctx, d)
	if errors.Is(err, context.DeadlineExceeded) {
		return w.tooLong(other)
	}
	return failureOf(err, "wait for another machine that issues a key of %s", f.o.Identity)
}

func (w *waiting) tooLong(other Generation) error {
	f := w.fleet
	e := failure.New(failure.Store, "%s store: other machines keep changing the shared document", f.o.Document.Name())
	if other.State == Pending {
		e = failure.New(failure.Store, "%s store: machine %s is issuing a key of %s, and has not ended", f.o.Document.Name(), other.IssuedBy, f.o.Identity).
			WithDetail("free_at", stamp(freeAt(other.LeaseUntil)))
		e.Hint = "if it has died, its claim ends at " + stamp(freeAt(other.LeaseUntil)) + ": try again then, or give it more time with --timeout"
	}
	return e.WithDetail("store", f.o.Document.Name()).WithDetail("reason", "timed_out").WithDetail("alternatives", []string{})
}
