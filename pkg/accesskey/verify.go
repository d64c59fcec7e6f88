package accesskey

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// standing is what is known of a stored key.
type standing int

const (
	unknown  standing = iota // nobody could be asked, or understood
	working                  // S3 takes it, or VMS lists it as enabled
	disabled                 // VMS lists it as disabled
	missing                  // VMS lists the keys, and not this one
	refused                  // S3 does not know it, and VMS says nothing
)

// checkFor is how long each of the two services is asked about a key.
const checkFor = 4 * time.Second

// Verified returns credentials as [Service.Fresh] does, of a key that is known to
// work, or of which nothing is known.
//
// A key that VMS positively does not have any more is dropped from the store and
// replaced by a new one, once for all processes. One that only S3 does not know,
// while VMS cannot tell, is rotated, since s3.endpoint may be another cluster's:
// the new key must be proven there before it takes the old one's place. A key
// that was disabled is not replaced, which would undo what an administrator did:
// failure.Forbidden.
func (s *Service) Verified(ctx context.Context) (Credentials, error) {
	read := s.d.Coordinator.Read
	for range 4 { // an item holds no more keys that may be dead
		it, err := read(ctx) // before VMS is asked: a list must have what was stored before it
		if err != nil {
			return Credentials{}, err
		}
		g, ok := it.Current()
		if !ok {
			if g, _, err = s.issueMissing(ctx); err != nil {
				return Credentials{}, err
			}
			return s.handOut(ctx, g), nil
		}
		state, list, err := s.standing(ctx, g)
		if ended := ctx.Err(); errors.Is(ended, context.Canceled) {
			return Credentials{}, ended
		}
		switch state {
		case disabled:
			return Credentials{}, failure.New(failure.Forbidden, "access key %s of %s was disabled at VMS", g.AccessKey, s.d.Identity).
				WithHint("ask an administrator to enable it")
		case missing:
			if err := s.bury(ctx, g.AccessKey, list); err != nil {
				return Credentials{}, err
			}
			read = s.d.Coordinator.Latest // a copy that cannot be written stays as it was
			continue
		case refused:
			s.supplant(ctx, it, g)
		case unknown:
			s.d.Note("whether access key %s still works is not known: %s", g.AccessKey, inWords(err))
		case working:
		}
		return s.Fresh(ctx)
	}
	return Credentials{}, failure.New(failure.Conflict, "the stored keys of %s change faster than they can be verified", s.d.Identity).
		WithHint("try again")
}

// standing asks S3, which says most with the least, and then VMS.
func (s *Service) standing(ctx context.Context, g Generation) (standing, []Remote, error) {
	asked, err := s.askS3(ctx, g)
	if asked == working {
		return working, nil, nil
	}
	vms, vmsErr := s.d.VMS(ctx)
	if vmsErr != nil {
		return asked, nil, errors.Join(err, vmsErr)
	}
	short, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	list, vmsErr := vms.Keys(short)
	if vmsErr != nil {
		return asked, nil, errors.Join(err, vmsErr)
	}
	i := slices.IndexFunc(list, func(k Remote) bool { return k.AccessKey == g.AccessKey })
	switch {
	case i < 0:
		return missing, list, nil
	case !list[i].Enabled:
		return disabled, list, nil
	}
	return working, list, nil
}

func (s *Service) askS3(ctx context.Context, g Generation) (standing, error) {
	proof, err := s.prover()
	if err != nil || proof == nil {
		return unknown, err
	}
	short, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	err = proof(short, Credentials{AccessKey: g.AccessKey, SecretKey: g.SecretKey})
	switch {
	case err == nil:
		return working, nil
	case errors.Is(err, ErrKeyRefused) && failure.Is(err, failure.NotFound):
		return refused, err
	}
	return unknown, err
}

// bury drops a dead key from the store. A rotation that had stored its successor
// ends here: VMS lists it, and there is nothing to fall back to.
func (s *Service) bury(ctx context.Context, dead string, list []Remote) error {
	first := false
	_, err := s.d.Coordinator.Update(ctx, func(it Item) (Item, error) {
		_, first = it.Find(dead)
		it = it.Drop(dead)
		if _, ok := it.Current(); ok {
			return it, nil
		}
		if g, ok := it.Staged(); ok && slices.ContainsFunc(list, func(k Remote) bool { return k.AccessKey == g.AccessKey && k.Enabled }) {
			it = it.Promote(g.AccessKey, s.d.Now(), s.d.Grace)
		}
		return it, nil
	})
	if err == nil && first {
		s.d.Note("access key %s was deleted at VMS, and is dropped from the store", dead)
	}
	return failureOf(err, "drop access key %s, which was deleted at VMS, from the store", dead)
}

// supplant rotates a key that S3 does not know. It is one try of those that age
// has, and all processes end with its result.
func (s *Service) supplant(ctx context.Context, it Item, g Generation) {
	now := s.d.Now()
	if it.resting(now) || !g.Created.IsZero() && s.age(g.Created) < retryAfter {
		return // it may not have spread yet
	}
	short, cancel := within(ctx, tryFor)
	defer cancel()
	err := func() error {
		proof, err := s.prover()
		if err != nil {
			return err
		}
		vms, err := s.d.VMS(short)
		if err != nil {
			return err
		}
		if _, err = s.replace(short, vms, proof, g.AccessKey, RotateOptions{unasked: true}); err != nil {
			return s.forsake(short, vms, err)
		}
		return nil
	}()
	if err == nil {
		s.d.Note("S3 does not know access key %s, and a new one takes its place", g.AccessKey)
		return
	}
	s.d.Note("S3 does not know access key %s, and it could not be replaced: %s", g.AccessKey, inWords(err))
	_, _ = s.d.Coordinator.Update(ctx, func(it Item) (Item, error) {
		it.NextTry = now.Add(retryAfter)
		return it, nil
	})
}
