package accesskey

import (
	"context"
	"slices"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// A loan of a machine that shares a document lies in two journals under one id.
// The document's keeps other machines from taking the key for what they lost. The
// machine's own has a lock, which tells whether the run goes on: only that machine
// can know, and so only that machine reaps it.

// Lend implements Coordinator.
func (f *Fleet) Lend(ctx context.Context, r Request) (*Loan, error) {
	c, err := f.Begin(ctx, r)
	if err != nil {
		return nil, err
	}
	p, err := f.o.Places()
	var open *OpenEntry
	if err == nil {
		open, err = Journal{p.JournalDir}.Open(ctx, c.Entry)
	}
	if err != nil {
		f.giveUp(ctx, c)
		c.Release()
		return nil, failure.Annotate(err, "write the journal before a key is issued (none was)")
	}
	return &Loan{Entry: open.Entry, open: open, unlock: c.release, fleet: f, claim: c}, nil
}

// nameLoan writes which key was lent into the document, and ends the claim.
func (f *Fleet) nameLoan(ctx context.Context, c *Claim, accessKey string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	c.Entry.AccessKey = accessKey
	s, err := f.transact(ctx, &c.fleet.seen, func(s seen) (FleetDoc, error) {
		if slices.ContainsFunc(s.doc.Journal, func(e Entry) bool { return e.ID == c.Entry.ID && e.AccessKey == accessKey }) {
			return s.doc, errUnchanged
		}
		next, ok := s.doc.lend(c.Entry)
		if !ok {
			return next, errTakenOver
		}
		return next, nil
	})
	if err != nil {
		return failure.Annotate(err, "enter the loan into the shared document")
	}
	f.changed(ctx, s)
	return nil
}

// endLoan removes the loan from the document, unless the key is left over. Where
// that fails the entry names a key that VMS does not have, and any machine that
// reaps removes it.
func (f *Fleet) endLoan(ctx context.Context, c *Claim, o Outcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	s, err := f.transact(ctx, nil, func(s seen) (FleetDoc, error) { return s.doc.abort(c.fleet.id, c.Entry, o), nil })
	if err == nil {
		f.changed(ctx, s)
	}
}

// lend ends the claim and names the key that it led to. It is not ok once the
// claim has been taken over: the key may have been taken for a lost one.
func (d FleetDoc) lend(e Entry) (FleetDoc, bool) {
	if !d.holds(e.ID) {
		return d, false
	}
	d.Item = d.Item.DropPending()
	return d.enter(e), true
}

// judged are the entries of the document and of the machine's own journal. A loan
// lives as long as the lock on its entry there; one that is not in it lives as far
// as can be told. By the id of a machine nothing is: another user of this machine,
// or another container, has a journal of its own.
func (d FleetDoc) judged(now time.Time, own []Entry) []Entry {
	entries := d.open(now)
	for i := range entries {
		e := &entries[i]
		if e.Intent != Ephemeral {
			continue
		}
		at := slices.IndexFunc(own, func(o Entry) bool { return o.ID == e.ID })
		switch {
		case at >= 0:
			e.Alive = e.Alive || own[at].Alive
			if e.AccessKey == "" {
				e.AccessKey = own[at].AccessKey // it died between the two journals
			}
			own = slices.Delete(slices.Clone(own), at, at+1)
		case e.AccessKey != "":
			e.Alive, e.Away = true, true
		}
	}
	return append(entries, own...)
}
