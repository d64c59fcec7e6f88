package accesskey

import "github.com/valetkey/valetkey/pkg/secret"

// step lets a machine take its next step in all ways it may go, and reports
// whether there is one.
func (w *model) step(s state, i int) bool {
	m := &s.m[i]
	d := w.docs[s.doc]
	now := modelTime(s.now)
	if m.asks {
		return w.ask(s, i)
	}
	switch m.pc {
	case atStart:
		_, current := d.Item.Current()
		switch {
		case current:
			m.pc = done
		case len(d.Journal) > 0:
			m.pc, m.base, m.next, m.began = atLook, s.number, s.doc, s.now
		default:
			m.pc = atClaim
		}
		w.to(s, i, "starts")
	case atClaim:
		if _, ok := d.Item.Current(); ok {
			*m = machine{pc: done}
			w.to(s, i, "finds a key")
			return true
		}
		// The server's clock when the machine reckons: it takes it for later.
		lease := seen{at: now, sent: now}.late(now).Add(fleetPost + leaseSlack)
		id := s.claimOf(i)
		r := w.apply(move{do: "claim", doc: s.doc, id: id, a: s.now}, func(d FleetDoc) (FleetDoc, bool, bool) {
			return d.claim(claimID(id), claimID(id), now, lease)
		})
		if !r.ok {
			return false
		}
		m.pc, m.base, m.next, m.inherit, m.lease = atClaimWrite, s.number, r.doc, r.inherited, modelSecond(lease)
		w.to(s, i, "reads, to claim")
	case atClaimWrite, atReviewWrite, atArmWrite, atCommitWrite:
		w.write(s, i)
	case atReapRead:
		m.pc, m.base, m.next, m.began = atLook, s.number, s.doc, s.now
		w.to(s, i, "reads, to reap")
	case atLook:
		// It judges by what it read before, and that must not change meanwhile.
		m.plan = w.judge(&s, m.next, m.began, s.keys)
		r := w.apply(move{do: "mark", doc: m.next, plan: m.plan, a: m.began}, func(d FleetDoc) (FleetDoc, bool, bool) {
			next, ok := d.mark(w.plans[m.plan].marked, modelTime(m.began))
			return next, false, ok
		})
		if !r.ok {
			w.fail("a plan marks an entry that lives", &s)
		}
		m.pc, m.began = atReview, 0
		if r.doc != m.next && !w.out.mark {
			m.pc, m.next = atReviewWrite, r.doc
		}
		w.to(s, i, "lists keys, and judges")
	case atReview:
		ok := m.base == s.number || w.out.mark
		m.base, m.next = 0, 0
		if m.pc = atReap; !ok {
			m.pc, m.plan = atReapRead, 0
		}
		w.to(s, i, "makes sure")
	case atReap:
		w.reap(s, i)
	case atObserve:
		m.pc, m.keys, m.began = atArm, s.keys, s.now
		w.to(s, i, "lists keys, to issue")
	case atArm:
		w.arm(s, i)
	case atPost:
		w.post(s, i)
	case atCommit:
		id := s.claimOf(i)
		if _, ok := d.Item.Find(keyID(id)); ok {
			*m = machine{pc: done}
			w.to(s, i, "finds its key stored")
			return true
		}
		r := w.apply(move{do: "commit", doc: s.doc, id: id}, func(d FleetDoc) (FleetDoc, bool, bool) {
			next, ok := d.commit(claimID(id), modelActivate(id))
			return next, false, ok
		})
		m.pc, m.base, m.next = atCommitWrite, s.number, r.doc
		if !r.ok {
			m.pc, m.base, m.next = atTakeBack, 0, 0
		}
		w.to(s, i, "reads, to commit")
	case atFence:
		id := s.claimOf(i)
		if _, ok := d.Item.Find(keyID(id)); ok {
			*m = machine{pc: done}
			w.to(s, i, "finds its key stored")
			return true
		}
		s.doc, s.number = w.abort(&s, i, leftOver), s.number+1
		m.pc = atTakeBack
		w.to(s, i, "fences")
	case atTakeBack:
		id := s.claimOf(i)
		m.pc, m.outcome = atAbort, nothingMade
		if w.out.takeBack {
			w.to(s, i, "does not delete its key")
			return true
		}
		if s.vms > 0 && s.faults > 0 {
			c := s
			c.vms, c.faults = c.vms-1, c.faults-1
			c.m[i].outcome = leftOver
			w.to(c, i, "cannot delete its key")
		}
		s.keys &^= 1 << id
		w.to(s, i, "deletes its key")
	case atAbort:
		next := w.abort(&s, i, m.outcome)
		*m = machine{pc: failed}
		if s.vault > 0 && s.faults > 0 {
			c := s
			c.vault, c.faults = c.vault-1, c.faults-1
			w.to(c, i, "cannot abort")
		}
		if next != s.doc {
			s.doc, s.number = next, s.number+1
		}
		w.to(s, i, "aborts")
	}
	return true
}

