package accesskey

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The model of the fleet: three machines that each want a key, run over the
// production transitions of the document, the production arithmetic of leases
// and the production judgement of evidence, in every order of their steps, with
// faults at every step. A step is one exchange with Vault or VMS; what a machine
// reckons in between belongs to it. A state is a small comparable value;
// documents and plans are interned.
//
// Faults: a crash; a pause (time passes while machines stand anywhere); an answer
// of Vault that is lost, the write having been applied, or not, or being applied
// later; Vault gone for good after that; an answer of VMS that is lost, the key
// having been made or not; a request that VMS gets late; a delete that fails.
// How many of each a run may have is bounded, and so is their sum.

const (
	machines = 3
	attempts = 2 // claims of one machine
	claims   = machines * attempts
	slots    = 2 // at VMS
	jumpLate = 12
	jumpOver = 30 // past the lease and what is waited beyond it
)

// What a machine does next.
type pc uint8

const (
	atStart pc = iota
	atClaim
	atClaimWrite
	atReapRead
	atLook   // at VMS, to reap
	atReview // read again, where nothing is to be written
	atReviewWrite
	atReap // delete the next key of the plan, then settle
	atObserve
	atArm
	atArmWrite
	atPost
	atCommit
	atCommitWrite
	atFence
	atTakeBack // delete the own key
	atAbort
	done    // with the stored key
	failed  // told its user so
	crashed // and does nothing any more
)

type machine struct {
	pc      pc
	attempt uint8
	asks    bool // the answer to the write was lost: ask first
	inherit bool // reaps under its claim
	base    uint8
	next    uint16 // document to write
	began   uint8  // server's time of the claim
	lease   uint8
	keys    uint8 // at VMS when it looked
	plan    uint16
	outcome uint8 // of the abort
}

// What an abort is to say.
const (
	nothingMade uint8 = iota
	mayBeMade
	leftOver
)

type state struct {
	now     uint8 // seconds, by the one clock there is
	doc     uint16
	number  uint8
	keys    uint8         // at VMS, by claim
	made    [claims]uint8 // when
	posted  uint8         // requests that VMS gets later
	flying  bool          // a write that Vault gets later
	flyDoc  uint16
	flyBase uint8
	m       [machines]machine

	crashes, vault, vms, late, jumps, faults uint8 // how many are still allowed
}

type bounds struct{ machines, crashes, vault, vms, late, jumps, faults uint8 }

// mutant is a part of the protocol that is taken out.
type mutant struct{ cas, leaseCheck, takeBack, fence, mark bool }

type model struct {
	t      *testing.T
	out    mutant
	docs   []FleetDoc
	byText map[string]uint16
	plans  []plan
	byPlan map[string]uint16
	moves  map[move]moved // what the production functions made of a document
	judged map[judging]uint16
	sound  map[sight]string // what the invariants say of what there is
	seen   map[state]struct{}
	path   []string
	broken string // the first violation, with the run that led to it
	ends   int
}

var modelIdentity = Identity{VMS: "v", User: "u"}

func modelTime(n uint8) time.Time {
	return time.Date(2026, 1, 1, 0, 0, int(n), 0, time.UTC)
}

func modelSecond(t time.Time) uint8 { return uint8(t.Sub(modelTime(0)) / time.Second) } //nolint:gosec // bounded

func claimID(i int) string { return fmt.Sprint("claim", i) }
func keyID(i int) string   { return fmt.Sprint("key", i) }

func (w *model) intern(d FleetDoc) uint16 {
	raw, err := d.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	n, ok := w.byText[string(raw)]
	if !ok {
		n = uint16(len(w.docs)) //nolint:gosec // bounded
		if len(w.docs) == 1<<16-1 {
			w.t.Fatal("too many documents")
		}
		w.docs = append(w.docs, d)
		w.byText[string(raw)] = n
	}
	return n
}

// move is a transition of a document with its arguments, moved what came of it.
type move struct {
	do         string
	doc, plan  uint16
	id         int
	a, b, c, d uint8
}

