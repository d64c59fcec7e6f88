package accesskey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// issued is what came of an attempt to issue.
type issued struct {
	item   Item
	isNew  bool // by us; else another process had it done meanwhile
	before Keys
}

// job is what a key is issued for.
type job struct {
	intent    Intent
	satisfied func(Item) bool // nil is never
	// store puts the new key into the item.
	store func(it Item, g Generation, e Entry) Item
}

// active is the job of a key that is handed out at once.
func active(satisfied func(Item) bool) job {
	return job{Issue, satisfied, func(it Item, g Generation, _ Entry) Item { return it.Activate(g) }}
}

// issue takes the six steps: claim the identity, read again, prove the store,
// look at VMS and journal, ask once, store.
func (s *Service) issue(ctx context.Context, j job) (issued, error) {
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return issued{}, err
	}
	claim, err := s.begin(ctx, Request{
		Intent: j.intent, Satisfied: j.satisfied, Timeout: s.d.PostTimeout,
		Observe: func(ctx context.Context) (Observation, error) { return s.observe(ctx, vms) },
		Inherit: func(ctx context.Context) error { _, err := s.reapNow(ctx, vms, wanted{orphans: true}); return err },
	})
	if err != nil {
		return issued{}, err
	}
	defer claim.Release() // in a panic the entry stays open
	if claim.Satisfied {
		return issued{item: claim.Item}, nil
	}
	g, err := s.ask(ctx, vms, claim.Entry, claim.Timeout, func(o Outcome) error { return s.d.Coordinator.Abort(ctx, claim, o) })
	if err != nil {
		return issued{}, err
	}
	// The secret is told once: an interrupt now must not lose it.
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	it, err := s.d.Coordinator.Commit(keep, claim, func(it Item) Item { return j.store(it, g, claim.Entry) })
	if err != nil {
		return issued{}, s.takeBack(ctx, vms, claim, g.AccessKey, err)
	}
	return issued{item: it, isNew: true, before: claim.Entry.KeysBefore}, nil
}

// begin returns a claim under which the request may be sent at once. One that
// was lost before the request was sent, since this process was stopped for long,
// is begun again.
func (s *Service) begin(ctx context.Context, r Request) (*Claim, error) {
	for again := 2; ; again-- {
		claim, err := s.d.Coordinator.Begin(ctx, r)
		if err != nil || claim.Satisfied {
			return claim, err
		}
		if err = claim.Ready(ctx); err == nil {
			return claim, nil
		}
		_ = s.d.Coordinator.Abort(ctx, claim, Outcome{})
		if !failure.Is(err, failure.Conflict) || again == 0 {
			return nil, failure.Annotate(err, "issue an access key for %s (none was)", s.d.Identity)
		}
	}
}

// observing bounds each look at VMS, which must not use up the time of the
// request itself.
const observing = 4 * time.Second

// looking returns a context for one look at VMS: a third of the time that is left,
// and no more than that.
func (s *Service) looking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(observing, s.d.Left()/3))
}

// observe lists the user's keys and reads the clock of VMS. Issuing goes on
// without either: a cluster may answer in a shape that nobody has written
// down, or let people issue keys but not list them.
func (s *Service) observe(ctx context.Context, vms VMSKeys) (Observation, error) {
	parent := ctx
	ctx, cancel := s.looking(parent)
	defer cancel()
	var seen Observation
	list, err := vms.Keys(ctx)
	if ended := parent.Err(); ended != nil {
		return Observation{}, failure.Annotate(ended, "list the keys before one is issued (none was)")
	}
	switch {
	case err == nil:
		seen.KeysBefore = Keys{Known: true, List: make([]string, 0, len(list))}
		for _, k := range list {
			seen.KeysBefore.List = append(seen.KeysBefore.List, k.AccessKey)
		}
	case failure.Is(err, failure.Auth), failure.Is(err, failure.Usage), failure.Is(err, failure.Config):
		return Observation{}, err // the request would end the same way
	}
	if now, err := vms.ServerTime(ctx); err == nil {
		seen.ServerClock = now
	}
	return seen, nil
}

