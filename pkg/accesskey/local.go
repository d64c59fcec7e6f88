package accesskey

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
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
	p, release, err := l.lockToIssue(ctx)
	if err != nil {
		return nil, err
	}
	ctx = alone(ctx)
	c := &Claim{release: release, Timeout: r.Timeout}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if c.Item, err = l.Read(ctx); err != nil {
		return nil, err
	}
	if r.Satisfied != nil && r.Satisfied(c.Item) {
		c.Satisfied = true
		release()
		return c, nil
	}
	id := newID(l.o.Now())
	if wrote, err := l.save(ctx, c.Item.AddPending(id, p.Machine, l.o.Now())); err != nil {
		if wrote {
			l.restore(ctx, c.Item)
		}
		return nil, failure.Annotate(err, "prove the store before a key is issued (none was)")
	}
	if c.open, err = l.journal(ctx, r, id, p); err != nil {
		l.restore(ctx, c.Item)
		return nil, err
	}
	c.Entry = c.open.Entry
	c.release = sync.OnceFunc(func() { c.open.Leave(); release() })
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
	if _, err := l.save(alone(ctx), it); err != nil {
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

// account tells the entries that dead processes left which key was not theirs.
// They may belong to another store on this machine, whose reaping does not see
// the key in ours.
func (l *Local) account(before, after Item) {
	p, err := l.o.Places()
	if err != nil {
		return
	}
	j := Journal{p.JournalDir}
	open, err := j.Entries()
	if err != nil {
		return
	}
	for _, e := range open {
		if e.Alive || e.Identity != l.o.Identity || !e.KeysBefore.Known {
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
	l.restore(ctx, c.Item)
	return c.open.settle(o)
}

// Lend implements Coordinator.
func (l *Local) Lend(ctx context.Context, r Request) (*Loan, error) {
	p, unlock, err := l.lockToIssue(ctx)
	if err != nil {
		return nil, err
	}
	open, err := l.journal(ctx, r, newID(l.o.Now()), p)
	if err != nil {
		unlock()
		return nil, err
	}
	return &Loan{Entry: open.Entry, open: open, unlock: unlock}, nil
}

// Update implements Coordinator.
func (l *Local) Update(ctx context.Context, change func(Item) (Item, error)) (Item, error) {
	_, release, err := l.prepare(ctx)
	if err != nil {
		return Item{}, err
	}
	defer release()
	ctx = alone(ctx)
	before, err := l.Read(ctx)
	if err != nil {
		return Item{}, err
	}
	after, err := change(before)
	if err != nil {
		return Item{}, err
	}
	return after, l.replace(ctx, before, after)
}

// Review implements Coordinator.
func (l *Local) Review(ctx context.Context, look func(context.Context) error, change Judge) error {
	_, release, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
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
	return l.replace(ctx, before, after)
}

// Pending implements Coordinator.
func (l *Local) Pending(context.Context) ([]Entry, error) {
	p, err := l.o.Places()
	if err != nil {
		return nil, err
	}
	all, err := Journal{p.JournalDir}.Entries()
	if err != nil {
		return nil, err
	}
	var ours []Entry
	for _, e := range all {
		if e.Identity == l.o.Identity && e.Machine == p.Machine {
			e.Elsewhere = e.Store != "" && e.Store != l.o.Where
			ours = append(ours, e)
		}
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
func (l *Local) save(ctx context.Context, it Item) (wrote bool, err error) {
	raw, err := it.Encode()
	if err != nil {
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
	if failure.Is(err, failure.NotFound) || err == nil && !bytes.Equal(back, raw) {
		err = failure.New(failure.Store, "%s store: item %q does not come back as it was written", l.o.Store.Name(), name).
			WithDetail("store", l.o.Store.Name())
	}
	return true, err
}

// replace writes what has changed, and deletes what is empty.
func (l *Local) replace(ctx context.Context, before, after Item) error {
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
	case after.IsEmpty():
		err = l.o.Store.Delete(ctx, l.o.Identity.Item())
		if failure.Is(err, failure.NotFound) {
			return nil
		}
		return err
	}
	return l.o.Store.Put(ctx, l.o.Identity.Item(), raw)
}

// restore puts the item back as it was read, as far as that can be done: what
// stays is room for a key, which nobody hands out.
func (l *Local) restore(ctx context.Context, it Item) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	_ = l.replace(alone(ctx), Item{}, it.DropPending())
}

// ask makes the store ready to be used, which may mean to ask a person.
func (l *Local) ask(ctx context.Context) error {
	if asks, ok := l.o.Store.(interface{ Prepare(context.Context) error }); ok {
		return asks.Prepare(ctx)
	}
	return nil
}

// prepare makes the store ready to be used and takes the lock.
func (l *Local) prepare(ctx context.Context) (Places, func(), error) {
	if err := l.ask(ctx); err != nil {
		return Places{}, nil, err
	}
	return l.lock(ctx)
}

// lockToIssue takes the identity's lock, and the one that this machine has for
// all stores: the requests of one machine come one at a time, so that whoever
// stores a key can tell all entries of requests that did not make it.
func (l *Local) lockToIssue(ctx context.Context) (Places, func(), error) {
	p, release, err := l.lock(ctx)
	if err != nil || p.LockPath == p.MachineLock || p.MachineLock == "" {
		return p, release, err
	}
	p.LockPath, p.LockInState = p.MachineLock, true
	also, err := l.take(ctx, p)
	if err != nil {
		release()
		return p, nil, err
	}
	return p, sync.OnceFunc(func() { also(); release() }), nil
}

// lock waits for the identity's lock and returns what releases it.
func (l *Local) lock(ctx context.Context) (Places, func(), error) {
	p, err := l.o.Places()
	if err != nil {
		return Places{}, nil, err
	}
	release, err := l.take(ctx, p)
	return p, release, err
}

func (l *Local) take(ctx context.Context, p Places) (release func(), err error) {
	dir := filepath.Dir(p.LockPath)
	if err := durable.PrivateDir(dir); err != nil {
		return nil, l.lockTrouble(p, err, "create", dir)
	}
	if err := ctx.Err(); err != nil { // nobody is known to hold it
		return nil, failure.Wrap(failure.KindOf(err), err, "no time left to take the lock %s", p.LockPath)
	}
	ctx, cancel := context.WithTimeout(ctx, l.o.Wait)
	defer cancel()
	held, err := l.waitFor(ctx, p.LockPath)
	if err != nil {
		return nil, l.lockTrouble(p, err, "take the lock", p.LockPath)
	}
	return sync.OnceFunc(func() { _ = held.Release() }), nil
}

// waitFor takes the lock and says so when it takes long.
func (l *Local) waitFor(ctx context.Context, path string) (*durable.Held, error) {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	held, err := durable.Lock(short, path)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return held, err
	}
	l.o.Waiting("another valetkey that issues or changes a key of " + l.o.Identity.String())
	return durable.Lock(ctx, path)
}

// lockTrouble gives an error around the lock its kind. A lock that cannot be
// made beside the store is a store that cannot be written.
func (l *Local) lockTrouble(p Places, err error, verb, path string) error {
	store := l.o.Store.Name()
	switch {
	case errors.Is(err, context.Canceled):
		return failure.Wrap(failure.Cancelled, err, "wait for the lock %s", path)
	case errors.Is(err, context.DeadlineExceeded):
		return failure.New(failure.Store, "another valetkey holds the lock %s for too long", path).
			WithHint("see what it waits for, or give it more time with --timeout").
			WithDetail("store", store).WithDetail("reason", "timed_out").WithDetail("alternatives", []string{})
	case p.LockInState:
		return stateTrouble(err, verb, path)
	}
	var known *failure.Error
	if errors.As(err, &known) {
		return failure.Annotate(err, "%s store", store)
	}
	var onPath *fs.PathError
	if errors.As(err, &onPath) {
		err = onPath.Err
	}
	return failure.Wrap(failure.Store, err, "%s store: %s %s", store, verb, path).
		WithHint("VALETKEY_STORE_DIR names the directory of the store; VALETKEY_STORE another kind of store").
		WithDetail("store", store).WithDetail("reason", "read_only").WithDetail("alternatives", []string{"os"})
}

// newID returns an id that sorts by time and is never used twice.
func newID(at time.Time) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return at.UTC().Format("20060102150405") + "-" + hex.EncodeToString(b[:])
}
