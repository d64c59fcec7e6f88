package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

func TestLostAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		call string
		err  error
		kind failure.Kind
		keys int
	}{
		"made":        {"after post", failure.New(failure.Network, "connection reset"), failure.Network, 1},
		"not made":    {"before post", failure.New(failure.Network, "connection reset"), failure.Network, 0},
		"interrupted": {"after post", fmt.Errorf("post: %w", context.Canceled), failure.Cancelled, 1},
		"plain":       {"after post", errors.New("500"), failure.Network, 1},
	} {
		w := newWorld(t)
		w.vms.hook = once(c.call, 1, c.err)
		_, err := w.service().EnsureKey(t.Context())
		if !failure.Is(err, c.kind) || !strings.Contains(err.Error(), "whose secret nobody has") || !strings.Contains(failure.HintOf(err), "keys reap") || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %s", name, err, failure.HintOf(err))
		}
		if open := w.pending(t); len(open) != 1 || open[0].Alive {
			t.Errorf("%s: entries %+v", name, open)
		}
		if n := len(w.vms.state(t).Keys); n != c.keys {
			t.Errorf("%s: %d keys", name, n)
		}
		w.invariants(t, name)
	}
}

func TestARequestThatNeverLeftClosesTheIntent(t *testing.T) {
	w := newWorld(t)
	w.vms.hook = once("before post", 1, accesskey.NotIssued(failure.New(failure.Network, "connection refused")))
	_, err := w.service().EnsureKey(t.Context())
	if !failure.Is(err, failure.Network) || strings.Contains(err.Error(), "nobody has") || len(w.pending(t)) != 0 {
		t.Errorf("%v, %+v", err, w.pending(t))
	}
	if !w.item(t).IsEmpty() {
		t.Error("room was left in the store")
	}
}

// Whatever store call fails, at whatever step: nothing is lost silently, and
// the next try succeeds.
func TestTheStoreFailsAtEachStep(t *testing.T) {
	broken := failure.New(failure.Store, "gone").WithDetail("reason", "timed_out")
	for _, call := range []string{"before get", "after get", "before put", "after put"} {
		for n := 1; ; n++ {
			w := newWorld(t)
			if _, err := w.service().Create(t.Context()); err != nil {
				t.Fatal(err)
			}
			reached := false
			fail := once(call, n, broken)
			w.store.hook = func(c string) error {
				err := fail(c)
				reached = reached || err != nil
				return err
			}
			what := fmt.Sprintf("%s %d", call, n)
			_, err := w.service().Create(t.Context())
			if !reached {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				break
			}
			if !failure.Is(err, failure.Store) || failure.DetailsOf(err)["reason"] != "timed_out" {
				t.Errorf("%s: %v", what, err)
			}
			state := w.vms.state(t)
			if len(state.Keys) != 1 {
				t.Errorf("%s: keys at VMS: %v", what, state.Keys)
			}
			if _, ok := w.item(t).Find("AK1"); !ok {
				t.Errorf("%s: the key from before was lost", what)
			}
			if len(w.pending(t)) != 0 {
				t.Errorf("%s: entries %+v", what, w.pending(t))
			}
			w.invariants(t, what)
			w.store.hook = nil
			if _, err := w.service().Create(t.Context()); err != nil {
				t.Errorf("%s: the next try: %v", what, err)
			}
		}
	}
}

// The store dies while VMS answers, and VMS cannot be reached to undo it.
func TestAKeyThatIsLeftOver(t *testing.T) {
	w := newWorld(t)
	var dead bool
	w.vms.hook = func(call string) error {
		switch call {
		case "after post":
			dead = true
		case "delete":
			return failure.New(failure.Network, "unreachable")
		}
		return nil
	}
	w.store.hook = func(string) error {
		if dead {
			return failure.New(failure.Store, "gone")
		}
		return nil
	}
	_, err := w.service().EnsureKey(t.Context())
	if !failure.Is(err, failure.Store) || failure.DetailsOf(err)["access_key"] != "AK1" || !strings.Contains(failure.HintOf(err), "keys delete AK1") || strings.Contains(err.Error(), "secret/of") {
		t.Errorf("%v %v", err, failure.DetailsOf(err))
	}
	if open := w.pending(t); len(open) != 1 || open[0].AccessKey != "AK1" || open[0].Alive {
		t.Errorf("entries: %+v", open)
	}
	w.invariants(t, "left over")
}

// A store that returns something else than it took must be found out before a
// key is issued.
func TestAForgetfulStore(t *testing.T) {
	w := newWorld(t)
	w.store.Store = forgetful{w.store.Store}
	_, err := w.service().EnsureKey(t.Context())
	if !failure.Is(err, failure.Store) || w.vms.state(t).Posts != 0 {
		t.Errorf("%v, %d requests", err, w.vms.state(t).Posts)
	}
}

type forgetful struct{ accesskey.Store }

func (f forgetful) Put(ctx context.Context, item string, v []byte) error {
	return f.Store.Put(ctx, item, v[:len(v)-1])
}

