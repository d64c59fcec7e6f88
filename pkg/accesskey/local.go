package accesskey

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

// Store is what the local coordinator needs of a key store: one named value.
// Get and Delete return failure.NotFound where there is none; a store that
// cannot be used returns failure.Store. Every call has a deadline of its own.
// A store that may have to ask a person first has a method
// Prepare(context.Context) error, too: it is called before a lock is taken.
type Store interface {
	Name() string
	Get(ctx context.Context, item string) ([]byte, error)
	Put(ctx context.Context, item string, value []byte) error
	Delete(ctx context.Context, item string) error
}

// Places says where the local coordinator keeps what is not secret.
type Places struct {
	Machine     string // id of this machine
	JournalDir  string // of this machine alone, though homes be shared
	MachineLock string // of this machine alone, for all stores
	LockPath    string // beside what it guards
	LockInState bool   // the lock lies in the state directory, not in the store's
}

// PlacesIn returns the places for an identity: the journal below this
// machine's own part of the state directory, the lock in lockDir, which is the
// directory of a file store; empty where the store has none and the keyring is
// this machine's alone: then the lock lies in the state directory, too.
func PlacesIn(stateDir, machine, lockDir string, id Identity) Places {
	own := filepath.Join(stateDir, "machines", durable.SafeName(machine))
	p := Places{Machine: machine, JournalDir: filepath.Join(own, "journal"), LockInState: lockDir == ""}
	p.MachineLock = filepath.Join(LocksIn(stateDir, machine), lockName(id))
	p.LockPath = p.MachineLock
	if !p.LockInState {
		p.LockPath = filepath.Join(lockDir, lockName(id))
	}
	return p
}

func lockName(id Identity) string { return durable.SafeName(id.Item()) + ".lock" }

type aloneKey struct{}

func alone(ctx context.Context) context.Context { return context.WithValue(ctx, aloneKey{}, true) }

// Alone reports whether a call of the store is made under the lock of an
// identity. Such calls come one at a time, others wait for them, and a store
// that lets its callers take turns need not let these wait again.
func Alone(ctx context.Context) bool { return ctx.Value(aloneKey{}) != nil }

// LocksIn is the directory of this machine's own locks in the state directory.
func LocksIn(stateDir, machine string) string {
	return filepath.Join(stateDir, "machines", durable.SafeName(machine), "locks")
}

// LocalOptions are the parts of a local coordinator.
type LocalOptions struct {
	Identity Identity
	Store    Store
	// Where tells the store from all others of this machine: its kind, and behind a
	// colon its directory if it has one. Empty is the name of the store.
	Where   string
	Places  func() (Places, error) // asked when something must be locked, not before
	Now     func() time.Time
	Wait    time.Duration     // longest wait for the lock; 0 is 30 s. The context may end it sooner.
	Waiting func(what string) // told when a wait has lasted a second; may be nil
	// Unreadable words the error of an item that is damaged or was written by a
	// newer valetkey as trouble of its store; nil leaves it.
	Unreadable func(error) error
	// Alternatives are the stores that may be used instead, the best one first.
	Alternatives []string
}

// Local coordinates the processes of one machine, and of machines that share
// the directory of a file store: a lock that dies with its process, a journal,
// and a store. Waiters take the winner's key; where the winner fails each
// waiter tries in turn, since what failed for one (a password, a proxy) need
// not fail for the next.
type Local struct{ o LocalOptions }

// NewLocal returns a local coordinator. It does no I/O.
func NewLocal(o LocalOptions) *Local {
	if o.Wait <= 0 {
		o.Wait = 30 * time.Second
	}
	if o.Waiting == nil {
		o.Waiting = func(string) {}
	}
	if o.Where == "" && o.Store != nil {
		o.Where = o.Store.Name()
	}
	return &Local{o}
}

// cleanup bounds what is still done after a context has ended.
const cleanup = 5 * time.Second

// Read implements Coordinator.
func (l *Local) Read(ctx context.Context) (Item, error) {
	raw, err := l.o.Store.Get(ctx, l.o.Identity.Item())
	if failure.Is(err, failure.NotFound) {
		return Item{Identity: l.o.Identity}, nil
	}
	if err != nil {
		return Item{}, err
	}
	it, err := DecodeItem(l.o.Identity, raw)
	if err != nil && l.o.Unreadable != nil {
		err = l.o.Unreadable(err)
	}
	return it, err
}

