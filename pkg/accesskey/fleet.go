package accesskey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// FleetOptions are the parts of a fleet's coordinator.
type FleetOptions struct {
	Identity Identity
	Document Document // shared by the machines
	// Copy keeps what the document said, for this machine alone, as the item
	// "fleet/"+Identity.Item(). Nil is no copy: each read asks the document.
	Copy    Store
	Places  func() (Places, error) // of this machine; asked when something must be locked
	Now     func() time.Time       // with a monotonic reading, where there is one
	Wait    time.Duration          // longest wait for other claims; 0 is 30 s. The context may end it sooner.
	Waiting func(what string)      // told when a wait has lasted a second; may be nil
	Refresh time.Duration          // soft expiry of what is handed out; a copy is trusted for half of it
	// Sleep waits; nil is a timer. Its error is the context's.
	Sleep func(context.Context, time.Duration) error
	// Note is told what went wrong beside what was asked for; may be nil.
	Note func(format string, args ...any)
}

// Fleet coordinates machines that share one document, which is store, lock and
// journal in one: a claim is room for a key with a lease, and the one write
// that makes it decides who issues. The others poll, one process a machine.
//
// Check-and-set guards the document, not VMS. So a holder asks VMS only while
// the request fits into its lease; a taker waits for the lease to end, and its
// write makes sure that the holder's key can no longer be stored; and a holder
// that wakes up too late deletes the key it just got. Times of leases are the
// server's: each machine takes them for later than they can be where it holds a
// claim, and for earlier where it waits for one.
type Fleet struct {
	o    FleetOptions
	here *Local // the lock of this machine's processes
}