// An interrupt at any step: either nothing was issued, or the key is stored, or
// the journal knows.
// A store that took its time has taken the key: it is looked at all the same.
func TestASlowStoreKeepsTheKey(t *testing.T) {
	w := newWorld(t)
	slow := &lateStore{Store: w.store.Store}
	w.store.Store = slow
	synctest.Test(t, func(t *testing.T) {
		if _, err := w.service().Credentials(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if slow.late != 1 {
		t.Errorf("%d writes were late", slow.late)
	}
	w.invariants(t, "a slow store")
}

// lateStore writes though the time is over, and reads nothing afterwards, as a
// file store does whose passphrase costs more time than there is.
type lateStore struct {
	accesskey.Store
	late int
}

func (s *lateStore) Put(ctx context.Context, item string, value []byte) error {
	if _, ok := ctx.Deadline(); ok { // the key that was just issued
		s.late++
		<-ctx.Done()
	}
	return s.Store.Put(context.WithoutCancel(ctx), item, value)
}

func TestCancelledAtEachStep(t *testing.T) {
	for step := 1; ; step++ {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		hook := func(string) error {
			if n++; n == step {
				cancel()
			}
			return nil
		}
		w.vms.hook, w.store.hook = hook, hook
		_, err := w.service().EnsureKey(ctx)
		cancel()
		if n < step {
			break
		}
		if err != nil && !failure.Is(err, failure.Cancelled) {
			t.Errorf("step %d: %v", step, err)
		}
		state := w.vms.state(t)
		if _, stored := w.item(t).Current(); stored != (len(state.Keys) == 1) {
			t.Errorf("step %d: stored %v, at VMS %v", step, stored, state.Keys)
		}
		if len(w.pending(t)) != 0 {
			t.Errorf("step %d: entries %+v", step, w.pending(t))
		}
		w.vms.hook, w.store.hook = nil, nil
		if _, err := w.service().EnsureKey(t.Context()); err != nil {
			t.Errorf("step %d: the next try: %v", step, err)
		}
		w.invariants(t, fmt.Sprint("step ", step))
	}
}

func TestWaitingForAnother(t *testing.T) {
	w := newWorld(t)
	p := accesskey.PlacesIn(filepath.Join(w.dir, "state"), w.machine, filepath.Join(w.dir, "store"), w.identity)
	if err := durable.PrivateDir(filepath.Dir(p.LockPath)); err != nil {
		t.Fatal(err)
	}
	held, err := durable.TryLock(p.LockPath)
	if err != nil {
		t.Fatal(err)
	}
	w.wait = 50 * time.Millisecond
	_, err = w.service().EnsureKey(t.Context())
	if !failure.Is(err, failure.Store) || failure.DetailsOf(err)["reason"] != "timed_out" || failure.HintOf(err) == "" {
		t.Errorf("a lock that is never free: %v", err)
	}
	var told string
	w.wait = time.Minute
	w.waiting = func(what string) { told = what; _ = held.Release() }
	if _, err := w.service().EnsureKey(t.Context()); err != nil || !strings.Contains(told, "alice") {
		t.Errorf("told %q, %v", told, err)
	}
}

func TestPlacesThatCannotBe(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(filepath.Join(w.dir, "store"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := w.service().EnsureKey(t.Context())
	if w.vms.state(t).Posts != 0 || err == nil {
		t.Errorf("no place for the lock: %v", err)
	}
	w = newWorld(t)
	if err := os.WriteFile(filepath.Join(w.dir, "state"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = w.service().EnsureKey(t.Context())
	if !failure.Is(err, failure.Config) || !strings.Contains(failure.HintOf(err), "VALETKEY_STATE_DIR") || w.vms.state(t).Posts != 0 {
		t.Errorf("no place for the journal: %v", err)
	}
	if !w.item(t).IsEmpty() {
		t.Error("room was left in the store")
	}
	own := accesskey.PlacesIn("s", "m", "", alice)
	if !own.LockInState || !strings.HasPrefix(own.LockPath, filepath.Join("s", "machines")) {
		t.Errorf("%+v", own)
	}
}

// A person who is asked must not keep others waiting.
func TestPromptsComeBeforeLocks(t *testing.T) {
	w := newWorld(t)
	lock := accesskey.PlacesIn(filepath.Join(w.dir, "state"), w.machine, filepath.Join(w.dir, "store"), w.identity).LockPath
	asked := errors.New("asked")
	c := accesskey.NewLocal(accesskey.LocalOptions{
		Identity: w.identity, Now: func() time.Time { return at },
		Store: asking{w.store, func() error {
			if _, err := os.Stat(lock); err == nil {
				t.Error("the lock was taken first")
			}
			return asked
		}},
		Places: func() (accesskey.Places, error) {
			return accesskey.PlacesIn(filepath.Join(w.dir, "state"), w.machine, filepath.Join(w.dir, "store"), w.identity), nil
		},
	})
	if _, err := c.Begin(t.Context(), accesskey.Request{}); !errors.Is(err, asked) {
		t.Error(err)
	}
}

type asking struct {
	accesskey.Store
	ask func() error
}

func (a asking) Prepare(context.Context) error { return a.ask() }