// Latest implements Coordinator.
func (l *Local) Latest(ctx context.Context) (Item, error) { return l.Read(ctx) }

// Lag implements Coordinator.
func (l *Local) Lag() time.Duration { return 0 }

// Begin implements Coordinator.
func (l *Local) Begin(ctx context.Context, r Request) (_ *Claim, err error) {
	if err := l.ask(ctx); err != nil {
		return nil, err
	}
	g, err := l.lockToIssue(ctx)
	if err != nil {
		return nil, err
	}
	ctx = alone(ctx)
	c := &Claim{grip: g, release: g.release, Timeout: r.Timeout}
	defer func() {
		if err != nil {
			g.release()
		}
	}()
	if c.Item, err = l.Read(ctx); err != nil {
		return nil, err
	}
	if r.Satisfied != nil && r.Satisfied(c.Item) {
		c.Satisfied = true
		g.release()
		return c, nil
	}
	id := newID(l.o.Now())
	if wrote, err := l.save(ctx, g, c.Item.AddPending(id, g.Machine, l.o.Now())); err != nil {
		if wrote {
			_ = l.restore(ctx, g, c.Item)
		}
		return nil, failure.Annotate(err, "prove the store before a key is issued (none was)")
	}
	if c.open, err = l.journal(ctx, r, id, g.Places); err != nil {
		_ = l.restore(ctx, g, c.Item)
		return nil, err
	}
	c.Entry = c.open.Entry
	c.release = sync.OnceFunc(func() { c.open.Leave(); g.release() })
	return c, nil
}

// journal looks at VMS and writes down what is about to be done.
func (l *Local) journal(ctx context.Context, r Request, id string, p Places) (*OpenEntry, error) {
	var seen Observation
	if r.Observe != nil {
		var err error
		if seen, err = r.Observe(ctx); err != nil {
			return nil, err
		}
	}
	now, store := l.o.Now(), l.o.Where
	if r.Intent == Ephemeral {
		store = ""
	}
	open, err := Journal{p.JournalDir}.Open(ctx, Entry{
		ID: id, Intent: r.Intent, Machine: p.Machine, Identity: l.o.Identity,
		Started: now, Deadline: now.Add(r.Timeout), ServerClock: seen.ServerClock, KeysBefore: seen.KeysBefore, Store: store,
	})
	return open, failureOf(err, "write the journal before a key is issued (none was)")
}

// Commit implements Coordinator.
func (l *Local) Commit(ctx context.Context, c *Claim, change func(Item) Item) (Item, error) {
	it := change(c.Item)
	if wrote, err := l.save(alone(ctx), c.grip, it); err != nil {
		// A key that is stored all the same must not be deleted: it would be
		// handed out. So the item is put back first.
		if (wrote || isTimeout(err)) && l.restore(ctx, c.grip, c.Item) != nil {
			_ = c.open.insist(strings.Join(news(c.Item, it), ""))
			err = fmt.Errorf("%w: %w", ErrMayBeStored, err)
		}
		return Item{}, err
	}
	// The key is safe. An entry that cannot be removed does no harm: its key
	// is found in the store. Until it is gone, no other store's reaping takes the
	// key for its own.
	l.account(c.Item, it)
	_ = c.open.Close()
	c.Release()
	return it, nil
}

// isTimeout reports whether a store may yet do what it was asked for.
func isTimeout(err error) bool { return failure.DetailsOf(err)["reason"] == "timed_out" }

// account tells the entries that dead processes left which key was not theirs.
// They may belong to another store on this machine, whose reaping does not see
// the key in ours.
func (l *Local) account(before, after Item) {
	p, err := l.o.Places()
	if err != nil {
		return
	}
	j := Journal{p.JournalDir}
	open, err := j.EntriesOf(l.o.Identity)
	if err != nil {
		return
	}
	for _, e := range open {
		if e.Alive || !e.KeysBefore.Known {
			continue
		}
		for _, g := range after.Live() {
			if _, old := before.Find(g.AccessKey); !old {
				e.KeysBefore.List = append(e.KeysBefore.List, g.AccessKey)
			}
		}
		_ = j.Settle(e)
	}
}

// Abort implements Coordinator.
func (l *Local) Abort(ctx context.Context, c *Claim, o Outcome) error {
	defer c.Release()
	_ = l.restore(ctx, c.grip, c.Item)
	return c.open.settle(o)
}