// NewFleet returns a coordinator for machines that share a document. It does
// no I/O.
func NewFleet(o FleetOptions) *Fleet {
	if o.Wait <= 0 {
		o.Wait = 30 * time.Second
	}
	if o.Waiting == nil {
		o.Waiting = func(string) {}
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	o.Refresh = max(o.Refresh, MinRefresh)
	return &Fleet{o: o, here: NewLocal(LocalOptions{
		Identity: o.Identity, Store: both{o.Document, o.Copy}, Places: o.Places, Now: o.Now, Wait: o.Wait, Waiting: o.Waiting,
	})}
}

// both is what a claim works with, as far as the lock asks for it.
type both struct {
	Document
	Store
}

func (b both) Name() string { return b.Document.Name() }

// Prepare asks a person before a lock is taken, if anything has to.
func (b both) Prepare(ctx context.Context) error {
	for _, part := range []any{b.Document, b.Store} {
		if asks, ok := part.(interface{ Prepare(context.Context) error }); ok {
			if err := asks.Prepare(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// held is what a claim knows of its lease. Times ending in At are the
// server's, the other one is ours.
type held struct {
	id      string
	machine string
	seen    seen
	lease   time.Time // end of the lease, as written
}

// Begin implements Coordinator.
func (f *Fleet) Begin(ctx context.Context, r Request) (_ *Claim, err error) {
	began := f.o.Now()
	g, err := f.here.lock(ctx)
	if err != nil {
		return nil, err
	}
	c := &Claim{release: g.release, Timeout: min(r.Timeout, fleetPost)}
	defer func() {
		if err != nil || c.Satisfied {
			c.release()
		}
	}()
	if it, ok := f.sibling(ctx, began, r); ok {
		c.Item, c.Satisfied = it, true
		return c, nil
	}
	wait := waiting{fleet: f, began: began}
	for {
		if err = f.claim(ctx, c, r, g.Machine, &wait); err != nil || c.Satisfied {
			return c, err
		}
		err = f.prepare(ctx, c, r)
		if !errors.Is(err, errTakenOver) {
			break
		}
		// We were slow, and nothing has been asked for yet: start again.
		if err = wait.pause(ctx, Generation{}); err != nil {
			return nil, err
		}
	}
	if err != nil {
		f.giveUp(ctx, c)
		return nil, err
	}
	c.ready = func(ctx context.Context) error { return f.ready(ctx, c) }
	return c, nil
}

// claim waits until the document is free and takes it.
func (f *Fleet) claim(ctx context.Context, c *Claim, r Request, machine string, wait *waiting) error {
	id := newID(f.o.Now())
	for {
		s, err := f.read(ctx)
		if err != nil {
			return err
		}
		if r.Satisfied != nil && !s.doc.holds(id) && r.Satisfied(s.doc.Item.DropPending()) {
			c.Item, c.Satisfied = s.doc.Item.DropPending(), true
			f.keep(ctx, c.Item)
			return nil
		}
		if s.at.IsZero() {
			return f.noClock()
		}
		lease := s.late(f.o.Now()).Add(c.Timeout + leaseSlack)
		next, inherits, ok := s.doc.claim(id, machine, s.at, lease)
		if !ok {
			other, _ := s.doc.claimed()
			if err := wait.pause(ctx, other); err != nil {
				return err
			}
			continue
		}
		s, err = f.write(ctx, next, s.number)
		if failure.Is(err, failure.Conflict) {
			if err := wait.pause(ctx, Generation{}); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			f.drop(ctx, id)
			return failure.Annotate(err, "claim the shared document before a key is issued (none was)")
		}
		c.fleet = &held{id: id, machine: machine, seen: s, lease: second(lease)}
		c.Item = s.doc.Item.DropPending()
		if inherits && r.Inherit != nil {
			if err := r.Inherit(ctx); err != nil {
				f.giveUp(ctx, c)
				return err
			}
		}
		return nil
	}
}

// prepare looks at VMS and writes down what is about to be done.
func (f *Fleet) prepare(ctx context.Context, c *Claim, r Request) error {
	started := c.fleet.seen.at // not later than the look
	var look Observation
	if r.Observe != nil {
		var err error
		if look, err = r.Observe(ctx); err != nil {
			return err
		}
	}
	c.Entry = Entry{
		ID: c.fleet.id, Intent: r.Intent, Machine: c.fleet.machine, Identity: f.o.Identity,
		Started: started, ServerClock: look.ServerClock, KeysBefore: look.KeysBefore,
	}
	if r.Intent != Ephemeral {
		c.Entry.Store = f.o.Document.Name()
	}
	return failureOf(f.arm(ctx, c), "write the journal before a key is issued (none was)")
}

// arm writes the entry, with a lease that the request fits into.
func (f *Fleet) arm(ctx context.Context, c *Claim) error {
	h := c.fleet
	s, err := f.transact(ctx, nil, func(s seen) (FleetDoc, error) {
		if s.at.IsZero() {
			return s.doc, f.noClock()
		}
		c.Entry.Deadline = second(s.late(f.o.Now()).Add(c.Timeout + leaseSlack))
		next, ok := s.doc.arm(c.Entry)
		if !ok {
			return next, errTakenOver
		}
		return next, nil
	})
	if err != nil {
		return err
	}
	h.seen, h.lease = s, c.Entry.Deadline
	return nil
}

// ready makes sure that the request ends within the lease, however long this
// process was stopped since it wrote it.
func (f *Fleet) ready(ctx context.Context, c *Claim) error {
	for range 3 {
		if !c.fleet.seen.late(f.o.Now()).Add(c.Timeout).After(c.fleet.lease) {
			return nil
		}
		if err := f.arm(ctx, c); err != nil {
			return failure.Annotate(err, "renew the claim on the shared document")
		}
	}
	return failure.New(failure.Store, "%s store: the claim on the shared document ends before the request could", f.o.Document.Name()).
		WithHint("try again; this machine or the store is very slow").
		WithDetail("store", f.o.Document.Name()).WithDetail("reason", "timed_out").WithDetail("alternatives", []string{})
}

// errTakenOver is what a holder finds that was stopped for longer than its lease.
var errTakenOver = failure.New(failure.Conflict, "another machine has taken the claim over").WithHint("try again")

// Commit implements Coordinator. One whose answer was lost is asked after, and
// where that does not tell, prevented: only then may the key be deleted.
func (f *Fleet) Commit(ctx context.Context, c *Claim, change func(Item) Item) (Item, error) {
	added := news(c.Item, change(c.Item))
	s, err := f.transact(ctx, &c.fleet.seen, func(s seen) (FleetDoc, error) {
		if has(s.doc.Item, added) {
			return s.doc, errUnchanged
		}
		next, ok := s.doc.commit(c.fleet.id, change)
		if !ok {
			return next, errTakenOver
		}
		return next, nil
	})
	if errors.Is(err, ErrWriteLost) {
		s, err = f.fence(ctx, c, added, err)
	}
	if err != nil {
		return Item{}, err
	}
	it := s.doc.Item.DropPending()
	f.here.account(c.Item, it)
	f.changed(ctx, s)
	c.Release()
	return it, nil
}

// fence makes sure that a commit whose answer was lost does not arrive any
// more, and names the key in the journal. Its error is the commit's.
func (f *Fleet) fence(ctx context.Context, c *Claim, added []string, lost error) (seen, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	stored := false
	s, err := f.transact(ctx, nil, func(s seen) (FleetDoc, error) {
		if stored = has(s.doc.Item, added); stored {
			return s.doc, errUnchanged
		}
		return s.doc.abort(c.fleet.id, c.Entry, Outcome{LeftOver: strings.Join(added, "")}), nil
	})
	switch {
	case err != nil:
		return s, fmt.Errorf("%w: %w", ErrMayBeStored, lost)
	case stored:
		return s, nil
	}
	// In the chain of this error nothing says that the write may have arrived.
	return s, failure.New(failure.KindOf(lost), "%v", lost)
}

// Abort implements Coordinator.
func (f *Fleet) Abort(ctx context.Context, c *Claim, o Outcome) error {
	defer c.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	_, err := f.transact(ctx, nil, func(s seen) (FleetDoc, error) {
		return s.doc.abort(c.fleet.id, c.Entry, o), nil
	})
	return failureOf(err, "end the claim on the shared document")
}

// giveUp ends a claim under which nothing was asked for, as far as that can be
// done: what stays ends with its lease.
func (f *Fleet) giveUp(ctx context.Context, c *Claim) { f.drop(ctx, c.fleet.id) }

func (f *Fleet) drop(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	_, _ = f.transact(ctx, nil, func(s seen) (FleetDoc, error) {
		return s.doc.abort(id, Entry{ID: id}, Outcome{}), nil
	})
}

// Update implements Coordinator.
func (f *Fleet) Update(ctx context.Context, change func(Item) (Item, error)) (Item, error) {
	s, err := f.transact(ctx, nil, func(s seen) (FleetDoc, error) {
		after, err := change(s.doc.Item.DropPending())
		if err != nil {
			return s.doc, err
		}
		return s.doc.update(after), nil
	})
	if err != nil {
		return Item{}, err
	}
	f.changed(ctx, s)
	return s.doc.Item.DropPending(), nil
}

// Review implements Coordinator.
func (f *Fleet) Review(ctx context.Context, look func(context.Context) error, change Judge) error {
	s, err := f.transactOver(ctx, nil, look, func(s seen) (FleetDoc, error) {
		after, entries, err := change(s.doc.Item.DropPending(), func() ([]Entry, error) { return f.open(ctx, s) })
		if err != nil {
			return s.doc, err
		}
		shared, own := s.doc.split(entries)
		for _, e := range own {
			if err := f.here.Settle(ctx, e); err != nil {
				return s.doc, err
			}
		}
		next, ok := s.doc.update(after).mark(shared, s.at)
		if !ok {
			return s.doc, failure.New(failure.Conflict, "a journal entry belongs to a valetkey that runs").WithHint("try again")
		}
		return next, nil
	})
	if err != nil {
		return err
	}
	f.changed(ctx, s)
	return nil
}

// Pending implements Coordinator.
func (f *Fleet) Pending(ctx context.Context) ([]Entry, error) {
	s, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	return f.open(ctx, s)
}

// open are the document's entries and those of this machine, which journals
// what it lends.
func (f *Fleet) open(ctx context.Context, s seen) ([]Entry, error) {
	own, err := f.here.Pending(ctx)
	if err != nil {
		return nil, err
	}
	return s.doc.judged(s.at, own), nil
}

// Settle implements Coordinator.
func (f *Fleet) Settle(ctx context.Context, e Entry) error {
	if e.Intent == Ephemeral { // it may lie in both journals
		own, err := f.here.Pending(ctx)
		if err == nil && slices.ContainsFunc(own, func(o Entry) bool { return o.ID == e.ID }) {
			err = f.here.Settle(ctx, e)
		}
		if err != nil {
			return err
		}
	}
	_, err := f.transact(ctx, nil, func(s seen) (FleetDoc, error) {
		if _, own := s.doc.split([]Entry{e}); len(own) > 0 {
			return s.doc, f.here.Settle(ctx, e) // where one that is gone is no error
		}
		next, ok := s.doc.settle(e, s.at)
		if !ok {
			return next, failure.New(failure.Conflict, "journal entry %s belongs to a valetkey that runs", e.ID)
		}
		return next, nil
	})
	return err
}

// news are the keys of an item that another one does not have.
func news(before, after Item) (added []string) {
	for _, g := range after.Live() {
		if _, old := before.Find(g.AccessKey); !old {
			added = append(added, g.AccessKey)
		}
	}
	return added
}

func has(it Item, keys []string) bool {
	for _, k := range keys {
		if _, ok := it.Find(k); !ok {
			return false
		}
	}
	return len(keys) > 0
}

func (f *Fleet) noClock() error {
	return failure.New(failure.Store, "%s store: the server does not tell its time, which leases are measured by", f.o.Document.Name()).
		WithHint("a proxy may take the Date header out of its answers").
		WithDetail("store", f.o.Document.Name()).WithDetail("reason", "denied").WithDetail("alternatives", []string{})
}
