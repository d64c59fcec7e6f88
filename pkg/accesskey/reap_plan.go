package accesskey

import (
	"slices"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// view is what a plan is made from.
type view struct {
	it        Item
	list      []Remote
	known     bool // the list is
	entries   []Entry
	canSwitch bool
	now, late time.Time
}

// plan decides what becomes of each key, and returns the item in which what is
// going to be deleted is condemned. It does no I/O.
func (v view) plan(w wanted) (plan, Item, error) {
	var p plan
	findings := v.examine(w)
	for _, id := range w.named {
		if err := v.admissible(id, findings); err != nil {
			return plan{}, v.it, err
		}
	}
	after := v.it
	doom := func(st step) {
		if st.Action == ActionDeleted && w.only != nil && !slices.Contains(w.only, st.AccessKey) {
			st.Action, st.Reason = ActionKept, "changed while it was asked for"
		}
		if _, st.stored = v.it.Find(st.AccessKey); st.stored && st.Action == ActionDeleted {
			after = after.Condemn(st.AccessKey, v.late)
		}
		p.add(st)
	}
	if w.unlessRotated == nil || *w.unlessRotated == v.it.currentKey() {
		for _, id := range v.condemned(w) {
			doom(step{Reaped: Reaped{id, ActionDeleted, "given up"}})
		}
	}
	if w.retired {
		for _, g := range v.it.Live() {
			if st, ok := v.retired(g, w); ok {
				doom(st)
			}
		}
	}
	for _, f := range findings {
		v.judge(f, findings, w, &p, doom)
	}
	if w.orphans && v.known {
		v.away(&p)
	}
	return p, after, nil
}

// away shows what other machines have lent, and forgets a loan whose key is gone:
// they name a key only when VMS has it.
func (v view) away(p *plan) {
	for _, e := range v.entries {
		switch {
		case !e.Away:
		case slices.ContainsFunc(v.list, func(k Remote) bool { return k.AccessKey == e.AccessKey }):
			p.add(step{Reaped: Reaped{e.AccessKey, ActionKept, "lent on machine " + e.Machine + " since " + stamp(e.Started)}})
		default:
			e.Closed = true
			p.settled = append(p.settled, e)
		}
	}
}

func (v view) examine(w wanted) []finding {
	if !w.orphans || !v.known {
		return nil
	}
	return examine(v.it, v.list, v.entries, v.now)
}

// admissible refuses to delete by reaping what no lost answer explains.
func (v view) admissible(id string, findings []finding) error {
	if !slices.ContainsFunc(v.list, func(k Remote) bool { return k.AccessKey == id }) {
		return failure.New(failure.NotFound, "%s has no access key %s", v.it.Identity, id).
			WithHint("valetkey keys list shows the keys there are")
	}
	found := false
	for _, f := range findings {
		if !slices.ContainsFunc(f.candidates, func(k Remote) bool { return k.AccessKey == id }) {
			continue
		}
		if f.untold {
			return failure.New(failure.Usage, "access key %s may be in another store, where nothing proves that it is left over", id).
				WithHint("%s finds out", f.entry.ReapCommand())
		}
		found = true
	}
	if found {
		return nil
	}
	return failure.New(failure.Usage, "access key %s is not left over from a lost answer of this machine", id).
		WithHint("valetkey keys delete %s deletes any key", id)
}

// condemned are the keys that a rotation gives up to make room.
func (v view) condemned(w wanted) []string {
	list := slices.Clone(w.condemn)
	for _, g := range v.it.Live() {
		if w.condemnRetired && g.retired() {
			list = append(list, g.AccessKey)
		}
	}
	return list
}

// retired says what becomes of a key that is handed out no more.
func (v view) retired(g Generation, w wanted) (step, bool) {
	st := step{Reaped: Reaped{AccessKey: g.AccessKey, Action: ActionKept}}
	age := v.now.Sub(g.Created)
	if g.Created.IsZero() {
		age = v.now.Sub(g.Retired)
	}
	switch {
	case g.State != Retiring:
		return step{}, false
	case !g.retired():
		st.Reason = "stored by a rotation that has not ended; valetkey keys rotate goes on with it"
	case v.known && !slices.ContainsFunc(v.list, func(k Remote) bool { return k.AccessKey == g.AccessKey }):
		st.Action, st.gone, st.Reason = ActionDeleted, true, "VMS does not know it any more"
	case g.condemned():
		st.Action, st.Reason = ActionDeleted, "given up"
	case age < w.olderThan:
		st.Reason = "younger than asked for"
	case g.due(v.now):
		st.Action, st.Reason = ActionDeleted, "retired at "+stamp(g.Retired)+", and its grace is over"
	case v.canSwitch && !g.Disabled && !v.now.Before(g.RefreshUntil):
		st.Action, st.Reason = ActionDisabled, "retired at "+stamp(g.Retired)+"; it is deleted after "+stamp(g.DeleteAfter)
	default:
		st.Reason = "retired at " + stamp(g.Retired) + "; it works until " + stamp(g.DeleteAfter)
	}
	return st, true
}

// judge plans for one open entry. It is closed with the death of its key, if that
// can be no other's; else when its request cannot make another. What was doubtful once is never proven later,
// though other candidates go: the doubt is written into the entry, unless it ends
// with a request that is still under way.
func (v view) judge(f finding, all []finding, w wanted, p *plan, doom func(step)) {
	closed := f.entry
	closed.Closed = true
	if f.untold {
		v.account(f.entry, p)
	}
	if len(f.candidates) == 0 {
		if f.over {
			p.settled = append(p.settled, closed)
		}
		return
	}
	settled, certain := false, true
	for _, k := range f.candidates {
		st := step{Reaped: Reaped{k.AccessKey, ActionDeleted, f.reason(k)}}
		switch elsewhere := untold(all, k); {
		case f.proven:
		case elsewhere != nil:
			st.Action, st.Reason = ActionKept, elsewhere.reason(k)
		case slices.Contains(w.named, k.AccessKey):
			st.Reason = "named as left over"
		default:
			st.Action = ActionKept
		}
		doom(st)
		i := slices.IndexFunc(p.steps, func(other step) bool { return other.AccessKey == k.AccessKey })
		if p.steps[i].Action == ActionDeleted {
			settled = true
			certain = certain && (f.entry.AccessKey != "" || !shared(all, k))
		}
	}
	switch {
	case settled:
		p.marked = append(p.marked, f.entry)
		// A process of this machine that is dead sends nothing more. One of another
		// may only have been stopped.
		if certain || f.over || f.entry.Stray == 0 {
			p.settled = append(p.settled, closed)
		}
		return
	case len(f.candidates) > 1 && !f.late && !f.unsettled && f.entry.KeysBefore.Known:
		doubtful := f.entry
		doubtful.KeysBefore = Keys{}
		p.marked = append(p.marked, doubtful)
	}
	for _, k := range f.candidates {
		if !slices.Contains(p.suspect, k.AccessKey) && untold(all, k) == nil {
			p.suspect = append(p.suspect, k.AccessKey)
		}
	}
}

// untold is the finding by which the key may be in another store; nil if none says so.
func untold(all []finding, k Remote) *finding {
	for i := range all {
		if all[i].untold && slices.ContainsFunc(all[i].candidates, func(c Remote) bool { return c.AccessKey == k.AccessKey }) {
			return &all[i]
		}
	}
	return nil
}

// account tells an entry of another store which keys this one has: its reaping
// does not see them.
func (v view) account(e Entry, p *plan) {
	if !e.KeysBefore.Known {
		return
	}
	known := len(e.KeysBefore.List)
	for _, k := range v.list {
		if _, stored := v.it.Find(k.AccessKey); stored && e.MayHaveMade(k) {
			e.KeysBefore.List = append(slices.Clip(e.KeysBefore.List), k.AccessKey)
		}
	}
	if len(e.KeysBefore.List) > known {
		p.marked = append(p.marked, e)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
