package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

const day = 24 * time.Hour

// aging is a world with a key that may be 30 days old, and has that age.
func aging(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.maxAge = 30 * day
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.later(30*day - 3*time.Second) // the clock of VMS is so much behind
	return w
}

// fresh is what a client is given, which is never an error.
func (w *world) fresh(t *testing.T) accesskey.Credentials {
	t.Helper()
	c, err := w.service().Fresh(t.Context())
	if err != nil {
		t.Fatalf("%v: %v", w.now.Sub(at), err)
	}
	return c
}

// calls counts what is asked of VMS.
func (w *world) calls(fail func(call string) error) *int {
	n := 0
	w.vms.hook = func(call string) error {
		if !strings.HasPrefix(call, "after") {
			n++
		}
		if fail != nil {
			return fail(call)
		}
		return nil
	}
	return &n
}

func TestFresh(t *testing.T) {
	w := aging(t)
	asked := w.calls(nil)
	puts := 0
	w.store.hook = func(call string) error {
		if call == "before put" {
			puts++
		}
		return nil
	}
	if c := w.fresh(t); c.AccessKey != "AK1" || *asked != 0 || puts != 0 {
		t.Errorf("at its age: %s, asked %d times, wrote %d times", c.AccessKey, *asked, puts)
	}
	w.later(4 * time.Second)
	c := w.fresh(t)
	if c.AccessKey != "AK2" || c.SecretKey.Reveal() != secretOf("AK2") || !c.Soft || c.Expires.Sub(w.now) != time.Hour {
		t.Errorf("%+v", c)
	}
	if old, _ := w.item(t).Find("AK1"); old.State != accesskey.Retiring || !strings.Contains(strings.Join(w.notes, "\n"), "AK2 is handed out") {
		t.Errorf("%+v, %q", old, w.notes)
	}
	w.invariants(t, "rotated by age")
	*asked = 0
	w.later(23 * time.Hour)
	if w.fresh(t); *asked != 0 {
		t.Errorf("asked %d times with nothing due", *asked)
	}
	// What is due is not only the age of the key: the old one's grace is over.
	w.later(2 * time.Hour)
	if c := w.fresh(t); c.AccessKey != "AK2" {
		t.Error(c.AccessKey)
	}
	w.atVMS(t, "AK2")
	if posts := w.vms.state(t).Posts; posts != 2 {
		t.Errorf("%d requests", posts)
	}
}

