package accesskey

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Switch is a [VMSKeys] that can disable keys, as administrators may.
type Switch interface {
	SetKeyEnabled(ctx context.Context, id string, enabled bool) error
}

// ReapOptions say what [Service.Reap] may do.
type ReapOptions struct {
	DryRun bool // look, and change nothing
	// OlderThan leaves retired keys alone that are younger than this; it does
	// not shorten anybody's grace. 0 leaves none alone.
	OlderThan time.Duration
	// AccessKeys are candidates that a person names as left over.
	AccessKeys []string
	// Confirm is asked before anything is deleted, with what would be done; nil
	// agrees. Its error ends the reaping.
	Confirm func([]Reaped) error
}

// Action is what became of a key.
type Action string

// The actions.
const (
	ActionDeleted  Action = "deleted"
	ActionDisabled Action = "disabled"
	ActionKept     Action = "kept"
)

// Reaped is what reaping did with one key, and why. Its JSON form is frozen.
type Reaped struct {
	AccessKey string `json:"access_key"`
	Action    Action `json:"action"`
	Reason    string `json:"reason"`
}

// Reap finishes what a grace period or a crash left behind: it deletes retired
// keys whose grace is over, and keys that requests of dead processes made, if that
// is proven: of this machine, or of all that share its document. Keys that are
// merely suspected are kept and named, and the error is failure.Finding beside the
// list. Foreign keys, and what belongs to a process that lives, are not touched. A
// key list that is not understood is failure.Network: it proves nothing. With an
// error other than failure.Finding there is no list, and what was done before is
// told by Note.
func (s *Service) Reap(ctx context.Context, o ReapOptions) ([]Reaped, error) {
	for _, id := range o.AccessKeys {
		if err := CheckAccessKey(id); err != nil {
			return nil, err
		}
	}
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return nil, err
	}
	w := wanted{retired: true, orphans: true, olderThan: o.OlderThan, named: o.AccessKeys, needList: true}
	if o.DryRun || o.Confirm != nil {
		p, err := s.survey(ctx, vms, w, false)
		if err != nil {
			return nil, err
		}
		if o.DryRun {
			return p.report(), p.unproven()
		}
		if p.changes() {
			if err := o.Confirm(p.report()); err != nil {
				return nil, err
			}
		}
		w.only = p.deleted()
	}
	p, err := s.survey(ctx, vms, w, true)
	if err != nil {
		return nil, err
	}
	if err := s.carryOut(ctx, vms, &p); err != nil {
		s.tell(p) // of what was done; the list would say that all of it was
		return nil, err
	}
	return p.report(), p.unproven()
}

// reapOrphans deletes proven orphans before a key is issued, so that a crash
// does not cost one of the two places, and tells whether it has made room.
// Issuing goes on without it. What a process that lives has open is no reason
// to look: a crowd that waits for one key asks VMS nothing.
func (s *Service) reapOrphans(ctx context.Context) (room bool, err error) {
	open, err := s.d.Coordinator.Pending(ctx)
	if err != nil || !slices.ContainsFunc(open, func(e Entry) bool { return !e.Alive }) {
		return false, nil //nolint:nilerr // the journal is written, and its trouble told, before a key is issued
	}
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return false, err
	}
	return s.reapNow(ctx, vms, wanted{orphans: true, unlessCurrent: true})
}

// reapNow reaps unasked, and reports whether a key was deleted. Only what the
// caller would fail of, too, is an error.
func (s *Service) reapNow(ctx context.Context, vms VMSKeys, w wanted) (bool, error) {
	p, err := s.survey(ctx, vms, w, true)
	if err == nil {
		err = s.carryOut(ctx, vms, &p)
	}
	s.tell(p)
	deleted := slices.ContainsFunc(p.steps, func(st step) bool { return st.done && st.Action == ActionDeleted })
	if ended := ctx.Err(); ended != nil {
		return deleted, failure.Annotate(ended, "look for what a crash left behind")
	}
	if failure.Is(err, failure.Auth) || failure.Is(err, failure.Store) {
		return deleted, err
	}
	return deleted, nil // a network that fails here fails at the request, too
}

// tell says what was done unasked.
func (s *Service) tell(p plan) {
	for _, st := range p.steps {
		if st.done && st.Action != ActionKept {
			s.d.Note("%s %s: %s", st.Action, st.AccessKey, st.Reason)
		}
	}
}

// wanted is what a survey looks for.
type wanted struct {
	retired, orphans bool
	olderThan        time.Duration
	named            []string // candidates to delete
	condemn          []string // keys to delete whatever they are
	condemnRetired   bool     // and every one that has retired
	only             []string // if not nil, no other key is deleted
	unlessCurrent    bool     // look for nothing if a key is at hand
	unlessRotated    *string  // condemn nothing unless this key is still current
	needList         bool     // fail without a list of the keys at VMS
}

// step is what is to be done with one key.
type step struct {
	Reaped
	stored bool // drop it from the store once it is gone
	gone   bool // VMS does not have it
	done   bool
}

// plan is what a survey found.
type plan struct {
	steps   []step
	marked  []Entry // entries to replace before their keys are deleted
	settled []Entry // entries to replace once their keys are gone
	suspect []string
}

func (p plan) report() []Reaped {
	list := make([]Reaped, 0, len(p.steps))
	for _, st := range p.steps {
		list = append(list, st.Reaped)
	}
	return list
}

// deleted are the keys that are to be deleted; never nil.
func (p plan) deleted() []string {
	list := []string{}
	for _, st := range p.steps {
		if st.Action == ActionDeleted {
			list = append(list, st.AccessKey)
		}
	}
	return list
}

