package accesskey

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// RotateOptions say how [Service.Rotate] is to go about it.
type RotateOptions struct {
	Now     bool          // delete the old key at once, and any other that has retired before
	Undo    bool          // give the key that retired last its role back
	Replace string        // the access key to give up first, so that there is room
	Wait    time.Duration // how long to wait for room; 0 does not
	// Confirm is asked before anything is done, with the access keys that Now and
	// Replace delete before their grace is over, if there are any; nil agrees. Its
	// error ends the rotation.
	Confirm func(doomed []string) error

	unasked bool // nobody has asked for it: issue nothing while an answer is lost
}

// Rotated is what a rotation led to.
type Rotated struct {
	New Key
	Old *Key // nil if no key was handed out before
	// DeleteAfter is when the old key may be deleted; zero if it is gone.
	DeleteAfter time.Time
}

// Rotate issues a key, stores it, proves it, and hands it out in place of the
// one before, which works on for the grace. Until the new key is proven the old
// one is handed out. A rotation that dies at any step is gone on with by the
// next one. Of several at once one issues, and the others end with its result.
//
// With both places taken, by a key that still retires or by another, the error
// is failure.KeyLimit and tells when a place becomes free.
func (s *Service) Rotate(ctx context.Context, o RotateOptions) (Rotated, error) {
	it, err := s.d.Coordinator.Latest(ctx) // first: whoever comes later than another's end starts anew
	if err != nil {
		return Rotated{}, err
	}
	from := it.currentKey()
	if err := checkRotate(o, from); err != nil {
		return Rotated{}, err
	}
	proof, err := s.prover() // what is wrong with it is said before anybody is asked for anything
	if err != nil {
		return Rotated{}, err
	}
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return Rotated{}, err
	}
	if o.Undo {
		return s.undo(ctx, vms, from)
	}
	if doomed := o.doomed(it); len(doomed) > 0 && o.Confirm != nil {
		if err := o.Confirm(doomed); err != nil {
			return Rotated{}, err
		}
	}
	if it, err = s.replace(ctx, vms, proof, from, o); err != nil {
		return Rotated{}, err
	}
	return s.rotated(ctx, vms, it, o.Now)
}

// Doomed returns what a rotation would ask about: see RotateOptions.Confirm.
func (s *Service) Doomed(ctx context.Context, o RotateOptions) ([]string, error) {
	it, err := s.d.Coordinator.Latest(ctx)
	if err != nil {
		return nil, err
	}
	return o.doomed(it), checkRotate(o, it.currentKey())
}

func (o RotateOptions) doomed(it Item) []string {
	var ids []string
	if o.Replace != "" {
		ids = append(ids, o.Replace)
	}
	for _, g := range it.Live() {
		if o.Now && (g.retired() || g.AccessKey == it.currentKey()) && g.AccessKey != o.Replace {
			ids = append(ids, g.AccessKey)
		}
	}
	return ids
}

// replace puts a proven new key in the place of another, unless that has been
// replaced meanwhile.
func (s *Service) replace(ctx context.Context, vms VMSKeys, proof Proof, from string, o RotateOptions) (Item, error) {
	it, err := s.newKey(ctx, vms, from, o)
	if err != nil {
		return Item{}, err
	}
	if g, ok := it.Staged(); ok && it.currentKey() == from {
		return s.finish(ctx, vms, g, proof)
	}
	return it, nil
}

func checkRotate(o RotateOptions, current string) error {
	if o.Replace != "" {
		if err := CheckAccessKey(o.Replace); err != nil {
			return err
		}
	}
	switch {
	case o.Undo && (o.Now || o.Replace != "" || o.Wait != 0):
		return failure.New(failure.Usage, "an undo takes no other option")
	case o.Replace != "" && o.Replace == current:
		return failure.New(failure.Usage, "access key %s is the one that is handed out: giving it up first would leave you without a key", current).
			WithHint("name the other key; valetkey keys list shows both")
	}
	return nil
}