func (w *model) abort(s *state, i int, outcome uint8) uint16 {
	id, m := s.claimOf(i), s.m[i]
	o := Outcome{Unknown: outcome == mayBeMade}
	if outcome == leftOver {
		o.LeftOver = keyID(id)
	}
	return w.apply(move{do: "abort", doc: s.doc, id: id, a: outcome, b: m.began, c: m.lease, d: m.keys}, func(d FleetDoc) (FleetDoc, bool, bool) {
		return d.abort(claimID(id), w.entryOf(s, i), o), false, true
	}).doc
}

func modelActivate(id int) func(Item) Item {
	return func(it Item) Item {
		return it.Activate(Generation{AccessKey: keyID(id), SecretKey: secret.FromString("s"), IssuedBy: claimID(id)})
	}
}

// entryOf is the entry that a machine wrote, as it remembers it.
func (w *model) entryOf(s *state, i int) Entry {
	m := s.m[i]
	e := Entry{
		ID: claimID(s.claimOf(i)), Intent: Issue, Machine: claimID(s.claimOf(i)), Identity: modelIdentity,
		Started: modelTime(m.began), Deadline: modelTime(m.lease), ServerClock: modelTime(m.began), KeysBefore: Keys{Known: true}, Store: "vault",
	}
	for _, k := range s.list(m.keys) {
		e.KeysBefore.List = append(e.KeysBefore.List, k.AccessKey)
	}
	return e
}

// again lets a machine start a new claim, unless it has had enough.
func (w *model) again(s state, i int, what string) {
	m := &s.m[i]
	*m = machine{pc: atClaim, attempt: m.attempt + 1}
	if m.attempt == attempts {
		*m = machine{pc: failed}
	}
	w.to(s, i, what)
}

func (w *model) arm(s state, i int) {
	m := &s.m[i]
	now := modelTime(s.now)
	m.lease = modelSecond(seen{at: now, sent: now}.late(now).Add(fleetPost + leaseSlack))
	r := w.apply(move{do: "arm", doc: s.doc, id: s.claimOf(i), b: m.began, c: m.lease, d: m.keys}, func(d FleetDoc) (FleetDoc, bool, bool) {
		next, ok := d.arm(w.entryOf(&s, i))
		return next, false, ok
	})
	if !r.ok {
		w.again(s, i, "finds its claim taken over")
		return
	}
	m.pc, m.base, m.next = atArmWrite, s.number, r.doc
	w.to(s, i, "reads, to arm")
}

// post looks at the lease and sends the request.
func (w *model) post(s state, i int) {
	m := &s.m[i]
	id := s.claimOf(i)
	now := modelTime(s.now)
	armed := modelTime(m.base) // when the entry was written: ready() reckons from there
	if (seen{at: armed, sent: armed}).late(now).Add(fleetPost).After(modelTime(m.lease)) && !w.out.leaseCheck {
		m.pc, m.base = atArm, 0
		w.to(s, i, "finds its lease too short")
		return
	}
	m.base = 0
	made := s
	room := count(s.keys) < slots
	if room {
		made.keys |= 1 << id
		made.made[id] = s.now
	}
	if s.vms > 0 && s.faults > 0 {
		for _, c := range []state{s, made} {
			c.vms, c.faults = c.vms-1, c.faults-1
			c.m[i].pc, c.m[i].outcome = atAbort, mayBeMade
			w.to(c, i, "asks, and the answer is lost")
		}
	}
	if s.late > 0 && s.faults > 0 {
		c := s
		c.late, c.faults = c.late-1, c.faults-1
		c.posted |= 1 << id
		c.m[i].pc, c.m[i].outcome = atAbort, mayBeMade
		w.to(c, i, "asks, and VMS gets it later")
	}
	if !room {
		s.m[i].pc, s.m[i].outcome = atAbort, nothingMade
		w.to(s, i, "asks, and is refused")
		return
	}
	made.m[i].pc = atCommit
	w.to(made, i, "gets a key")
}