// ask sends the one request of an entry, and ends the claim when no key comes of it.
func (s *Service) ask(ctx context.Context, vms VMSKeys, e Entry, limit time.Duration, end func(Outcome) error) (Generation, error) {
	post, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	id, sec, err := vms.CreateKey(post)
	if err == nil && (id == "" || sec.IsEmpty()) {
		err = failure.New(failure.Network, "VMS issued a key without saying which")
	}
	if err == nil {
		created := e.ServerClock
		if created.IsZero() {
			created = e.Started
		}
		return Generation{
			AccessKey: id, SecretKey: sec, State: Active, Created: created,
			IssuedBy: e.Machine, LongestRefresh: s.d.Refresh + s.d.Coordinator.Lag(),
		}, nil
	}
	lost := !errors.Is(err, ErrNotIssued)
	if ended := end(Outcome{Unknown: lost}); ended != nil {
		if !lost {
			return Generation{}, errors.Join(err, ended)
		}
		err = fmt.Errorf("%w; journal it: %w", err, ended) // reaping may not find it
	}
	switch {
	case failure.Is(err, failure.KeyLimit):
		return Generation{}, s.explainLimit(ctx, err)
	case !lost:
		return Generation{}, failure.Annotate(err, "issue an access key for %s", s.d.Identity)
	}
	kind := failure.Network
	if failure.Is(err, failure.Cancelled) {
		kind = failure.Cancelled
	}
	return Generation{}, failure.Wrap(kind, err, "issue an access key for %s: the answer was lost, and VMS may have made a key whose secret nobody has", s.d.Identity).
		WithHint("%s", s.d.LostHint)
}

// takeBack deletes a key that could not be stored, so that it does not fill
// one of the two places for good.
func (s *Service) takeBack(ctx context.Context, vms VMSKeys, claim *Claim, id string, cause error) error {
	if errors.Is(cause, ErrMayBeStored) {
		return failure.Wrap(failure.Store, cause, "store the access key just issued; %s was left at VMS, since it may be stored", id).
			WithHint("once the store answers again, valetkey keys list shows whether it is stored; if not, valetkey keys reap deletes it").
			WithDetail("access_key", id)
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	err := vms.DeleteKey(clean, id)
	if err == nil || failure.Is(err, failure.NotFound) {
		_ = s.d.Coordinator.Abort(ctx, claim, Outcome{})
		return failure.Wrap(failure.Store, cause, "store the access key just issued (it was deleted again)")
	}
	abort := s.d.Coordinator.Abort(ctx, claim, Outcome{LeftOver: id})
	if abort == nil {
		err = fmt.Errorf("%w; delete it: %w", cause, err)
	} else {
		err = fmt.Errorf("%w; delete it: %w; journal it: %w", cause, err, abort)
	}
	return failure.Wrap(failure.Store, err, "store the access key just issued; %s is left over at VMS", id).
		WithHint("valetkey keys delete %s removes it", id).
		WithDetail("access_key", id)
}

// explainLimit adds to VMS's refusal which keys there are. The refusal stands
// whether or not they can be listed.
func (s *Service) explainLimit(ctx context.Context, refusal error) error {
	e := failure.Wrap(failure.KeyLimit, refusal, "%s holds as many access keys as VMS allows", s.d.Identity).
		WithHint("delete one with valetkey keys delete ACCESS_KEY; or use the one that is stored, with valetkey keys create --if-missing on the machine that holds it; or ask an administrator to remove one")
	keys, err := s.List(ctx)
	if err != nil {
		return e
	}
	list, described := make([]KeyDocument, 0, len(keys)), make([]string, 0, len(keys))
	for _, k := range keys {
		list = append(list, k.Document(false))
		described = append(described, describe(k))
	}
	if len(described) > 0 {
		e.Message += " (" + strings.Join(described, "; ") + ")"
	}
	return e.WithDetail("keys", list)
}

// describe says in a few words which key it is.
func describe(k Key) string {
	age := "age unknown"
	switch days := int(k.Age / (24 * time.Hour)); {
	case k.Created.IsZero():
	case days == 1:
		age = "1 day old"
	case days > 1:
		age = fmt.Sprintf("%d days old", days)
	default:
		age = k.Age.Truncate(time.Second).String() + " old"
	}
	where := "not stored here"
	if k.Stored {
		where = "stored here"
	}
	return k.AccessKey + ", " + age + ", " + where
}