// newKey brings the item to where it has a staged key, or one that another
// process has put in place meanwhile.
func (s *Service) newKey(ctx context.Context, vms VMSKeys, from string, o RotateOptions) (Item, error) {
	start := s.d.Now()
	var told sync.Once
	for {
		if err := s.makeRoom(ctx, vms, from, o); err != nil {
			return Item{}, err
		}
		if o.unasked {
			if err := s.undoubted(ctx); err != nil {
				return Item{}, err
			}
		}
		done, err := s.issue(ctx, staging(from))
		if !failure.Is(err, failure.KeyLimit) {
			return done.item, err
		}
		free, limit := s.explainFull(ctx, err, "--replace ACCESS_KEY names the key to give up, --wait DURATION waits for room",
			"; --now deletes the retiring key at once, --undo hands it out again")
		if err := s.awaitRoom(ctx, limit, free, start.Add(o.Wait), &told); err != nil {
			return Item{}, err
		}
	}
}

// awaitRoom waits until it is worth trying again. It returns the refusal where
// that is not before the end.
func (s *Service) awaitRoom(ctx context.Context, refusal error, free, end time.Time, told *sync.Once) error {
	if now := s.d.Now(); !now.Before(end) || free.After(end) {
		return refusal
	}
	told.Do(func() {
		s.d.Note("waiting for one of the two places of %s, until %s at most", s.d.Identity, stamp(end))
	})
	if err := s.await(ctx, free, end); err != nil {
		return failure.Wrap(failure.KindOf(err), err, "wait for one of the two places of %s", s.d.Identity)
	}
	return nil
}

// await waits until a place becomes free, or long enough to ask VMS again, since
// another machine may make room, too. It looks at the clock and at the loans of
// this machine every few seconds: a timer stands still while the machine sleeps.
func (s *Service) await(ctx context.Context, free, end time.Time) error {
	now, lent := s.d.Now(), s.running(ctx)
	until := now.Add(max(30*time.Second, end.Sub(now)/60))
	if !free.IsZero() && free.Before(until) {
		until = free
	}
	if end.Before(until) {
		until = end
	}
	for first := true; first || s.d.Now().Before(until); first = false {
		if err := s.d.Sleep(ctx, min(max(until.Sub(s.d.Now()), time.Second), 2*time.Second)); err != nil {
			return err
		}
		if s.running(ctx) < lent {
			return nil
		}
		if !free.IsZero() && !s.d.Now().Before(free) {
			return nil
		}
	}
	return nil
}

// staging is the job of a key that takes the place of another.
func staging(from string) job {
	return job{
		intent: Rotate,
		satisfied: func(it Item) bool {
			_, staged := it.Staged()
			now, any := it.Current() // there is none where somebody deleted it, or the store is another one
			return staged || any && now.AccessKey != from
		},
		store: func(it Item, g Generation, e Entry) Item {
			if _, ok := it.Current(); !ok {
				return it.Activate(g) // there is nothing to fall back to
			}
			return it.Stage(g, e.ID)
		},
	}
}

// makeRoom does what is due, and deletes what is to be given up.
func (s *Service) makeRoom(ctx context.Context, vms VMSKeys, from string, o RotateOptions) error {
	w := wanted{retired: true, orphans: true, condemnRetired: o.Now, unlessRotated: &from}
	if o.Replace != "" {
		w.condemn = []string{o.Replace}
	}
	p, err := s.survey(ctx, vms, w, true)
	if err == nil {
		err = s.carryOut(ctx, vms, &p)
	}
	s.tell(p)
	return failureOf(err, "make room for a new access key of %s", s.d.Identity)
}

// explainFull adds to VMS's refusal when one of the places becomes free.
func (s *Service) explainFull(ctx context.Context, refusal error, ways, whileRetiring string) (free time.Time, err error) {
	var e *failure.Error
	if !errors.As(refusal, &e) {
		return free, refusal
	}
	it, readErr := s.d.Coordinator.Latest(ctx)
	if readErr == nil {
		for _, g := range it.Keys {
			if g.retired() && !g.DeleteAfter.IsZero() && (free.IsZero() || g.DeleteAfter.Before(free)) {
				free = g.DeleteAfter
			}
		}
	}
	hint := ways
	switch open, err := s.d.Coordinator.Pending(ctx); {
	case !free.IsZero():
		e.Message += "; a place becomes free at " + stamp(free) + ", when the grace of the last rotation is over"
		_ = e.WithDetail("free_at", stamp(free))
		hint += whileRetiring
	case err == nil && slices.ContainsFunc(open, dead):
		hint = "valetkey keys reap deletes what a crash left behind; " + ways
	}
	return free, e.WithHint("%s", hint)
}