// Without a limit, and with an unknown age, nothing is too old.
func TestFreshWithoutAnAge(t *testing.T) {
	w := aging(t)
	w.maxAge = 0
	w.later(1000 * day)
	asked := w.calls(nil)
	w.fresh(t)
	w.maxAge = 30 * day
	_, err := w.coordinator().Update(t.Context(), func(it accesskey.Item) (accesskey.Item, error) {
		it.Keys = slices.Clone(it.Keys)
		it.Keys[0].Created = time.Time{}
		return it, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := w.fresh(t); c.AccessKey != "AK1" || *asked != 0 {
		t.Errorf("%s, asked %d times", c.AccessKey, *asked)
	}
	// Nothing stored: a key is issued, as always.
	w = newWorld(t)
	w.maxAge = 30 * day
	if c := w.fresh(t); c.AccessKey != "AK1" || len(w.notes) != 0 {
		t.Errorf("%s, %q", c.AccessKey, w.notes)
	}
}

// Two years without a person: every key works for as long as it was handed out
// for, and there is always room for the next.
func TestRotationByAgeGoesOnForEver(t *testing.T) {
	w := aging(t)
	promised := map[string]time.Time{}
	given := map[string]bool{}
	for hours := 0; hours < 2*365*24; hours += 7 {
		c := w.fresh(t)
		given[c.AccessKey], promised[c.AccessKey] = true, c.Expires
		w.later(7 * time.Hour)
		keys := w.vms.state(t).Keys
		for id, until := range promised {
			if until.Add(-7*time.Hour).After(w.now) && !slices.Contains(keys, id) {
				t.Fatalf("%v: %s is gone before its time", w.now.Sub(at), id)
			}
		}
		if !slices.Contains(keys, c.AccessKey) {
			t.Fatalf("%v: %s is handed out and dead", w.now.Sub(at), c.AccessKey)
		}
		g, _ := w.item(t).Current()
		if age := w.now.Sub(g.Created); age > w.maxAge+8*time.Hour {
			t.Fatalf("%v: a key is %v old", w.now.Sub(at), age)
		}
	}
	if posts := w.vms.state(t).Posts; posts != len(given) || posts < 24 || posts > 26 {
		t.Errorf("%d requests, %d keys in 760 days of 30", posts, len(given))
	}
	w.invariants(t, "two years later")
}

// Whatever is wrong, clients get the key there is, and VMS is left in peace.
func TestNoStorm(t *testing.T) {
	down := failure.New(failure.Network, "VMS fails with 503")
	fails := func(calls ...string) func(string) error {
		return func(call string) error {
			if calls == nil || slices.Contains(calls, call) {
				return down
			}
			return nil
		}
	}
	for what, c := range map[string]struct {
		fail    func(string) error
		foreign bool // another machine holds the other place
		posts   int  // at most
	}{
		"all down":        {fail: fails(), posts: 1},
		"it is refused":   {fail: func(call string) error { return accesskey.NotIssued(fails("before post")(call)) }, posts: 11},
		"no list":         {fail: fails("list", "before post"), posts: 1},
		"no place":        {foreign: true, posts: 11},
		"a lost answer":   {fail: fails("after post"), posts: 11},
		"nothing deleted": {fail: fails("after post", "delete"), posts: 11},
	} {
		t.Run(what, func(t *testing.T) {
			w := aging(t)
			if c.foreign {
				if _, _, err := w.vms.CreateKey(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.later(time.Hour)
			tries, posts := 0, 0
			w.calls(func(call string) error {
				if call == "before post" {
					posts++
				}
				if c.fail != nil {
					return c.fail(call)
				}
				return nil
			})
			for range 100 {
				before := len(w.notes)
				if got := w.fresh(t); got.AccessKey != "AK1" {
					t.Fatalf("%s is handed out", got.AccessKey)
				}
				if len(w.notes) > before {
					tries++
				}
				w.later(time.Minute)
			}
			if tries == 0 || tries > 11 || posts > c.posts {
				t.Errorf("%d tries and %d requests for a key in 100 minutes; %q", tries, posts, w.notes)
			}
			// And when it is over, the next try succeeds.
			w.vms.hook = nil
			if c.foreign {
				if err := w.vms.DeleteKey(t.Context(), "AK2"); err != nil {
					t.Fatal(err)
				}
			}
			w.later(10 * time.Minute)
			if got := w.fresh(t); got.AccessKey == "AK1" && !slices.Contains([]string{"a lost answer", "nothing deleted"}, what) {
				t.Errorf("not rotated: %q", w.notes[len(w.notes)-1])
			}
			w.working(t, what)
		})
	}
}

// The clock of this machine is wrong, and VMS has the right one.
func TestFreshWithAMovedClock(t *testing.T) {
	w := aging(t)
	w.later(-day)
	w.now = w.now.Add(365 * day)
	asked := w.calls(nil)
	for range 100 {
		if c := w.fresh(t); c.AccessKey != "AK1" {
			t.Fatal("rotated by a wrong clock")
		}
	}
	if *asked > 4 {
		t.Errorf("asked VMS %d times at one moment", *asked)
	}
	// Back again: what the wrong clock wrote stops nothing.
	w.now = w.now.Add(-365 * day)
	w.later(2 * day)
	if c := w.fresh(t); c.AccessKey != "AK2" {
		t.Errorf("%s: the next try is a year ahead", c.AccessKey)
	}
	w.now = at.Add(-365 * day)
	if c := w.fresh(t); c.AccessKey != "AK2" {
		t.Errorf("%s with a clock that is behind", c.AccessKey)
	}
	w.working(t, "moved clocks")
}

// A try ends after three seconds whatever hangs, and the next one goes on where
// it stopped. An interrupt is no failed try.
func TestFreshIsBounded(t *testing.T) {
	for _, where := range []string{"proof", "proof after an interrupt"} {
		synctest.Test(t, func(t *testing.T) {
			w := aging(t)
			w.later(time.Hour)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w.prove = func(ctx context.Context, _ accesskey.Credentials) error {
				if where != "proof" {
					cancel()
				}
				<-ctx.Done()
				return ctx.Err()
			}
			start := time.Now()
			c, err := w.service().Fresh(ctx)
			if where != "proof" {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", where, err)
				}
			} else if err != nil || c.AccessKey != "AK1" || time.Since(start) != 3*time.Second {
				t.Errorf("%s: %s, %v after %v", where, c.AccessKey, err, time.Since(start))
			}
			w.atVMS(t, "AK1", "AK2")
			w.invariants(t, where)
			w.prove = nil
			if c := w.fresh(t); c.AccessKey != "AK1" {
				t.Errorf("%s: tried again at once", where)
			}
			w.later(10 * time.Minute)
			if c := w.fresh(t); c.AccessKey != "AK2" || w.vms.state(t).Posts != 2 {
				t.Errorf("%s: %s after %d requests", where, c.AccessKey, w.vms.state(t).Posts)
			}
		})
	}
}

// Connecting may hang, too, and a deadline of the caller's is not an interrupt.
func TestFreshWithADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := aging(t)
		w.later(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.prove = func(ctx context.Context, _ accesskey.Credentials) error { <-ctx.Done(); return ctx.Err() }
		c, err := w.service().Fresh(ctx)
		if err != nil || c.AccessKey != "AK1" {
			t.Errorf("%s, %v", c.AccessKey, err)
		}
		w.atVMS(t, "AK1", "AK2") // the new key waits for its proof
	})
}

// A new key that is refused again and again does not block rotation for ever.
func TestForsake(t *testing.T) {
	refuses := true
	w := aging(t)
	w.later(time.Hour)
	try := func() (c accesskey.Credentials) {
		synctest.Test(t, func(t *testing.T) {
			service := w.serviceWith(func(d *accesskey.Deps) { d.Sleep = nil })
			w.prove = func(context.Context, accesskey.Credentials) error {
				if refuses {
					return failure.Wrap(failure.NotFound, accesskey.ErrKeyRefused, "S3 answers InvalidAccessKeyId")
				}
				return nil
			}
			var err error
			if c, err = service.Fresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		return c
	}
	if c := try(); c.AccessKey != "AK1" {
		t.Fatal(c.AccessKey)
	}
	w.atVMS(t, "AK1", "AK2")
	w.later(11 * time.Minute)
	if c := try(); c.AccessKey != "AK1" || !strings.Contains(strings.Join(w.notes, "\n"), "deleted again") {
		t.Errorf("%s, %q", c.AccessKey, w.notes)
	}
	w.atVMS(t, "AK1")
	refuses = false
	w.later(11 * time.Minute)
	if c := try(); c.AccessKey != "AK3" {
		t.Errorf("%s, %q", c.AccessKey, w.notes)
	}
}

// A store that cannot be written keeps its key, and VMS is not asked.
func TestFreshWithAReadOnlyStore(t *testing.T) {
	w := aging(t)
	w.later(time.Hour)
	asked := w.calls(nil)
	w.store.hook = func(call string) error {
		if call == "before put" {
			return failure.New(failure.Store, "read-only")
		}
		return nil
	}
	if c := w.fresh(t); c.AccessKey != "AK1" || *asked != 0 || len(w.notes) != 1 {
		t.Errorf("%s, asked %d times, %q", c.AccessKey, *asked, w.notes)
	}
	// The lock is held by somebody who is stopped.
	w.store.hook = nil
	w.notes = nil
	claim, err := w.coordinator().Begin(t.Context(), accesskey.Request{Intent: accesskey.Issue})
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	if c := w.fresh(t); c.AccessKey != "AK1" || *asked != 0 || len(w.notes) != 0 {
		t.Errorf("%s, asked %d times, %q", c.AccessKey, *asked, w.notes)
	}
}

// Many processes find the key too old: one rotates it.
func TestFreshInManyProcesses(t *testing.T) {
	w := newFileWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 30 {
		wg.Go(func() {
			said, code := part{Dir: w.dir, Do: "fresh", Later: 31 * day}.run(t)
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprint(code, " ", said)]++
		})
	}
	wg.Wait()
	first, second := "0 AK1 "+secretOf("AK1"), "0 AK2 "+secretOf("AK2")
	if got[first]+got[second] != 30 || got[second] == 0 {
		t.Error(got)
	}
	if diff := cmp.Diff(2, w.vms.state(t).Posts); diff != "" {
		t.Error(diff)
	}
	w.invariants(t, "thirty processes")
}