func (p plan) changes() bool {
	return slices.ContainsFunc(p.steps, func(st step) bool { return st.Action != ActionKept })
}

// unproven is the error of candidates that were kept.
func (p plan) unproven() error {
	if len(p.suspect) == 0 {
		return nil
	}
	return failure.New(failure.Finding, "nothing proves whether %s is left over from a lost answer", strings.Join(p.suspect, " or ")).
		WithHint("if nobody uses it, valetkey keys reap --access-key %s deletes it", p.suspect[0]).
		WithDetail("candidates", p.suspect)
}

func (p *plan) add(st step) {
	if !slices.ContainsFunc(p.steps, func(other step) bool { return other.AccessKey == st.AccessKey }) {
		p.steps = append(p.steps, st)
	}
}

// survey looks at VMS, and then at the item and the journal as nobody else
// changes them meanwhile. With mark it writes down what is going to be deleted:
// into the item, so that no undo brings a key back that is about to go, and into
// the journal, so that nobody who was taken to be dead stores it after all.
func (s *Service) survey(ctx context.Context, vms VMSKeys, w wanted, mark bool) (plan, error) {
	early, late := s.clocks(ctx, vms)
	var (
		p      plan
		v      view
		before []Entry // loans end without the lock, also after the list was made
	)
	look := func(ctx context.Context) error {
		v = view{now: early, late: late}
		_, v.canSwitch = vms.(Switch)
		if w.orphans {
			var err error
			if before, err = s.d.Coordinator.Pending(ctx); err != nil {
				return err
			}
		}
		short, cancel := s.looking(ctx) // a lock is held
		defer cancel()
		list, err := vms.Keys(short)
		switch {
		case err == nil:
			v.list, v.known = list, true
		case w.needList, ctx.Err() != nil, failure.Is(err, failure.Auth):
			return err
		}
		return nil
	}
	err := s.d.Coordinator.Review(ctx, look, func(it Item, open func() ([]Entry, error)) (Item, []Entry, error) {
		p = plan{}
		if _, ok := it.Current(); ok && w.unlessCurrent {
			return it, nil, nil
		}
		v.it = it
		var err error
		if w.orphans && v.known {
			if v.entries, err = open(); err != nil {
				return it, nil, err
			}
			v.entries = withEnded(v.entries, before)
		}
		planned, after, err := v.plan(w)
		p = planned
		if err != nil || !mark {
			return it, nil, err
		}
		return after, p.marked, nil
	})
	return p, err
}

// withEnded adds the entries that have ended since they were read: the keys that
// their processes worked with may still be on the list of VMS, and are nobody
// else's.
func withEnded(now, before []Entry) []Entry {
	for _, e := range before {
		if !slices.ContainsFunc(now, func(other Entry) bool { return other.ID == e.ID }) {
			e.Alive = true
			now = append(now, e)
		}
	}
	return now
}

// clocks returns the time by the earlier and by the later of the local clock and
// the one of VMS. What is deleted is reckoned by the earlier, what is promised by
// the later, so that a clock that is wrong or was moved costs nobody a key.
func (s *Service) clocks(ctx context.Context, vms VMSKeys) (early, late time.Time) {
	early = s.d.Now()
	late = early
	ctx, cancel := s.looking(ctx)
	defer cancel()
	if t, err := vms.ServerTime(ctx); err == nil {
		if t.Before(early) {
			early = t
		} else {
			late = t
		}
	}
	return early, late
}

// carryOut does what a survey planned. A key that VMS does not have is deleted.
func (s *Service) carryOut(ctx context.Context, vms VMSKeys, p *plan) error {
	for i := range p.steps {
		if err := s.take(ctx, vms, &p.steps[i]); err != nil {
			return err
		}
	}
	for _, e := range p.settled {
		if err := s.d.Coordinator.Settle(ctx, e); err != nil && !failure.Is(err, failure.Conflict) {
			return err
		}
	}
	return nil
}

func (s *Service) take(ctx context.Context, vms VMSKeys, st *step) error {
	id := st.AccessKey
	switch st.Action {
	case ActionDeleted:
		if !st.gone {
			if err := vms.DeleteKey(ctx, id); err != nil && !failure.Is(err, failure.NotFound) {
				return err // which names the key
			}
		}
		st.done = true
		if !st.stored {
			return nil
		}
		_, err := s.d.Coordinator.Update(ctx, func(it Item) (Item, error) { return it.Drop(id), nil })
		return failureOf(err, "access key %s is deleted at VMS, but could not be removed from the store", id)
	case ActionDisabled:
		return s.disable(ctx, vms, st)
	}
	return nil
}

// disable switches a key off that nobody should use any more. Where the role does
// not allow it the key is kept until it is deleted.
func (s *Service) disable(ctx context.Context, vms VMSKeys, st *step) error {
	sw, ok := vms.(Switch)
	if !ok {
		st.Action = ActionKept
		return nil
	}
	err := sw.SetKeyEnabled(ctx, st.AccessKey, false)
	switch {
	case failure.Is(err, failure.Forbidden), failure.Is(err, failure.NotFound):
		st.Action = ActionKept
		return nil
	case err != nil:
		return failure.Annotate(err, "disable access key %s", st.AccessKey)
	}
	st.done = true
	_, err = s.d.Coordinator.Update(ctx, func(it Item) (Item, error) { return it.MarkEnabled(st.AccessKey, false), nil })
	return err
}

// failureOf annotates an error, and leaves none alone.
func failureOf(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return failure.Annotate(err, format, args...)
}
