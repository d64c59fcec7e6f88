package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

func TestFleetSharesOneKey(t *testing.T) {
	w := newFleetWorld(t)
	for i := range 3 {
		m := w.member(fmt.Sprint("m", i))
		key, isNew, err := m.CreateIfMissing(t.Context())
		if err != nil || key.AccessKey != "AK1" || key.SecretKey.Reveal() != secretOf("AK1") || isNew != (i == 0) || key.IssuedHere != (i == 0) {
			t.Errorf("machine %d: %+v, %v, %v", i, key, isNew, err)
		}
		if len(m.notes) > 0 {
			t.Errorf("notes %q", m.notes)
		}
	}
	d := w.doc(t)
	if w.posts != 1 || len(d.Journal) != 0 || len(d.Item.Keys) != 1 {
		t.Errorf("%d requests, %+v", w.posts, d)
	}
	w.check(t, "three machines")
}

// Many processes of many machines at once.
func TestFleetAtOnce(t *testing.T) {
	w := newFleetWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	w.decide = func(string, string) fate { runtime.Gosched(); return fine }
	for i := range 20 {
		m := w.member(fmt.Sprint("m", i))
		wg.Go(func() {
			key, err := m.EnsureKey(context.Background())
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprint(key.AccessKey, err)]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"AK1<nil>": 20}, got); diff != "" || w.posts != 1 {
		t.Errorf("%d requests\n%s", w.posts, diff)
	}
}