// errGivenUp is what a process finds whose staged key another one gave up.
var errGivenUp = errors.New("another valetkey has given it up")

// finish proves a staged key and puts it in place. Several processes may do this
// with the same key: all come to the same end.
func (s *Service) finish(ctx context.Context, vms VMSKeys, g Generation, proof Proof) (Item, error) {
	if err := s.prove(ctx, vms, g, proof); err != nil {
		return s.giveUp(ctx, vms, g, err)
	}
	_, late := s.clocks(ctx, vms)
	// It is proven: an interrupt now changes nothing for the better.
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	it, err := s.d.Coordinator.Update(keep, func(it Item) (Item, error) {
		now, ok := it.Find(g.AccessKey)
		if !ok || now.retired() {
			return it, errGivenUp
		}
		return it.Promote(g.AccessKey, late, s.d.Grace), nil
	})
	if errors.Is(err, errGivenUp) {
		return it, failure.Wrap(failure.Conflict, err, "put the new access key %s in place", g.AccessKey).
			WithHint("the key before it is still handed out; valetkey keys rotate starts anew")
	}
	return it, failureOf(err, "put the new access key %s in place (valetkey keys rotate goes on with it)", g.AccessKey)
}

// prove tries a key until it works: it may take time to spread. Without a
// service to try it at, VMS must list it; where VMS tells nothing, that it
// issued the key has to do.
func (s *Service) prove(ctx context.Context, vms VMSKeys, g Generation, proof Proof) error {
	if proof == nil {
		proof = func(ctx context.Context, c Credentials) error { return s.listed(ctx, vms, c.AccessKey) }
	}
	tries, cancel := context.WithTimeout(ctx, s.d.PostTimeout)
	defer cancel()
	var refused error
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := proof(tries, Credentials{AccessKey: g.AccessKey, SecretKey: g.SecretKey})
		switch {
		case err == nil, failure.Is(err, failure.Config), failure.Is(err, failure.Usage):
			return err
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), err, refused)
		case tries.Err() != nil:
			return err
		case errors.Is(err, ErrKeyRefused):
			refused = err
		}
		if s.d.Sleep(tries, pause) != nil {
			return err
		}
	}
}

func (s *Service) listed(ctx context.Context, vms VMSKeys, id string) error {
	list, err := vms.Keys(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		s.d.Note("the new access key %s is proven by nothing but its issue: VMS does not list keys, and no S3 endpoint is set", id)
		return nil //nolint:nilerr // the old key stays for its grace, and can be had back
	}
	if !slices.ContainsFunc(list, func(k Remote) bool { return k.AccessKey == id && k.Enabled }) {
		return failure.Wrap(failure.Network, ErrKeyRefused, "VMS does not list it")
	}
	return nil
}

// giveUp deletes a staged key that could not be proven. After an interrupt it
// stays, and the next rotation goes on with it.
func (s *Service) giveUp(ctx context.Context, vms VMSKeys, g Generation, cause error) (Item, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return Item{}, failure.Wrap(failure.Cancelled, cause, "prove the new access key %s", g.AccessKey).
			WithHint("the key before it is still handed out; valetkey keys rotate goes on where this one stopped")
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	it, err := s.d.Coordinator.Update(keep, func(it Item) (Item, error) {
		if now, ok := it.Find(g.AccessKey); ok && now.State == Active {
			return it, nil // another process has proven it
		}
		return it.Condemn(g.AccessKey, s.d.Now()), nil
	})
	if err == nil && it.currentKey() == g.AccessKey {
		return it, nil
	}
	if err == nil {
		err = s.take(keep, vms, &step{Reaped: Reaped{AccessKey: g.AccessKey, Action: ActionDeleted}, stored: true})
	}
	kind := failure.KindOf(cause)
	if kind != failure.Config && kind != failure.Usage {
		kind = failure.Network
	}
	if err != nil {
		return Item{}, failure.Wrap(kind, errors.Join(cause, err), "prove the new access key %s, which could not be deleted again; the one before it is still handed out", g.AccessKey).
			WithHint("valetkey keys reap deletes it")
	}
	return Item{}, failure.Wrap(kind, cause, "prove the new access key %s (it was deleted again; the one before it is still handed out)", g.AccessKey)
}

