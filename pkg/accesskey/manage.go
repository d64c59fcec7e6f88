package accesskey

import (
	"context"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// List returns the user's keys at VMS, in its order, with what the store knows
// of them. A list that is not positively understood is failure.Network.
func (s *Service) List(ctx context.Context) ([]Key, error) {
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return nil, err
	}
	remote, err := vms.Keys(ctx)
	if err != nil {
		return nil, err
	}
	it, err := s.d.Coordinator.Latest(ctx)
	if err != nil {
		return nil, err
	}
	here, now := s.machine(), s.d.Now()
	keys := make([]Key, 0, len(remote))
	for _, r := range remote {
		keys = append(keys, join(r, it, here, now))
	}
	return keys, nil
}

// join is a key as VMS and the item of its user know it.
func join(r Remote, it Item, here string, now time.Time) Key {
	k := Key{AccessKey: r.AccessKey, User: it.Identity.User, Tenant: it.Identity.Tenant, State: Foreign}
	if g, ok := it.Find(r.AccessKey); ok {
		k = storedKey(g, it.Identity, here, now)
	}
	k.Enabled = r.Enabled
	if !r.Created.IsZero() {
		k.Created, k.Age = r.Created, age(r.Created, now)
	}
	if r.User != "" {
		k.User = r.User
	}
	if r.Tenant != "" {
		k.Tenant = r.Tenant
	}
	return k
}

// Show returns one key. With the secret it must be stored here; the answer
// then needs no VMS, which never tells a secret again. Without it VMS is asked,
// and a key that it does not know is failure.NotFound.
func (s *Service) Show(ctx context.Context, id string, withSecret bool) (Key, error) {
	if err := CheckAccessKey(id); err != nil {
		return Key{}, err
	}
	if withSecret {
		it, err := s.d.Coordinator.Latest(ctx)
		if err != nil {
			return Key{}, err
		}
		if g, ok := it.Find(id); ok {
			return s.stored(g, s.machine()), nil
		}
		return Key{}, failure.New(failure.NotFound, "the secret of access key %s is not stored here", id).
			WithHint("VMS tells a secret once, to whoever issued the key")
	}
	keys, err := s.List(ctx)
	if err != nil {
		return Key{}, err
	}
	for _, k := range keys {
		if k.AccessKey == id {
			return k, nil
		}
	}
	return Key{}, s.unknown(id)
}

func (s *Service) unknown(id string) error {
	return failure.New(failure.NotFound, "%s has no access key %q", s.d.Identity, id).
		WithHint("valetkey keys list shows the keys there are")
}

// Deleted tells where a key was deleted.
type Deleted struct {
	AtVMS   bool // VMS had it
	InStore bool // the store had it
}

// Delete deletes a key at VMS and then in the store, so that it stops working
// even where the store cannot be written. A key that only the store has is
// removed from it; one that neither has is failure.NotFound.
func (s *Service) Delete(ctx context.Context, id string) (Deleted, error) {
	if err := CheckAccessKey(id); err != nil {
		return Deleted{}, err
	}
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return Deleted{}, err
	}
	var done Deleted
	err = vms.DeleteKey(ctx, id)
	switch {
	case err == nil:
		done.AtVMS = true
	case !failure.Is(err, failure.NotFound):
		return done, err // which names the key
	}
	it, readErr := s.d.Coordinator.Latest(ctx)
	_, done.InStore = it.Find(id)
	if readErr == nil && done.InStore {
		_, readErr = s.d.Coordinator.Update(ctx, func(it Item) (Item, error) { return it.Drop(id), nil })
	}
	switch {
	case readErr != nil && done.AtVMS:
		return Deleted{AtVMS: true}, failure.Annotate(readErr, "access key %s is deleted at VMS, but could not be removed from the store", id)
	case readErr != nil:
		return Deleted{}, readErr
	case !done.AtVMS && !done.InStore:
		return Deleted{}, s.unknown(id)
	}
	return done, nil
}