// While the copy is fresh, nothing but it is read.
func TestFleetCopy(t *testing.T) {
	w := newFleetWorld(t)
	m, other := w.member("here"), w.member("there")
	if _, err := m.EnsureKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls, away := 0, fine
	w.decide = func(string, string) fate { calls++; return away }
	read := func(what string, want int) {
		t.Helper()
		calls = 0
		if key, err := m.EnsureKey(t.Context()); err != nil || key.AccessKey != "AK1" || calls != want {
			t.Errorf("%s: %s, %v, %d calls", what, key.AccessKey, err, calls)
		}
	}
	read("fresh", 0)
	w.later(29 * time.Minute)
	read("still fresh", 0)
	w.later(2 * time.Minute)
	read("not fresh", 1)
	read("fresh again", 0)
	w.later(-time.Hour)
	read("copied in the future", 1)
	w.later(31 * time.Minute)
	away = refused
	read("vault is away", 1)
	read("and left alone", 0)
	if len(m.notes) != 1 || !strings.Contains(m.notes[0], "copy of this machine") {
		t.Errorf("notes %q", m.notes)
	}
	w.later(61 * time.Second)
	read("for a minute", 1)
	// A machine without a copy has nothing to answer from.
	if _, err := other.EnsureKey(t.Context()); !errors.Is(err, errGone) {
		t.Error(err)
	}
	// A copy that cannot be written, read or understood costs speed alone.
	away = fine
	for what, hook := range map[string]func(string) error{
		"locked":   func(string) error { return failure.New(failure.Store, "locked") },
		"readonly": once("before put", 1, failure.New(failure.Store, "read-only")),
	} {
		m.copy.hook = hook
		w.later(time.Hour)
		m.notes = nil
		if key, err := m.EnsureKey(t.Context()); err != nil || key.AccessKey != "AK1" || len(m.notes) == 0 {
			t.Errorf("%s: %v, %q", what, err, m.notes)
		}
		m.copy.hook = nil
	}
	if err := m.copy.Put(t.Context(), "fleet/"+alice.Item(), []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	read("rubbish", 1)
	read("written anew", 0)
}

// A key is kept after its replacement for as long as a copy may hand it out.
func TestFleetReckonsWithCopies(t *testing.T) {
	w := newFleetWorld(t)
	m := w.member("here")
	if _, err := m.Credentials(t.Context()); err != nil {
		t.Fatal(err)
	}
	g, _ := w.doc(t).Item.Current()
	if g.LongestRefresh != 90*time.Minute {
		t.Errorf("longest refresh %v", g.LongestRefresh)
	}
	if c, err := m.Credentials(t.Context()); err != nil || !c.Expires.Equal(w.now.Add(time.Hour)) {
		t.Errorf("%v, %v", c.Expires, err)
	}
}

// A rotation on one machine reaches the others, and looks past their copies.
func TestFleetRotates(t *testing.T) {
	w := newFleetWorld(t)
	a, b := w.member("a"), w.member("b")
	for _, m := range []*member{a, b} {
		if _, err := m.EnsureKey(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := a.Rotate(t.Context(), accesskey.RotateOptions{})
	if err != nil || r.New.AccessKey != "AK2" || r.Old == nil || r.Old.AccessKey != "AK1" {
		t.Fatalf("%+v, %v", r, err)
	}
	if key, err := b.EnsureKey(t.Context()); err != nil || key.AccessKey != "AK1" {
		t.Errorf("from the copy: %s, %v", key.AccessKey, err)
	}
	// The machine whose copy is old rotates what is current, not what it thinks is.
	if _, err := b.Rotate(t.Context(), accesskey.RotateOptions{}); !failure.Is(err, failure.KeyLimit) {
		t.Errorf("a rotation right after another: %v", err)
	}
	if key, err := b.EnsureKey(t.Context()); err != nil || key.AccessKey != "AK2" {
		t.Errorf("after a look: %s, %v", key.AccessKey, err)
	}
	w.later(25 * time.Hour)
	before := len(w.versions)
	list, err := b.Reap(t.Context(), accesskey.ReapOptions{})
	if err != nil || actions(list) != "deleted AK1" || w.purged <= before {
		t.Errorf("%s, %v; purged before %d of %d", actions(list), err, w.purged, len(w.versions))
	}
	w.check(t, "rotated and reaped")
}

// A purge that fails is a note, and is made up for at the next change.
func TestFleetPurges(t *testing.T) {
	w := newFleetWorld(t)
	m := w.member("here")
	if _, err := m.EnsureKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.decide = func(_, call string) fate {
		if call == "purge" {
			return refused
		}
		return fine
	}
	purged := w.purged
	if _, err := m.Delete(t.Context(), "AK1"); err != nil || w.purged != purged || len(m.notes) != 1 || !strings.Contains(m.notes[0], "old versions") {
		t.Errorf("%v, %q", err, m.notes)
	}
	w.decide = func(string, string) fate { return fine }
	if _, err := m.EnsureKey(t.Context()); err != nil || w.purged != len(w.versions) {
		t.Errorf("%v, purged before %d of %d", err, w.purged, len(w.versions))
	}
}

// A machine dies at each of its calls, before or after it took effect. The
// others go on, and nothing is lost.
func TestFleetDeathAtEachStep(t *testing.T) {
	for _, do := range []string{"ensure", "rotate", "reap"} {
		for _, how := range []fate{neverAgain, neverReturn} {
			for step := 1; ; step++ {
				w := newFleetWorld(t)
				setup := w.member("setup")
				if do != "ensure" {
					if _, err := setup.EnsureKey(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if do == "reap" {
					if _, err := setup.Rotate(t.Context(), accesskey.RotateOptions{}); err != nil {
						t.Fatal(err)
					}
					w.later(25 * time.Hour)
				}
				victim := w.member("victim")
				if !w.dies(victim, step, how, func() {
					switch do {
					case "ensure":
						_, _ = victim.EnsureKey(context.Background())
					case "rotate":
						_, _ = victim.Rotate(context.Background(), accesskey.RotateOptions{})
					case "reap":
						_, _ = victim.Reap(context.Background(), accesskey.ReapOptions{})
					}
				}) {
					if step < 8 {
						t.Errorf("%s: only %d steps", do, step)
					}
					break
				}
				what := fmt.Sprintf("%s, death %d at step %d", do, how, step)
				w.check(t, what)
				next := w.member("next")
				key, err := next.EnsureKey(t.Context())
				if err != nil {
					t.Errorf("%s: the next machine: %v", what, err)
					continue
				}
				w.check(t, what+", then another")
				w.later(25 * time.Hour)
				if _, err := next.Reap(t.Context(), accesskey.ReapOptions{}); err != nil {
					t.Errorf("%s: reap: %v", what, err)
				}
				w.check(t, what+", then reaped")
				d := w.doc(t)
				if len(d.Journal) > 0 || len(w.atVMS()) != len(d.Item.Live()) {
					t.Errorf("%s: at VMS %v, left %+v", what, w.atVMS(), d)
				}
				if do == "ensure" {
					if diff := cmp.Diff([]string{key.AccessKey}, w.atVMS()); diff != "" {
						t.Errorf("%s:\n%s", what, diff)
					}
				}
			}
		}
	}
}

// dies runs a machine until its n-th call, and reports whether there was one.
func (w *fleetWorld) dies(victim *member, step int, how fate, do func()) (died bool) {
	n := 0
	w.decide = func(machine, call string) fate {
		if machine != victim.name || call == "sleep" {
			return fine
		}
		if n++; n < step {
			return fine
		}
		died = true
		if n > step || how == neverAgain {
			runtime.Goexit()
		}
		return lostAfter // and dies at the next call
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do()
	}()
	<-ended
	w.decide = func(string, string) fate { return fine }
	return died
}

// plan decides about the n-th call of a name.
func nth(call string, n int, f fate) func(machine, call string) fate {
	return func(_, got string) fate {
		if got == call {
			if n--; n == 0 {
				return f
			}
		}
		return fine
	}
}

// Whatever answer of Vault is lost, and whether or not the write was applied:
// the key is stored, or it is gone.
func TestFleetLostWrites(t *testing.T) {
	for _, f := range []fate{lostBefore, lostAfter, onItsWay, refused} {
		for n := 1; n <= 3; n++ { // claim, arm, commit
			w := newFleetWorld(t)
			w.decide = nth("write", n, f)
			m := w.member("here")
			key, err := m.EnsureKey(t.Context())
			what := fmt.Sprintf("write %d, fate %d", n, f)
			if f == refused {
				if err == nil || len(w.atVMS()) > 0 || len(w.doc(t).Journal) > 0 {
					t.Errorf("%s: %v, at VMS %v", what, err, w.atVMS())
				}
			} else if err != nil || key.AccessKey != "AK1" || w.posts != 1 {
				t.Errorf("%s: %+v, %v", what, key, err)
			}
			w.check(t, what)
			w.arrive()
			w.check(t, what+", and arrives")
			if key, err := w.member("there").EnsureKey(t.Context()); err != nil || len(w.atVMS()) != 1 {
				t.Errorf("%s: another machine: %+v, %v", what, key, err)
			}
		}
	}
}

// The answer to the commit is lost, and the document cannot be read.
func TestFleetCommitNobodyKnows(t *testing.T) {
	for what, c := range map[string]struct {
		f      fate
		reads  int // that fail
		all    bool
		stored bool
	}{
		"fenced, not applied":  {lostBefore, 4, false, false},
		"fenced, applied":      {lostAfter, 4, false, true},
		"fenced, on its way":   {onItsWay, 4, false, false},
		"away, not applied":    {lostBefore, 1000, true, false},
		"away, applied":        {lostAfter, 1000, true, true},
		"away, arriving later": {onItsWay, 1000, true, true},
	} {
		w := newFleetWorld(t)
		m := w.member("here")
		writes, reads := 0, 0
		w.decide = func(_, call string) fate {
			switch {
			case call == "write":
				if writes++; writes == 3 || writes > 3 && writes <= 6 && !c.all {
					if writes == 3 {
						return c.f
					}
					return lostBefore
				}
				if writes > 3 && c.all {
					return lostBefore
				}
			case call == "read" && writes >= 3:
				if reads++; reads <= c.reads {
					return refused
				}
			}
			return fine
		}
		key, err := m.EnsureKey(t.Context())
		w.check(t, what)
		switch {
		case c.all && (!errors.Is(err, accesskey.ErrMayBeStored) || !failure.Is(err, failure.Store) || len(w.atVMS()) != 1):
			t.Errorf("%s: %v, at VMS %v", what, err, w.atVMS())
		case !c.all && c.stored && (err != nil || key.AccessKey != "AK1"):
			t.Errorf("%s: %+v, %v", what, key, err)
		case !c.all && !c.stored && (err == nil || errors.Is(err, accesskey.ErrMayBeStored) || len(w.atVMS()) != 0):
			t.Errorf("%s: %v, at VMS %v", what, err, w.atVMS())
		}
		w.decide = func(string, string) fate { return fine }
		w.arrive()
		w.check(t, what+", and arrives")
		key, err = w.member("there").EnsureKey(t.Context())
		if err != nil || len(w.atVMS()) != 1 || (key.AccessKey == "AK1") != c.stored {
			t.Errorf("%s: another machine: %s, %v, at VMS %v", what, key.AccessKey, err, w.atVMS())
		}
		w.check(t, what+", then another")
	}
}

// The answer to the commit is lost, another machine changes the document at
// once, and then it cannot be read: the key may be stored, and is.
func TestFleetCommitThatOthersCovered(t *testing.T) {
	w := newFleetWorld(t)
	m, other := w.member("here"), w.member("there")
	writes, after := 0, 0
	w.decide = func(machine, call string) fate {
		switch {
		case machine != m.name:
		case call == "write":
			if writes++; writes == 3 {
				return lostAfter
			}
		case call == "read" && writes >= 3:
			if after++; after > 1 {
				return refused
			}
			if _, err := other.fleet.Update(context.Background(), func(it accesskey.Item) (accesskey.Item, error) {
				return it.RecordRefresh("AK1", 9*time.Hour), nil
			}); err != nil {
				t.Error(err)
			}
		}
		return fine
	}
	_, err := m.EnsureKey(t.Context())
	w.check(t, "covered")
	if !errors.Is(err, accesskey.ErrMayBeStored) || len(w.atVMS()) != 1 {
		t.Errorf("%v, at VMS %v", err, w.atVMS())
	}
}

// A change whose answer was lost is not made twice.
func TestFleetUpdatesOnce(t *testing.T) {
	w := newFleetWorld(t)
	m := w.member("here")
	if _, err := m.EnsureKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []fate{lostBefore, lostAfter, onItsWay} {
		w.decide = nth("write", 1, f)
		calls, before := 0, len(w.versions)
		_, err := m.fleet.Update(t.Context(), func(it accesskey.Item) (accesskey.Item, error) {
			calls++
			it.NextTry = it.NextTry.Add(time.Hour)
			return it, nil
		})
		w.arrive()
		if err != nil || calls != 1 || len(w.versions) != before+1 {
			t.Errorf("fate %d: %v, %d calls, %d versions", f, err, calls, len(w.versions)-before)
		}
	}
}

// What is judged must not change while VMS is looked at.
func TestFleetReviewsWhatStays(t *testing.T) {
	w := newFleetWorld(t)
	m, other := w.member("here"), w.member("there")
	if _, err := m.EnsureKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	looks, changes := 0, 0
	err := m.fleet.Review(t.Context(), func(ctx context.Context) error {
		if looks++; looks > 1 {
			return nil
		}
		_, err := other.fleet.Update(ctx, func(it accesskey.Item) (accesskey.Item, error) {
			return it.RecordRefresh("AK1", 9*time.Hour), nil
		})
		return err
	}, func(it accesskey.Item, _ func() ([]accesskey.Entry, error)) (accesskey.Item, []accesskey.Entry, error) {
		changes++
		return it, nil, nil
	})
	if err != nil || looks != 2 || changes != 2 {
		t.Errorf("%v, %d looks, %d changes", err, looks, changes)
	}
}

// The winner is stopped for longer than its lease, at each of its calls, while
// another machine does the same.
func TestFleetPausedWinner(t *testing.T) {
	for step := 1; ; step++ {
		w := newFleetWorld(t)
		slow, other := w.member("slow"), w.member("other")
		n, reached := 0, false
		w.decide = func(machine, call string) fate {
			if machine != slow.name || call == "sleep" {
				return fine
			}
			if n++; n == step {
				reached = true
				w.later(time.Minute)
				if _, err := other.EnsureKey(context.Background()); err != nil {
					t.Errorf("step %d: the other: %v", step, err)
				}
			}
			return fine
		}
		key, err := slow.EnsureKey(t.Context())
		if !reached {
			if step < 10 {
				t.Errorf("only %d steps", step)
			}
			return
		}
		what := fmt.Sprint("stopped at call ", step)
		w.check(t, what)
		g, _ := w.doc(t).Item.Current()
		if err != nil || key.AccessKey != g.AccessKey {
			t.Errorf("%s: got %s, %v, stored is %s", what, key.AccessKey, err, g.AccessKey)
		}
		if _, err := other.Reap(t.Context(), accesskey.ReapOptions{}); err != nil {
			t.Errorf("%s: reap: %v", what, err)
		}
		if diff := cmp.Diff([]string{g.AccessKey}, w.atVMS()); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
}

// A request that VMS gets long after its time makes a key that is named, and
// never deleted by guess.
func TestFleetLateRequest(t *testing.T) {
	w := newFleetWorld(t)
	m := w.member("here")
	w.decide = nth("post", 1, onItsWay)
	if _, err := m.EnsureKey(t.Context()); err == nil {
		t.Fatal("the answer was lost")
	}
	w.later(10 * time.Minute)
	key, err := w.member("there").EnsureKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.arrive()
	w.check(t, "a late request")
	list, err := m.Reap(t.Context(), accesskey.ReapOptions{})
	if !failure.Is(err, failure.Finding) || actions(list) != "kept AK2" || !strings.Contains(list[0].Reason, "later than the request") {
		t.Errorf("%+v, %v", list, err)
	}
	list, err = m.Reap(t.Context(), accesskey.ReapOptions{AccessKeys: []string{"AK2"}})
	if err != nil || actions(list) != "deleted AK2" || key.AccessKey != "AK1" {
		t.Errorf("%+v, %v", list, err)
	}
	w.later(2 * time.Hour)
	if _, err := m.Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(w.doc(t).Journal) != 0 {
		t.Errorf("%v, %+v", err, w.doc(t).Journal)
	}
}

// Who waits is told for what, and not for ever.
func TestFleetWaits(t *testing.T) {
	w := newFleetWorld(t)
	a, b := w.member("a"), w.member("b")
	claim, err := a.fleet.Begin(t.Context(), accesskey.Request{Intent: accesskey.Issue, Timeout: time.Minute})
	if err != nil || claim.Timeout != 10*time.Second {
		t.Fatalf("%+v, %v", claim, err)
	}
	w.decide = func(machine, call string) fate {
		if machine == "b" && call == "sleep" { // the claim never ends
			if err := claim.Ready(context.Background()); err != nil {
				t.Error(err)
			}
		}
		return fine
	}
	_, err = b.EnsureKey(t.Context())
	if !failure.Is(err, failure.Store) || failure.DetailsOf(err)["reason"] != "timed_out" || !strings.Contains(err.Error(), "machine a") || failure.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if len(b.waited) != 1 || !strings.Contains(b.waited[0], "another machine") {
		t.Errorf("told %q", b.waited)
	}
	if err := a.fleet.Abort(t.Context(), claim, accesskey.Outcome{}); err != nil {
		t.Fatal(err)
	}
	if key, err := b.EnsureKey(t.Context()); err != nil || key.AccessKey != "AK1" {
		t.Errorf("%v", err)
	}
}

// Vault must tell the time by which leases are measured.
func TestFleetWithoutAClock(t *testing.T) {
	w := newFleetWorld(t)
	w.now = time.Time{}
	_, err := w.member("here").EnsureKey(t.Context())
	if !failure.Is(err, failure.Store) || !strings.Contains(err.Error(), "does not tell its time") || w.posts > 0 {
		t.Error(err)
	}
}
