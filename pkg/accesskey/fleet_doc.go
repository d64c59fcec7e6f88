package accesskey

import (
	"slices"
	"time"
)

// The protocol of machines that share a document, as pure functions of it. All
// times are by the clock of the document's server, the one clock that all
// machines see. The model in fleet_model_test.go runs these same functions.

const (
	// fleetPost is the longest that the request to VMS may take: the shorter
	// it is, the sooner others go on after a machine that died.
	fleetPost = 10 * time.Second
	// leaseSlack is how much longer a lease runs than the request takes, for
	// the look at VMS and for writing the document.
	leaseSlack = 10 * time.Second
	// leaseSkew is how long after its end a lease is still respected: the
	// server's clock may differ a little after a failover.
	leaseSkew = 5 * time.Second
	// strayMargin is how long after its deadline a request may still make a
	// key, because its process was stopped on the way, or its packet. Such a
	// key is proven by nothing, but named.
	strayMargin = time.Hour
)

// FleetDoc is what machines share about an identity: the item, in which room
// for a key is a claim with a lease, and the journal. It is a value;
// transitions return another one and leave theirs as it was.
type FleetDoc struct {
	// Stamp is a random text of each write. It tells whoever lost the answer
	// to a write whether it was applied.
	Stamp   string
	Item    Item
	Journal []Entry
}

// claimed returns the claim that the document carries, dead or alive.
func (d FleetDoc) claimed() (Generation, bool) {
	for _, g := range d.Item.Keys {
		if g.State == Pending {
			return g, true
		}
	}
	return Generation{}, false
}

// holds reports whether the claim is still the one with the id. Nobody else
// can have issued a key since it was made.
func (d FleetDoc) holds(id string) bool {
	g, ok := d.claimed()
	return ok && g.Intent == id
}

// freeAt is when a lease may be taken over: a moment later, strictly.
func freeAt(lease time.Time) time.Time { return lease.Add(leaseSkew) }

// leased reports whether somebody holds a claim that must be waited for.
func (d FleetDoc) leased(now time.Time) (Generation, bool) {
	g, ok := d.claimed()
	return g, ok && !now.After(freeAt(g.LeaseUntil))
}

// claim takes the right to issue. A dead claim goes, so that whoever held it
// can store nothing more; its journal entry stays open. inherits tells that
// there are such entries. It is not ok while another claim is leased; a claim
// that has the id already stays as it is.
func (d FleetDoc) claim(id, machine string, now, lease time.Time) (_ FleetDoc, inherits, ok bool) {
	if d.holds(id) {
		return d, false, true
	}
	if _, taken := d.leased(now); taken {
		return d, false, false
	}
	if _, dead := d.claimed(); dead {
		inherits = len(d.Journal) > 0
	}
	d.Item = d.Item.AddPending(id, machine, now)
	d.Item.Keys[len(d.Item.Keys)-1].LeaseUntil = second(lease)
	return d, inherits, true
}

// arm writes the entry before the request is sent, and renews the lease to its
// deadline. It is not ok once the claim has been taken over.
func (d FleetDoc) arm(e Entry) (FleetDoc, bool) {
	if !d.holds(e.ID) {
		return d, false
	}
	d.Item.Keys = slices.Clone(d.Item.Keys)
	for i := range d.Item.Keys {
		if d.Item.Keys[i].State == Pending {
			d.Item.Keys[i].LeaseUntil = second(e.Deadline)
		}
	}
	return d.enter(e), true
}

// commit stores what the change makes of the item as it is now, and ends the
// claim and its entry. It is not ok once the claim has been taken over.
func (d FleetDoc) commit(id string, change func(Item) Item) (FleetDoc, bool) {
	if !d.holds(id) {
		return d, false
	}
	d.Item = change(d.Item.DropPending()).DropPending()
	return d.close(id), true
}

// abort ends the claim, if it is still the entry's, and settles the entry as the
// outcome says. An entry that is to stay open is written again if it was closed
// by somebody who knew less. An entry without an ID was never armed.
func (d FleetDoc) abort(id string, e Entry, o Outcome) FleetDoc {
	if d.holds(id) {
		d.Item = d.Item.DropPending()
	}
	switch {
	case e.ID == "":
		return d
	case o.LeftOver != "":
		e.AccessKey = o.LeftOver
		return d.enter(e)
	case o.Unknown:
		if !slices.ContainsFunc(d.Journal, func(old Entry) bool { return old.ID == e.ID }) {
			return d.enter(e)
		}
		return d
	}
	return d.close(id)
}

// update replaces the item, in which the claim stays as it is.
func (d FleetDoc) update(it Item) FleetDoc {
	it.Keys = it.Live()
	if g, ok := d.claimed(); ok {
		it.Keys = append(it.Keys, g)
	}
	d.Item = it
	return d
}

// mark replaces entries whose process is dead and ends their claims, before keys
// are deleted on their evidence: a process that was only stopped for long cannot
// store its key any more. It is not ok if one of them is gone or alive.
func (d FleetDoc) mark(entries []Entry, now time.Time) (FleetDoc, bool) {
	for _, e := range entries {
		i := slices.IndexFunc(d.Journal, func(old Entry) bool { return old.ID == e.ID })
		if i < 0 || d.alive(e, now) {
			return d, false
		}
		if d.holds(e.ID) {
			d.Item = d.Item.DropPending()
		}
		d = d.enter(e)
	}
	return d, true
}

// settle replaces an open entry, or removes a closed one. One that is gone
// stays so. It is not ok while its process lives.
func (d FleetDoc) settle(e Entry, now time.Time) (FleetDoc, bool) {
	switch {
	case !slices.ContainsFunc(d.Journal, func(old Entry) bool { return old.ID == e.ID }):
		return d, true
	case d.alive(e, now):
		return d, false
	case e.Closed:
		if d.holds(e.ID) {
			d.Item = d.Item.DropPending()
		}
		return d.close(e.ID), true
	}
	return d.enter(e), true
}

// alive reports whether the entry's process must be taken to live.
func (d FleetDoc) alive(e Entry, now time.Time) bool {
	g, ok := d.leased(now)
	return ok && g.Intent == e.ID
}

// open are the entries as they are judged.
func (d FleetDoc) open(now time.Time) []Entry {
	entries := slices.Clone(d.Journal)
	for i := range entries {
		entries[i].Alive, entries[i].Stray = d.alive(entries[i], now), strayMargin
	}
	return entries
}

// split tells entries of the document from others.
func (d FleetDoc) split(entries []Entry) (shared, others []Entry) {
	for _, e := range entries {
		if slices.ContainsFunc(d.Journal, func(old Entry) bool { return old.ID == e.ID }) {
			shared = append(shared, e)
		} else {
			others = append(others, e)
		}
	}
	return shared, others
}

// enter writes an entry, in place of one with its id.
func (d FleetDoc) enter(e Entry) FleetDoc {
	e.Alive, e.Stray = false, 0
	d.Journal = slices.Clone(d.Journal)
	if i := slices.IndexFunc(d.Journal, func(old Entry) bool { return old.ID == e.ID }); i >= 0 {
		d.Journal[i] = e
		return d
	}
	d.Journal = append(d.Journal, e)
	return d
}

// close removes an entry.
func (d FleetDoc) close(id string) FleetDoc {
	d.Journal = slices.DeleteFunc(slices.Clone(d.Journal), func(e Entry) bool { return e.ID == id })
	return d
}
