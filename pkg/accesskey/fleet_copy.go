package accesskey

import (
	"context"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

const (
	// lookTime bounds the look at the document where a copy is at hand or
	// somebody waits for an answer.
	lookTime = 3 * time.Second
	// awayFor is how long the document is left alone after it did not answer.
	awayFor = time.Minute
)

// Read implements Coordinator: from the copy of this machine while that is
// fresh, else from the document, and from the copy again where that does not
// answer.
func (f *Fleet) Read(ctx context.Context) (Item, error) {
	it, ok := f.copied(ctx)
	_, usable := it.Current()
	now := f.o.Now()
	if age := now.Sub(it.Checked); ok && usable && age >= 0 && age < f.Lag() {
		return it, nil
	}
	if !ok || !usable {
		return f.first(ctx, now)
	}
	short, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	s, err := f.read(short)
	if err == nil {
		return f.seen(ctx, s), nil
	}
	if ctx.Err() != nil {
		return Item{}, err
	}
	f.o.Note("the key is handed out from the copy of this machine: %v", err)
	it.Checked = now.Add(awayFor - f.Lag())
	f.put(ctx, it)
	return it, nil
}

// first reads the document for a machine that has no copy: one process at a
// time, so that of a crowd the first asks and the others find its copy. Where
// nothing can be locked each asks for itself.
func (f *Fleet) first(ctx context.Context, began time.Time) (Item, error) {
	g, err := f.here.lock(ctx)
	switch {
	case err == nil:
		defer g.release()
	case ctx.Err() != nil:
		return Item{}, err
	}
	if it, ok := f.copied(ctx); ok && !it.Checked.Before(second(began)) && !it.Checked.After(f.o.Now()) {
		return it, nil
	}
	return f.Latest(ctx)
}

// Latest implements Coordinator.
func (f *Fleet) Latest(ctx context.Context) (Item, error) {
	s, err := f.read(ctx)
	if err != nil {
		return Item{}, err
	}
	return f.seen(ctx, s), nil
}

// seen copies what the document says, and returns it.
func (f *Fleet) seen(ctx context.Context, s seen) Item {
	it := s.doc.Item.DropPending()
	f.keep(ctx, it)
	return it
}

// Lag implements Coordinator.
func (f *Fleet) Lag() time.Duration { return f.o.Refresh / 2 }

// copyName is what the copy is stored as.
func (f *Fleet) copyName() string { return "fleet/" + f.o.Identity.Item() }

// copied reads the copy. One that is not there, or cannot be read, or was
// written by a newer valetkey, is none: the document is the original.
func (f *Fleet) copied(ctx context.Context) (Item, bool) {
	if f.o.Copy == nil {
		return Item{}, false
	}
	raw, err := f.o.Copy.Get(ctx, f.copyName())
	if err != nil {
		return Item{}, false
	}
	it, err := DecodeItem(f.o.Identity, raw)
	return it, err == nil
}

// keep writes what the document says now into the copy.
func (f *Fleet) keep(ctx context.Context, it Item) {
	it.Checked = f.o.Now()
	f.put(ctx, it)
}

// put writes the copy, without a claim, which is nothing to hand out. That it
// cannot be written costs speed alone.
func (f *Fleet) put(ctx context.Context, it Item) {
	if f.o.Copy == nil {
		return
	}
	if _, usable := it.Current(); !usable {
		if _, ok := f.copied(ctx); !ok {
			return
		}
		if err := f.o.Copy.Delete(ctx, f.copyName()); err != nil && !failure.Is(err, failure.NotFound) {
			f.o.Note("the copy of the key on this machine could not be removed: %v", err)
		}
		return
	}
	raw, err := it.DropPending().Encode()
	if err == nil {
		err = f.o.Copy.Put(ctx, f.copyName(), raw)
	}
	if err != nil {
		f.o.Note("the key could not be copied to this machine, which makes the next call slower: %v", err)
	}
}

// changed is called after the document was changed: the copy follows, and old
// versions, which may hold the secrets of keys that are gone, are destroyed.
// What fails is done at the next change.
func (f *Fleet) changed(ctx context.Context, s seen) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	f.keep(ctx, s.doc.Item)
	if !s.wrote || s.number < 2 {
		return
	}
	if err := f.o.Document.Purge(ctx, s.number); err != nil {
		f.o.Note("old versions of the shared document could not be destroyed; they may hold secrets of deleted keys: %v", err)
	}
}

// sibling returns what another process of this machine has just got, so that
// of many that waited for it not each asks the document. A rotation looks for
// itself: for it an older item is not as good as a new one.
func (f *Fleet) sibling(ctx context.Context, began time.Time, r Request) (Item, bool) {
	if r.Satisfied == nil || r.Intent != Issue {
		return Item{}, false
	}
	it, ok := f.copied(ctx)
	if !ok || it.Checked.Before(second(began)) || it.Checked.After(f.o.Now()) || !r.Satisfied(it) {
		return Item{}, false
	}
	return it, true
}