// reap carries the plan out, one exchange after the other.
func (w *model) reap(s state, i int) {
	m := &s.m[i]
	p := w.plans[m.plan]
	deleted := p.deleted()
	if n := int(m.keys); n < len(deleted) { // keys counts them now
		if s.vms > 0 && s.faults > 0 {
			c := s
			c.vms, c.faults = c.vms-1, c.faults-1
			c.m[i].keys = uint8(len(deleted) + len(p.settled)) //nolint:gosec // small
			w.to(c, i, "cannot delete an orphan")
		}
		for k := range claims {
			if keyID(k) == deleted[n] {
				s.keys &^= 1 << k
			}
		}
		m.keys++
		w.to(s, i, "deletes "+deleted[n])
		return
	}
	if n := int(m.keys) - len(deleted); n < len(p.settled) {
		r := w.apply(move{do: "settle", doc: s.doc, plan: m.plan, id: n, a: s.now}, func(d FleetDoc) (FleetDoc, bool, bool) {
			next, ok := d.settle(p.settled[n], modelTime(s.now))
			return next, false, ok
		})
		if r.doc != s.doc {
			s.doc, s.number = r.doc, s.number+1
		}
		m.keys++
		w.to(s, i, "settles an entry")
		return
	}
	m.keys, m.plan, m.base, m.next = 0, 0, 0, 0
	m.pc = atClaim
	if m.inherit {
		m.pc, m.inherit = atObserve, false
	}
	w.to(s, i, "has reaped")
}

// write is one write with check-and-set, with all that may become of it.
func (w *model) write(s state, i int) {
	m := s.m[i]
	fits := s.number == m.base || w.out.cas
	applied := s
	applied.doc, applied.number = m.next, s.number+1
	if s.vault > 0 && s.faults > 0 {
		lost := func(c state, what string) {
			c.vault, c.faults = c.vault-1, c.faults-1
			c.m[i].asks = true
			w.to(c, i, "writes, and the answer is lost: "+what)
		}
		lost(s, "not applied")
		if fits {
			lost(applied, "applied")
		}
		if !s.flying {
			c := s
			c.flying, c.flyDoc, c.flyBase = true, m.next, m.base
			lost(c, "on its way")
		}
	}
	if !fits {
		w.conflict(s, i)
		return
	}
	w.written(applied, i)
}

// written goes on after a write.
func (w *model) written(s state, i int) {
	m := &s.m[i]
	m.asks, m.next, m.base = false, 0, 0
	switch m.pc {
	case atClaimWrite:
		m.pc = atObserve
		if m.inherit {
			m.pc = atReapRead
		}
	case atReviewWrite:
		m.pc = atReap
	case atArmWrite:
		m.pc, m.base = atPost, s.now
	case atCommitWrite:
		*m = machine{pc: done}
	}
	w.to(s, i, "has written")
}

// conflict goes on after a write that came too late.
func (w *model) conflict(s state, i int) {
	m := &s.m[i]
	m.asks, m.next, m.base = false, 0, 0
	switch m.pc {
	case atClaimWrite:
		m.pc, m.inherit = atClaim, false
	case atReviewWrite:
		m.pc, m.plan = atReapRead, 0
	case atArmWrite:
		m.pc = atArm
	case atCommitWrite:
		m.pc = atCommit
	}
	w.to(s, i, "is too late to write")
}

// ask finds out what became of a write.
func (w *model) ask(s state, i int) bool {
	m := s.m[i]
	if m.pc == atCommitWrite {
		// The document cannot be read for the moment: make sure.
		c := s
		c.m[i] = machine{pc: atFence, attempt: m.attempt, began: m.began, lease: m.lease, keys: m.keys}
		if w.out.fence {
			c.m[i].pc = atTakeBack
		}
		w.to(c, i, "cannot ask")
		if !w.out.fence {
			c.m[i] = machine{pc: failed}
			w.to(c, i, "cannot even fence: the key may be stored")
		}
	}
	switch {
	case s.doc == m.next && s.number == m.base+1:
		w.written(s, i)
	case s.number == m.base:
		s.m[i].asks = false
		w.to(s, i, "asks, and writes again")
	default:
		w.conflict(s, i)
	}
	return true
}