// rotated describes the item after a rotation, and ends what has to end at once.
func (s *Service) rotated(ctx context.Context, vms VMSKeys, it Item, endNow bool) (Rotated, error) {
	here := s.machine()
	g, _ := it.Current()
	r := Rotated{New: s.stored(g, here)}
	last, ok := it.lastRetired()
	if !ok {
		return r, nil
	}
	old := s.stored(last, here)
	r.Old, r.DeleteAfter = &old, last.DeleteAfter
	if !endNow {
		return r, nil
	}
	current := it.currentKey()
	p, err := s.survey(ctx, vms, wanted{condemnRetired: true, unlessRotated: &current}, true)
	if err == nil {
		err = s.carryOut(ctx, vms, &p)
	}
	if err != nil {
		return r, failure.Annotate(err, "%s is handed out now, but the key before it could not be deleted (valetkey keys reap does it)", g.AccessKey)
	}
	old.Enabled, old.Stored, r.DeleteAfter = false, false, time.Time{}
	return r, nil
}

// undo gives the key that retired last its role back, and ends a rotation that
// has not come to its end.
func (s *Service) undo(ctx context.Context, vms VMSKeys, from string) (Rotated, error) {
	early, late := s.clocks(ctx, vms)
	list, listErr := vms.Keys(ctx)
	if listErr != nil && (ctx.Err() != nil || failure.Is(listErr, failure.Auth)) {
		return Rotated{}, listErr
	}
	if err := s.enableRetired(ctx, vms); err != nil {
		return Rotated{}, err
	}
	it, err := s.d.Coordinator.Update(ctx, func(it Item) (Item, error) {
		if now := it.currentKey(); now != from && now != "" {
			return it, nil // another has done it meanwhile
		}
		if g, ok := it.Staged(); ok {
			return it.Condemn(g.AccessKey, late), nil
		}
		g, ok := it.lastRetired()
		gone := listErr == nil && !slices.ContainsFunc(list, func(k Remote) bool { return k.AccessKey == g.AccessKey })
		switch {
		case !ok:
			return it, failure.New(failure.NotFound, "no rotation to undo: no stored key of %s is retiring", s.d.Identity)
		case g.due(early):
			return it, failure.New(failure.NotFound, "no rotation to undo: the grace of access key %s is over", g.AccessKey).
				WithHint("valetkey keys rotate issues a new key")
		case gone:
			return it, failure.New(failure.NotFound, "no rotation to undo: access key %s was deleted at VMS", g.AccessKey).
				WithHint("valetkey keys reap removes it from the store")
		}
		return it.Promote(g.AccessKey, late, s.d.Grace), nil
	})
	if err != nil {
		return Rotated{}, err
	}
	for _, g := range it.Live() {
		if g.condemned() {
			if err := s.take(ctx, vms, &step{Reaped: Reaped{AccessKey: g.AccessKey, Action: ActionDeleted}, stored: true}); err != nil {
				return Rotated{}, err
			}
			it = it.Drop(g.AccessKey)
		}
	}
	return s.rotated(ctx, vms, it, false)
}

// enableRetired switches the key on again that an undo hands out, before it does.
func (s *Service) enableRetired(ctx context.Context, vms VMSKeys) error {
	it, err := s.d.Coordinator.Latest(ctx)
	if err != nil {
		return err
	}
	g, ok := it.lastRetired()
	if !ok || !g.Disabled {
		return nil
	}
	sw, ok := vms.(Switch)
	if !ok {
		return failure.New(failure.Forbidden, "access key %s is disabled, and enabling it is for administrators", g.AccessKey)
	}
	if err := sw.SetKeyEnabled(ctx, g.AccessKey, true); err != nil {
		return failure.Annotate(err, "enable access key %s", g.AccessKey)
	}
	_, err = s.d.Coordinator.Update(ctx, func(it Item) (Item, error) { return it.MarkEnabled(g.AccessKey, true), nil })
	return err
}