// Lend implements Coordinator.
func (l *Local) Lend(ctx context.Context, r Request) (*Loan, error) {
	g, err := l.lockToIssue(ctx)
	if err != nil {
		return nil, err
	}
	open, err := l.journal(ctx, r, newID(l.o.Now()), g.Places)
	if err != nil {
		g.release()
		return nil, err
	}
	return &Loan{Entry: open.Entry, open: open, unlock: g.release}, nil
}

// Update implements Coordinator.
func (l *Local) Update(ctx context.Context, change func(Item) (Item, error)) (Item, error) {
	g, err := l.prepare(ctx)
	if err != nil {
		return Item{}, err
	}
	defer g.release()
	ctx = alone(ctx)
	before, err := l.Read(ctx)
	if err != nil {
		return Item{}, err
	}
	after, err := change(before)
	if err != nil {
		return Item{}, err
	}
	return after, l.replace(ctx, g, before, after)
}

// Review implements Coordinator.
func (l *Local) Review(ctx context.Context, look func(context.Context) error, change Judge) error {
	g, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer g.release()
	if err := look(ctx); err != nil {
		return err
	}
	before, err := l.Read(ctx)
	if err != nil {
		return err
	}
	after, entries, err := change(before, func() ([]Entry, error) { return l.Pending(ctx) })
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := l.Settle(ctx, e); err != nil {
			return err
		}
	}
	return l.replace(ctx, g, before, after)
}

// Pending implements Coordinator.
func (l *Local) Pending(context.Context) ([]Entry, error) {
	p, err := l.o.Places()
	if err != nil {
		return nil, err
	}
	all, err := Journal{p.JournalDir}.EntriesOf(l.o.Identity)
	if err != nil {
		return nil, err
	}
	ours := slices.DeleteFunc(all, func(e Entry) bool { return e.Machine != p.Machine })
	for i, e := range ours {
		ours[i].Elsewhere = e.Store != "" && e.Store != l.o.Where
	}
	return ours, nil
}

// Settle implements Coordinator.
func (l *Local) Settle(_ context.Context, e Entry) error {
	p, err := l.o.Places()
	if err != nil {
		return err
	}
	return Journal{p.JournalDir}.Settle(e)
}

// save writes the item and makes sure that the store gives back what it took.
// It tells whether the store took it, whatever came after.
func (l *Local) save(ctx context.Context, g *grip, it Item) (wrote bool, err error) {
	raw, err := it.Encode()
	if err != nil {
		return false, err
	}
	if err := l.stillLocked(g); err != nil {
		return false, err
	}
	name := l.o.Identity.Item()
	if err := l.o.Store.Put(ctx, name, raw); err != nil {
		return false, err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) { // a passphrase takes a slow machine its time
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), cleanup)
		defer cancel()
	}
	back, err := l.o.Store.Get(ctx, name)
	if gone := l.stillLocked(g); gone != nil {
		return true, gone // and the store with it
	}
	if failure.Is(err, failure.NotFound) || err == nil && !bytes.Equal(back, raw) {
		err = failure.New(failure.Store, "%s store: item %q does not come back as it was written", l.o.Store.Name(), name).
			WithDetail("store", l.o.Store.Name())
	}
	return true, err
}

// replace writes what has changed, and deletes what is empty.
func (l *Local) replace(ctx context.Context, g *grip, before, after Item) error {
	old, err := before.Encode()
	if err != nil {
		return err
	}
	raw, err := after.Encode()
	switch {
	case err != nil:
		return err
	case bytes.Equal(old, raw):
		return nil
	}
	if err := l.stillLocked(g); err != nil {
		return err
	}
	if after.IsEmpty() {
		err = l.o.Store.Delete(ctx, l.o.Identity.Item())
		if failure.Is(err, failure.NotFound) {
			return nil
		}
		return err
	}
	if err := l.o.Store.Put(ctx, l.o.Identity.Item(), raw); err != nil {
		return err
	}
	return l.stillLocked(g) // or it was written where nobody may see it again
}

// restore puts the item back as it was read, as far as that can be done: what
// stays is room for a key, which nobody hands out.
func (l *Local) restore(ctx context.Context, g *grip, it Item) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	return l.replace(alone(ctx), g, Item{}, it.DropPending())
}

// newID returns an id that sorts by time and is never used twice.
func newID(at time.Time) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return at.UTC().Format("20060102150405") + "-" + hex.EncodeToString(b[:])
}