type moved struct {
	doc           uint16
	ok, inherited bool
}

// judging and sight are what a plan and the invariants depend on.
type judging struct {
	doc        uint16
	at, listed uint8
	made       [claims]uint8
}

type sight struct {
	doc       uint16
	now, keys uint8
	made      [claims]uint8
}

// apply runs a production function once for the same arguments.
func (w *model) apply(m move, do func(FleetDoc) (_ FleetDoc, inherited, ok bool)) moved {
	r, old := w.moves[m]
	if !old {
		d, inherited, ok := do(w.docs[m.doc])
		r = moved{m.doc, ok, inherited}
		if ok {
			r.doc = w.intern(d)
		}
		w.moves[m] = r
	}
	return r
}

func (w *model) internPlan(p plan) uint16 {
	text := fmt.Sprintf("%+v", p)
	n, ok := w.byPlan[text]
	if !ok {
		n = uint16(len(w.plans)) //nolint:gosec // bounded
		w.plans = append(w.plans, p)
		w.byPlan[text] = n
	}
	return n
}

func newModel(t *testing.T, out mutant) *model {
	t.Helper()
	w := &model{
		t: t, out: out, byText: map[string]uint16{}, byPlan: map[string]uint16{}, seen: map[state]struct{}{},
		moves: map[move]moved{}, judged: map[judging]uint16{}, sound: map[sight]string{},
	}
	w.intern(FleetDoc{Item: Item{Identity: modelIdentity}})
	w.internPlan(plan{})
	return w
}

// list is what VMS lists.
func (s *state) list(mask uint8) (list []Remote) {
	for i := range claims {
		if mask&(1<<i) != 0 {
			list = append(list, Remote{AccessKey: keyID(i), Enabled: true, Created: modelTime(s.made[i])})
		}
	}
	return list
}

func count(mask uint8) (n int) {
	for ; mask != 0; mask &= mask - 1 {
		n++
	}
	return n
}

func (s *state) claimOf(i int) int { return i*attempts + int(s.m[i].attempt) }

