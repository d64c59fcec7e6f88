package accesskey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/secret"
)

// cluster is a VMS whose keys lie in a file, so that processes share it. The
// hook is called around every call, with its name, and may fail or not return.
type cluster struct {
	path  string
	hook  func(call string) error
	clock time.Time // zero is at

	afterList func() // called once; may be nil
}

func (c *cluster) now() time.Time {
	if c.clock.IsZero() {
		return at
	}
	return c.clock
}

type clusterState struct {
	Posts   int
	Times   int      // how often it was asked the time
	Keys    []string // in order of creation
	Created map[string]time.Time
}

func secretOf(id string) string { return "secret/of+" + id }

func (c *cluster) change(do func(*clusterState) error) error {
	held, err := durable.Lock(context.Background(), c.path+".lock")
	if err != nil {
		return err
	}
	defer func() { _ = held.Release() }()
	s := clusterState{Created: map[string]time.Time{}}
	if raw, err := os.ReadFile(c.path); err == nil {
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
	}
	if err := do(&s); err != nil {
		return err
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(c.path, raw, 0o600)
}

func (c *cluster) state(t *testing.T) (s clusterState) {
	t.Helper()
	if err := c.change(func(now *clusterState) error { s = *now; return nil }); err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *cluster) at(call string) error {
	if c.hook == nil {
		return nil
	}
	return c.hook(call)
}

func (c *cluster) CreateKey(ctx context.Context) (string, secret.Text, error) {
	if err := c.at("before post"); err != nil {
		return "", secret.Text{}, err
	}
	if err := ctx.Err(); err != nil {
		return "", secret.Text{}, accesskey.NotIssued(err)
	}
	var id string
	err := c.change(func(s *clusterState) error {
		s.Posts++
		if len(s.Keys) >= 2 {
			return accesskey.NotIssued(failure.New(failure.KeyLimit, "A user cannot have more than two access keys"))
		}
		id = fmt.Sprintf("AK%d", s.Posts)
		s.Keys, s.Created[id] = append(s.Keys, id), c.now()
		return nil
	})
	if err != nil {
		return "", secret.Text{}, err
	}
	if err := c.at("after post"); err != nil {
		return "", secret.Text{}, err
	}
	return id, secret.FromString(secretOf(id)), nil
}

func (c *cluster) Keys(context.Context) ([]accesskey.Remote, error) {
	if err := c.at("list"); err != nil {
		return nil, err
	}
	var list []accesskey.Remote
	err := c.change(func(s *clusterState) error {
		for _, id := range s.Keys {
			list = append(list, accesskey.Remote{AccessKey: id, Enabled: true, Created: s.Created[id]})
		}
		return nil
	})
	if do := c.afterList; do != nil {
		c.afterList = nil
		do()
	}
	return list, err
}

func (c *cluster) DeleteKey(_ context.Context, id string) error {
	if err := c.at("delete"); err != nil {
		return err
	}
	return c.change(func(s *clusterState) error {
		i := slices.Index(s.Keys, id)
		if i < 0 {
			return failure.New(failure.NotFound, "no key %s", id)
		}
		s.Keys = slices.Delete(s.Keys, i, i+1)
		return nil
	})
}

func (c *cluster) ServerTime(context.Context) (time.Time, error) {
	if err := c.at("time"); err != nil {
		return time.Time{}, err
	}
	err := c.change(func(s *clusterState) error { s.Times++; return nil })
	return c.now().Add(-3 * time.Second), err
}

// shop is a store with a hook around every call.
type shop struct {
	accesskey.Store
	hook func(call string) error
}

func (s *shop) at(call string) error {
	if s.hook == nil {
		return nil
	}
	return s.hook(call)
}

func (s *shop) Get(ctx context.Context, item string) ([]byte, error) {
	if err := s.at("before get"); err != nil {
		return nil, err
	}
	raw, err := s.Store.Get(ctx, item)
	if err := s.at("after get"); err != nil {
		return nil, err
	}
	return raw, err
}

func (s *shop) Put(ctx context.Context, item string, value []byte) error {
	if err := s.at("before put"); err != nil {
		return err
	}
	if err := s.Store.Put(ctx, item, value); err != nil {
		return err
	}
	return s.at("after put")
}

func (s *shop) Delete(ctx context.Context, item string) error {
	if err := s.at("before store delete"); err != nil {
		return err
	}
	if err := s.Store.Delete(ctx, item); err != nil {
		return err
	}
	return s.at("after store delete")
}

// world is one machine, one cluster and one store.
type world struct {
	dir      string
	identity accesskey.Identity
	vms      *cluster
	remote   accesskey.VMSKeys // nil is vms
	store    *shop
	refresh  time.Duration
	now      time.Time
	waiting  func(string)
	machine  string
	where    string // empty is the name of the store
	wait     time.Duration
	prove    accesskey.Proof
	maxAge   time.Duration
	notes    []string
	slept    []time.Duration
	patience int // so many sleeps end in time; 0 is no limit
	onSleep  func()
}

// later moves all clocks.
func (w *world) later(d time.Duration) {
	w.now = w.now.Add(d)
	w.vms.clock = w.vms.now().Add(d)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return worldIn(t.TempDir(), keystore.NewMemory())
}

func worldIn(dir string, store accesskey.Store) *world {
	return &world{
		dir: dir, identity: alice, refresh: time.Hour, now: at, machine: "here",
		vms: &cluster{path: filepath.Join(dir, "vms.json")}, store: &shop{Store: store},
	}
}

func (w *world) coordinator() *accesskey.Local {
	return accesskey.NewLocal(accesskey.LocalOptions{
		Identity: w.identity, Store: w.store, Now: func() time.Time { return w.now }, Waiting: w.waiting, Wait: w.wait, Where: w.where,
		Places: func() (accesskey.Places, error) {
			return accesskey.PlacesIn(filepath.Join(w.dir, "state"), w.machine, filepath.Join(w.dir, "store"), w.identity), nil
		},
	})
}

func (w *world) service() *accesskey.Service { return w.serviceWith(func(*accesskey.Deps) {}) }

func (w *world) serviceWith(change func(*accesskey.Deps)) *accesskey.Service {
	d := accesskey.Deps{
		Identity: w.identity, Coordinator: w.coordinator(), Refresh: w.refresh,
		VMS: func(context.Context) (accesskey.VMSKeys, error) {
			if w.remote != nil {
				return w.remote, nil
			}
			return w.vms, nil
		},
		Machine: func() (string, error) { return w.machine, nil },
		Now:     func() time.Time { return w.now },
		Prover:  func() (accesskey.Proof, error) { return w.prove, nil },
		Grace:   24 * time.Hour, MaxAge: w.maxAge,
		Note: func(format string, args ...any) { w.notes = append(w.notes, fmt.Sprintf(format, args...)) },
		Sleep: func(ctx context.Context, d time.Duration) error {
			w.slept = append(w.slept, d)
			w.later(d)
			if w.onSleep != nil {
				w.onSleep()
			}
			if w.patience > 0 && len(w.slept) >= w.patience {
				return context.DeadlineExceeded
			}
			return ctx.Err()
		},
	}
	change(&d)
	return accesskey.New(d)
}

// item is what the store holds, whatever the hooks say.
func (w *world) item(t *testing.T) accesskey.Item {
	t.Helper()
	raw, err := w.store.Store.Get(context.Background(), w.identity.Item())
	if failure.Is(err, failure.NotFound) {
		return accesskey.Item{Identity: w.identity}
	}
	if err != nil {
		t.Fatal(err)
	}
	it, err := accesskey.DecodeItem(w.identity, raw)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func (w *world) pending(t *testing.T) []accesskey.Entry {
	t.Helper()
	list, err := w.coordinator().Pending(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// invariants are what holds after any call, death or failure: what is stored
// works or is known to be gone, and a key that VMS has and the store has not is
// explained by an open journal entry that nobody holds.
func (w *world) invariants(t *testing.T, what string, foreign ...string) {
	t.Helper()
	state, it, open := w.vms.state(t), w.item(t), w.pending(t)
	for _, g := range it.Live() {
		if g.SecretKey.Reveal() != secretOf(g.AccessKey) {
			t.Errorf("%s: the stored secret of %s is wrong", what, g.AccessKey)
		}
		if !slices.Contains(state.Keys, g.AccessKey) && !slices.Contains(foreign, g.AccessKey) {
			t.Errorf("%s: %s is stored and dead", what, g.AccessKey)
		}
	}
	for _, id := range state.Keys {
		if _, stored := it.Find(id); stored || slices.Contains(foreign, id) {
			continue
		}
		explained := slices.ContainsFunc(open, func(e accesskey.Entry) bool {
			from, to, ok := e.Window()
			created := state.Created[id]
			inside := !ok || !created.Before(from) && !created.After(to)
			return !e.Alive && inside && !slices.Contains(e.KeysBefore.List, id)
		})
		if !explained {
			t.Errorf("%s: %s is at VMS, in no store and in no journal: %+v", what, id, open)
		}
	}
}

// once fails the n-th call of a name.
func once(call string, n int, err error) func(string) error {
	var mu sync.Mutex
	return func(got string) error {
		mu.Lock()
		defer mu.Unlock()
		if got == call {
			if n--; n == 0 {
				return err
			}
		}
		return nil
	}
}
