package accesskey

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// Census joins the keys of many users to what a store knows of them, in flat
// memory. Whose keys a store has cannot be listed, so it is asked for each user
// by name; a key is foreign if it is not found under the name of its user.
type Census struct {
	VMS     string // as in [Identity]
	Machine func() (string, error)
	Now     func() time.Time
	// Read returns the item of an identity, an empty one if there is none. It
	// is called for every user, so it should be cheap where nothing is stored.
	Read func(context.Context, Identity) (Item, error)
}

// Keys iterates over the keys in the order in which they come. The first error,
// of the keys or of the store, ends it.
func (c Census) Keys(ctx context.Context, keys iter.Seq2[Remote, error]) iter.Seq2[Key, error] {
	return func(yield func(Key, error) bool) {
		here, err := c.Machine()
		if err != nil {
			here = ""
		}
		for r, err := range keys {
			var it Item
			if err == nil {
				it, err = c.find(ctx, r)
			}
			if err != nil {
				yield(Key{}, err)
				return
			}
			if !yield(join(r, it, here, c.Now()), nil) {
				return
			}
		}
	}
}

// find looks for the key where its issuer would have stored it: under the tenant
// by name or under none, and under the plain name of the user or, if that is
// another's too, as a local one. No two users have a key in common, so whichever
// has it is right.
func (c Census) find(ctx context.Context, r Remote) (Item, error) {
	names := []string{r.User, Who{Name: r.User, Local: true}.String()}
	tenants := []string{""}
	if r.Tenant != "" {
		tenants = append(tenants, r.Tenant)
	}
	for _, tenant := range tenants {
		for _, name := range names {
			it, err := c.Read(ctx, Identity{VMS: c.VMS, Tenant: tenant, User: name})
			if err != nil {
				return Item{}, err
			}
			if _, ok := it.Find(r.AccessKey); ok {
				return it, nil
			}
		}
	}
	return Item{}, nil
}

// Touched tells which identities anything can be stored of: their lock was made
// before that, and locks stay. It saves a store a question about every user of a
// cluster, most of whom it has never heard of. The places are those of any
// identity of the store.
func (p Places) Touched() (func(Identity) bool, error) {
	entries, err := os.ReadDir(filepath.Dir(p.LockPath))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	locks := make(map[string]bool, len(entries))
	for _, e := range entries {
		locks[e.Name()] = true
	}
	return func(id Identity) bool { return locks[lockName(id)] }, nil
}