// judge is what a reaper plans.
func (w *model) judge(s *state, doc uint16, at, listed uint8) uint16 {
	key := judging{doc, at, listed, s.made}
	if n, old := w.judged[key]; old {
		return n
	}
	d := w.docs[doc]
	v := view{
		it: d.Item.DropPending(), list: s.list(listed), known: true,
		entries: d.open(modelTime(at)), now: modelTime(at), late: modelTime(at),
	}
	p, _, err := v.plan(wanted{orphans: true, retired: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.judged[key] = w.internPlan(p)
	return w.judged[key]
}

// walk visits a state and all that follow from it.
func (w *model) walk(s state) {
	if w.broken != "" {
		return
	}
	if _, old := w.seen[s]; old {
		return
	}
	w.seen[s] = struct{}{}
	if bad := w.violated(&s); bad != "" {
		w.fail(bad, &s)
		return
	}
	moved, running := false, false
	for i := range machines {
		if s.m[i].pc < done {
			running = true
			if i > 0 && s.m[i].pc == atStart && s.m[i-1].pc == atStart {
				break // machines are alike: they start in order
			}
			if w.step(s, i) {
				moved = true
			}
			if s.m[i].pc > atClaim && s.crashes > 0 && s.faults > 0 {
				c := s
				c.m[i] = machine{pc: crashed}
				c.crashes, c.faults = c.crashes-1, c.faults-1
				w.to(c, i, "crashes")
			}
		}
	}
	if s.flying {
		c := s
		c.flying, c.flyDoc, c.flyBase = false, 0, 0
		if s.number == s.flyBase || w.out.cas {
			a := c
			a.doc, a.number = s.flyDoc, s.number+1
			w.to(a, -1, "a late write arrives")
		} else {
			w.to(c, -1, "a late write is refused")
		}
	}
	for i := range claims {
		if s.posted&(1<<i) == 0 {
			continue
		}
		c := s
		c.posted &^= 1 << i
		if count(c.keys) < slots {
			c.keys |= 1 << i
			c.made[i] = c.now
		}
		w.to(c, i/attempts, "a late request arrives")
	}
	if running && s.jumps > 0 {
		for _, d := range []uint8{jumpLate, jumpOver} {
			c := s
			c.now, c.jumps = c.now+d, c.jumps-1
			w.to(c, -1, fmt.Sprintf("%d s pass", d))
		}
	}
	if running && !moved && !s.flying && s.posted == 0 {
		// All wait for a lease to end, which it does.
		if g, taken := w.docs[s.doc].leased(modelTime(s.now)); taken {
			c := s
			c.now = modelSecond(freeAt(g.LeaseUntil)) + 1
			w.to(c, -1, "the lease ends")
		} else {
			w.fail("somebody waits for ever", &s)
		}
	}
	if !running && !s.flying && s.posted == 0 {
		w.ends++
		if bad := w.aftermath(s); bad != "" {
			w.fail(bad, &s)
		}
	}
}

func (w *model) to(s state, i int, what string) {
	if w.broken != "" {
		return
	}
	if i >= 0 {
		what = fmt.Sprint("machine ", i, " ", what)
	}
	w.path = append(w.path, what)
	w.walk(s)
	w.path = w.path[:len(w.path)-1]
}

func (w *model) fail(bad string, s *state) {
	if w.broken != "" {
		return
	}
	d, _ := w.docs[s.doc].Encode()
	w.broken = fmt.Sprintf("%s\n  %s\n  at VMS %b, now %d\n  %s\n  %+v", bad, strings.Join(w.path, "\n  "), s.keys, s.now, d, s.m)
}

// violated are the invariants of every state.
func (w *model) violated(s *state) string {
	key := sight{s.doc, s.now, s.keys, s.made}
	bad, old := w.sound[key]
	if !old {
		bad = w.look(s)
		w.sound[key] = bad
	}
	return bad
}

func (w *model) look(s *state) string {
	d := w.docs[s.doc]
	active := 0
	for _, g := range d.Item.Live() {
		if g.State == Active {
			active++
		}
	}
	if active > 1 {
		return "two keys are stored for one need"
	}
	for i := range claims {
		_, stored := d.Item.Find(keyID(i))
		there := s.keys&(1<<i) != 0
		if stored && !there {
			return keyID(i) + " is stored and dead"
		}
		k := Remote{AccessKey: keyID(i), Created: modelTime(s.made[i])}
		if there && !stored && !slices.ContainsFunc(d.open(modelTime(s.now)), func(e Entry) bool { return mayHaveMade(e, k) || e.MayBeLate(k) }) {
			return keyID(i) + " is at VMS, in no store and in no journal"
		}
	}
	return ""
}

// aftermath is what must hold when all is quiet: a reaper frees every place,
// or names who fills it, and the next one gets a key.
func (w *model) aftermath(s state) string {
	for i := range machines {
		if g, ok := w.docs[s.doc].Item.Current(); s.m[i].pc == done && (!ok || g.AccessKey == "") {
			return "a machine was given a key that is not stored"
		}
	}
	g, ok := w.docs[s.doc].claimed()
	if ok {
		s.now = max(s.now, modelSecond(freeAt(g.LeaseUntil))+1)
	}
	var p plan
	for range 2 { // doubts are settled by the first
		p = w.plans[w.judge(&s, s.doc, s.now, s.keys)]
		next, ok := w.docs[s.doc].mark(p.marked, modelTime(s.now))
		if !ok {
			return "the last reaper is told that somebody lives"
		}
		for _, id := range p.deleted() {
			for i := range claims {
				if keyID(i) == id {
					s.keys &^= 1 << i
				}
			}
		}
		for _, e := range p.settled {
			if next, ok = next.settle(e, modelTime(s.now)); !ok {
				return "an entry cannot be settled"
			}
		}
		s.doc = w.intern(next)
	}
	if bad := w.violated(&s); bad != "" {
		return "after reaping: " + bad
	}
	d := w.docs[s.doc]
	for i := range claims {
		if _, stored := d.Item.Find(keyID(i)); s.keys&(1<<i) == 0 || stored {
			continue
		}
		if !slices.Contains(p.suspect, keyID(i)) {
			return keyID(i) + " fills a place, and nobody says so"
		}
		if s.late == 1 { // no request was late: everything can be proven
			return keyID(i) + " fills a place, and is not proven to be left over"
		}
	}
	for _, e := range d.open(modelTime(s.now).Add(2 * strayMargin)) {
		if len(p.suspect) > 0 {
			break
		}
		v := view{it: d.Item, list: s.list(s.keys), known: true, entries: []Entry{e}, now: modelTime(s.now).Add(2 * strayMargin)}
		if later, _, _ := v.plan(wanted{orphans: true}); len(later.settled) == 0 {
			return "an entry is never closed"
		}
	}
	return ""
}

func (b bounds) start() state {
	s := state{crashes: b.crashes, vault: b.vault, vms: b.vms, late: b.late, jumps: b.jumps, faults: b.faults}
	for i := b.machines; i < machines; i++ {
		s.m[i].pc = failed // and never wanted anything
	}
	return s
}

// TestFleetModel runs the model. What it bounds, besides the faults: a machine
// claims twice at most; Vault and VMS share one clock, which jumps by amounts
// around the lease, at any moment; abort, fence and settle are one step each,
// since what they do depends on nothing but the document they find. More faults
// or more pauses in one run are for two machines alone: with three there are too
// many states for a test.
func TestFleetModel(t *testing.T) {
	runs := []bounds{
		{machines: 3, crashes: 1, vault: 1, vms: 1, late: 1, jumps: 1, faults: 1},
		{machines: 2, crashes: 2, vault: 1, vms: 1, late: 1, jumps: 1, faults: 2},
		{machines: 2, crashes: 1, vms: 1, late: 1, jumps: 2, faults: 1},
	}
	if testing.Short() || raceEnabled {
		runs = []bounds{
			{machines: 3, crashes: 1, faults: 1, jumps: 1},
			{machines: 2, crashes: 1, vault: 1, vms: 1, late: 1, jumps: 1, faults: 1},
		}
	}
	for _, b := range runs {
		began := time.Now()
		w := newModel(t, mutant{})
		w.walk(b.start())
		if w.broken != "" {
			t.Fatal(w.broken)
		}
		t.Logf("%d states, %d ends, %d documents in %v: %+v", len(w.seen), w.ends, len(w.docs), time.Since(began).Round(time.Millisecond), b)
	}
}

// What is taken out must be missed.
func TestFleetModelMissesWhatIsTakenOut(t *testing.T) {
	for _, c := range []struct {
		what string
		out  mutant
		b    bounds
	}{
		{"check-and-set", mutant{cas: true}, bounds{machines: 2}},
		{"the lease check before the request", mutant{leaseCheck: true}, bounds{machines: 2, crashes: 1, late: 1, faults: 1, jumps: 1}},
		{"the delete after a lost commit", mutant{takeBack: true}, bounds{machines: 2, jumps: 2}},
		{"the fence before a key is deleted", mutant{fence: true}, bounds{machines: 1, vault: 1, faults: 1}},
		{"the mark before an orphan is deleted", mutant{mark: true}, bounds{machines: 2, jumps: 2}},
	} {
		w := newModel(t, c.out)
		w.walk(c.b.start())
		if w.broken == "" {
			t.Errorf("without %s all is well in %d states", c.what, len(w.seen))
			continue
		}
		t.Logf("without %s, after %d states: %s", c.what, len(w.seen), strings.SplitN(w.broken, "\n", 2)[0])
		whole := newModel(t, mutant{})
		whole.walk(c.b.start())
		if whole.broken != "" {
			t.Errorf("with %s: %s", c.what, whole.broken)
		}
	}
}
