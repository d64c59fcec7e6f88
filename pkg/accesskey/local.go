package accesskey

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
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

// grip is the identity's lock as it is held.
type grip struct {
	Places
	held    *durable.Held
	also    *grip  // the lock of the machine, where it is another one; nil is none
	release func() // idempotent, of both
}

// ask makes the store ready to be used, which may mean to ask a person.
func (l *Local) ask(ctx context.Context) error {
	if asks, ok := l.o.Store.(interface{ Prepare(context.Context) error }); ok {
		return asks.Prepare(ctx)
	}
	return nil
}

// prepare makes the store ready to be used and takes the lock.
func (l *Local) prepare(ctx context.Context) (*grip, error) {
	if err := l.ask(ctx); err != nil {
		return nil, err
	}
	return l.lock(ctx)
}

// lockToIssue takes the identity's lock, and the one that this machine has for
// all stores: the requests of one machine come one at a time, so that whoever
// stores a key can tell all entries of requests that did not make it.
func (l *Local) lockToIssue(ctx context.Context) (*grip, error) {
	g, err := l.lock(ctx)
	if err != nil || g.LockPath == g.MachineLock || g.MachineLock == "" {
		return g, err
	}
	p := g.Places
	p.LockPath, p.LockInState = p.MachineLock, true
	also, err := l.take(ctx, p)
	if err != nil {
		g.release()
		return nil, err
	}
	g.also = also
	first := g.release
	g.release = sync.OnceFunc(func() { also.release(); first() })
	return g, nil
}

// lock waits for the identity's lock.
func (l *Local) lock(ctx context.Context) (*grip, error) {
	p, err := l.o.Places()
	if err != nil {
		return nil, err
	}
	return l.take(ctx, p)
}

func (l *Local) take(ctx context.Context, p Places) (*grip, error) {
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
	return &grip{Places: p, held: held, release: sync.OnceFunc(func() { _ = held.Release() })}, nil
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

// stillLocked refuses to write what somebody else may write at the same time: the
// directory that the lock lies in was removed, or another one mounted over it. A
// key that was just issued is then deleted again, for nobody knows where it
// would be stored.
func (l *Local) stillLocked(g *grip) error {
	if g.held.InPlace() {
		if g.also != nil {
			return l.stillLocked(g.also)
		}
		return nil
	}
	const gone = "the lock %s was removed while it was held"
	if g.LockInState {
		return failure.New(failure.Config, "state directory: "+gone, g.LockPath).WithHint(stateHint)
	}
	store := l.o.Store.Name()
	return failure.New(failure.Store, "%s store: "+gone, store, g.LockPath).
		WithHint("see what became of the directory of the store, and try again").
		WithDetail("store", store).WithDetail("reason", "absent").WithDetail("alternatives", l.alternatives())
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
	hint := "VALETKEY_STORE_DIR names the directory of the store"
	if other := l.alternatives(); len(other) > 0 {
		hint += "; --store " + other[0] + " or VALETKEY_STORE=" + other[0] + " another store"
	}
	return failure.Wrap(failure.Store, durable.Words(err), "%s store: %s %s", store, verb, path).
		WithHint("%s", hint).
		WithDetail("store", store).WithDetail("reason", "read_only").WithDetail("alternatives", l.alternatives())
}

// alternatives are never nil, as in all errors of a store.
func (l *Local) alternatives() []string { return append([]string{}, l.o.Alternatives...) }

// newID returns an id that sorts by time and is never used twice.
func newID(at time.Time) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return at.UTC().Format("20060102150405") + "-" + hex.EncodeToString(b[:])
}
