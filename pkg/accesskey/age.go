package accesskey

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Rotation by age happens while a client waits for credentials, with a key at
// hand that works. So it is short, it is tried rarely, and whatever comes of it
// the client gets a key.
const (
	tryFor     = 3 * time.Second        // how long one process tries to rotate
	retryAfter = 10 * time.Minute       // when the next one may, whoever it is
	claimFor   = 500 * time.Millisecond // how long the right to try is waited for
)

// Fresh returns credentials as [Service.Credentials] does. A key that is older
// than MaxAge is rotated first, and a retired key is deleted whose grace is over:
// one process tries for three seconds, without asking anybody; all others, and
// that one if it fails, hand out the key there is, and for ten minutes nobody
// tries again. What is left undone then, the next try goes on with.
//
// The age is reckoned by the earlier of the local clock and the one of VMS, so
// that a clock that was moved rotates nothing. A key whose age is not known is
// never too old.
func (s *Service) Fresh(ctx context.Context) (Credentials, error) {
	it, err := s.d.Coordinator.Read(ctx)
	if err != nil {
		return Credentials{}, err
	}
	g, ok := it.Current()
	if !ok {
		return s.Credentials(ctx)
	}
	if s.due(it, s.d.Now()) {
		if g, err = s.renew(ctx, g); err != nil {
			return Credentials{}, err
		}
	}
	return s.handOut(ctx, g), nil
}

// due reports whether there is something to do by age, and a try is allowed.
func (s *Service) due(it Item, now time.Time) bool {
	if s.d.MaxAge <= 0 || it.resting(now) {
		return false
	}
	g, ok := it.Current()
	return ok && (s.tooOld(g, now) || slices.ContainsFunc(it.Keys, func(g Generation) bool { return g.due(now) }))
}

func (s *Service) tooOld(g Generation, now time.Time) bool {
	return !g.Created.IsZero() && now.Sub(g.Created) > s.d.MaxAge
}

// resting reports whether the last try is too recent for another one. A time
// further ahead than that was written by a clock that has been set back since.
func (it Item) resting(now time.Time) bool {
	return now.Before(it.NextTry) && it.NextTry.Sub(now) <= retryAfter
}

// renew returns the key to hand out instead of one that is due. Its only error
// is an interruption.
func (s *Service) renew(ctx context.Context, g Generation) (Generation, error) {
	switch mine, err := s.claimTry(ctx); {
	case errors.Is(ctx.Err(), context.Canceled):
		return Generation{}, ctx.Err()
	case err != nil:
		s.d.Note("access key %s is due for rotation, which cannot be noted down: %s", g.AccessKey, inWords(err))
		return g, nil
	case !mine:
		return g, nil
	}
	short, cancel := within(ctx, tryFor)
	defer cancel()
	err := s.tryRenewal(short, g)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return Generation{}, ctx.Err()
	case err == nil:
	case failure.Is(err, failure.Cancelled):
		s.d.Note("access key %s is due for rotation, which could not be done in %s; it is handed out on, and in %.0fm rotation goes on", g.AccessKey, tryFor, retryAfter.Minutes())
	default:
		s.d.Note("access key %s is due for rotation, which failed; it is handed out on, and rotation is tried again in %.0fm: %s", g.AccessKey, retryAfter.Minutes(), inWords(err))
	}
	// Whatever happened, somebody may have put another key in place.
	if it, err := s.d.Coordinator.Read(ctx); err == nil {
		if now, ok := it.Current(); ok {
			return now, nil
		}
	}
	return g, nil
}

// inWords is an error in a note: in one line with what to do about it.
func inWords(err error) string {
	if hint := failure.HintOf(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}

// claimTry takes the right to try, for all processes. Who has to wait for the
// lock does not get it: another one is at work with the keys.
func (s *Service) claimTry(ctx context.Context) (mine bool, err error) {
	now := s.d.Now()
	short, cancel := context.WithTimeout(ctx, claimFor)
	defer cancel()
	_, err = s.d.Coordinator.Update(short, func(it Item) (Item, error) {
		if mine = s.due(it, now); mine {
			it.NextTry = now.Add(retryAfter)
		}
		return it, nil
	})
	if err != nil && short.Err() != nil {
		return false, nil
	}
	return mine && err == nil, err
}

// tryRenewal does what is due once both clocks agree that it is.
func (s *Service) tryRenewal(ctx context.Context, g Generation) error {
	proof, err := s.prover()
	if err != nil {
		return err
	}
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return err
	}
	// Credentials that are refused are sent once: accounts get locked by less.
	if _, err := vms.Keys(ctx); failure.Is(err, failure.Auth) {
		return err
	}
	if early, _ := s.clocks(ctx, vms); !s.tooOld(g, early) {
		return s.makeRoom(ctx, vms, g.AccessKey, RotateOptions{})
	}
	it, err := s.replace(ctx, vms, proof, g.AccessKey, RotateOptions{unasked: true})
	if err != nil {
		return s.forsake(ctx, vms, err)
	}
	if now := it.currentKey(); now != g.AccessKey {
		s.d.Note("access key %s was older than keys.max_age; %s is handed out from now on", g.AccessKey, now)
	}
	return nil
}

// undoubted refuses to ask for another key while nobody knows what became of the
// last request: a server that is down all night would otherwise be sent dozens,
// any of which may make a key. After a day one more may be tried.
func (s *Service) undoubted(ctx context.Context) error {
	open, err := s.d.Coordinator.Pending(ctx)
	if err != nil {
		return err
	}
	for _, e := range open {
		if dead(e) && !e.Elsewhere && e.AccessKey == "" && s.age(e.Started) < 24*time.Hour {
			return failure.New(failure.Network, "the answer to the request of %s was lost, and what became of it is not known yet", stamp(e.Started))
		}
	}
	return nil
}

// forsake gives up a staged key that has had the time of a whole try to spread,
// and is still refused. Else it would be in the way of all later rotations.
func (s *Service) forsake(ctx context.Context, vms VMSKeys, cause error) error {
	if !errors.Is(cause, ErrKeyRefused) {
		return cause
	}
	it, err := s.d.Coordinator.Latest(context.WithoutCancel(ctx))
	if err != nil {
		return cause
	}
	g, ok := it.Staged()
	if !ok || g.Created.IsZero() || s.age(g.Created) < retryAfter {
		return cause
	}
	_, err = s.giveUp(context.WithoutCancel(ctx), vms, g, cause)
	return err
}

// within returns a context that is interrupted after the time, as it is by a
// person: what is under way is then left so that it can be gone on with, where a
// deadline that has passed means that it has failed.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	short, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	timer := time.AfterFunc(limit, cancel)
	return short, func() {
		stop()
		timer.Stop()
		cancel()
	}
}
