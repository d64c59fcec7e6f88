package accesskey

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

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
