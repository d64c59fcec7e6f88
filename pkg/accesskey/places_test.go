package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
)

// trouble happens to a directory of a world between two steps, and is mended later.
type trouble struct {
	name   string
	dir    string // below the world's
	happen func(path string) error
	forced bool // what was in the directory is lost for good
}

func away(path string) error {
	if err := os.Rename(path, path+".away"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func aFile(path string) error {
	if err := away(path); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o600)
}

// mend brings the directory back. What was put in its place is hidden again, as
// below a file system that is mounted.
func (tr trouble) mend(t *testing.T, w *world) {
	t.Helper()
	path := filepath.Join(w.dir, tr.dir)
	if _, err := os.Stat(path + ".away"); err != nil {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			err = os.Remove(path) // nothing was there before
			if err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
}

// hidden are the keys that were stored in a directory which nobody sees any more.
func (tr trouble) hidden(t *testing.T, w *world) (keys []string) {
	t.Helper()
	if tr.dir != "store" {
		return nil
	}
	if info, err := os.Stat(filepath.Join(w.dir, tr.dir)); err != nil || !info.IsDir() {
		return nil
	}
	for _, g := range w.item(t).Live() {
		keys = append(keys, g.AccessKey)
	}
	return keys
}

// The store or the state directory goes away between any two steps: removed for
// good, unmounted and mounted again, or something else in its place. No key is
// lost: each that VMS has is stored, or reaping finds it.
func TestADirectoryIsLostAtEachStep(t *testing.T) {
	all := os.Getenv("VALETKEY_TEST_FAULTS") == "all"
	for i, tr := range []trouble{
		{"the store is removed", "store", os.RemoveAll, true},
		{"the store is away", "store", away, false},
		{"the store is a file", "store", aFile, false},
		{"the state is removed", "state", os.RemoveAll, true},
		{"the state is away", "state", away, false},
		{"the state is a file", "state", aFile, false},
	} {
		for j, c := range []struct {
			do     string
			before []string
			later  time.Duration
			answer error // of the request for a key
		}{
			{do: ""},
			{do: "", answer: errLost},
			{do: "create", before: []string{""}},
			{do: "create", before: []string{""}, answer: errLost},
			{do: "rotate", before: []string{""}},
			{do: "rotate", before: []string{""}, answer: errLost},
			{do: "now", before: []string{""}},
			{do: "undo", before: []string{"", "rotate"}},
			{do: "lend", before: []string{""}},
			{do: "lend", before: []string{""}, answer: errLost},
			{do: "fresh", before: []string{""}, later: 31 * day},
			{do: "reap", before: []string{"", "rotate"}, later: 25 * time.Hour},
		} {
			for step, steps := 1, 99; step <= steps; step++ {
				if !all && (step+i+j)%5 != 0 {
					continue
				}
				what := fmt.Sprintf("%s %s, step %d", tr.name, c.do, step)
				if c.answer != nil {
					what += ", the answer is lost"
				}
				w := newWorld(t)
				if tr.dir == "store" {
					w = newFileWorld(t)
				}
				for _, do := range c.before {
					if _, err := w.act(t.Context(), do); err != nil {
						t.Fatal(err)
					}
				}
				w.later(c.later)
				stored := w.item(t)
				n := 0
				hook := func(call string) error {
					if n++; n == step {
						stored = w.item(t)
						if err := tr.happen(filepath.Join(w.dir, tr.dir)); err != nil {
							t.Fatal(err)
						}
					}
					if call == "after post" {
						return c.answer
					}
					return nil
				}
				w.vms.hook, w.store.hook = hook, hook
				key, err := w.act(t.Context(), c.do)
				w.vms.hook, w.store.hook = nil, nil
				if n < step {
					steps = 0
					stored = w.item(t)
				}
				hidden := tr.hidden(t, w)
				gone := tr.forced && tr.dir == "store"
				_, ok := stored.Find(key.AccessKey)
				if key.AccessKey != "" && !ok && !slices.Contains(hidden, key.AccessKey) && tr.dir == "store" {
					t.Errorf("%s: %s was handed out, and is stored nowhere", what, key.AccessKey)
				}
				if err == nil && key.AccessKey == "" && c.do != "lend" && c.do != "reap" {
					t.Errorf("%s: done, without a key", what)
				}
				if info, err := os.Stat(filepath.Join(w.dir, "state")); err == nil && info.IsDir() && tr.dir == "state" {
					w.reapAll(t, what) // what it holds is seen no more once it is mended
				}
				tr.mend(t, w)
				if gone {
					for _, g := range stored.Live() {
						hidden = append(hidden, g.AccessKey)
					}
				}
				w.explained(t, what, hidden)
				if _, had := stored.Current(); had && !gone {
					w.working(t, what)
				}
				w.later(25 * time.Hour)
				w.reapAll(t, what)
				for _, id := range w.vms.state(t).Keys {
					if _, ok := w.item(t).Find(id); !ok && !slices.Contains(hidden, id) {
						t.Errorf("%s: %s is at VMS and in no store after reaping; %v", what, id, w.notes)
					}
				}
			}
		}
	}
}

// reapAll reaps, and names what is merely suspected.
func (w *world) reapAll(t *testing.T, what string) {
	t.Helper()
	list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{})
	if failure.Is(err, failure.Finding) {
		var named []string
		for _, k := range list {
			if k.Action == accesskey.ActionKept && !strings.Contains(k.Reason, "retired") {
				named = append(named, k.AccessKey)
			}
		}
		_, err = w.service().Reap(t.Context(), accesskey.ReapOptions{AccessKeys: named})
	}
	if err != nil {
		t.Errorf("%s: reap: %v", what, err)
	}
}

// explained says that each key at VMS is stored, or that an open entry tells of it.
func (w *world) explained(t *testing.T, what string, elsewhere []string) {
	t.Helper()
	it, open := w.item(t), w.pending(t)
	for _, id := range w.vms.state(t).Keys {
		if _, stored := it.Find(id); stored || slices.Contains(elsewhere, id) {
			continue
		}
		if !slices.ContainsFunc(open, func(e accesskey.Entry) bool {
			return !e.Alive && (e.AccessKey == id || !slices.Contains(e.KeysBefore.List, id))
		}) {
			t.Errorf("%s: %s is at VMS, in no store and in no journal", what, id)
		}
	}
}

// Two processes that hold what they take for the same lock do not overwrite each
// other's key: the first one finds out that its lock has gone.
func TestALockThatIsRemovedKeepsNobodyOut(t *testing.T) {
	w := newFileWorld(t)
	w.vms.hook = func(call string) error {
		if call != "after post" {
			return nil
		}
		w.vms.hook = nil
		if err := os.RemoveAll(filepath.Join(w.dir, "store")); err != nil {
			t.Fatal(err)
		}
		second := fileWorld(w.dir)
		second.machine = "there" // processes of one machine have another lock as well
		key, err := second.service().EnsureKey(t.Context())
		if err != nil || key.AccessKey != "AK2" {
			t.Errorf("the second: %+v, %v", key, err)
		}
		return nil
	}
	_, err := w.service().EnsureKey(t.Context())
	if !failure.Is(err, failure.Store) || !strings.Contains(err.Error(), "removed while it was held") || !strings.Contains(err.Error(), "deleted again") {
		t.Errorf("the first: %v", err)
	}
	w.atVMS(t, "AK2")
	w.invariants(t, "two locks")
}

// What an error of the lock says can be used instead is what was handed in.
func TestAlternativesOfALockThatCannotBeTaken(t *testing.T) {
	for _, want := range [][]string{{"os", "kernel"}, {}} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l := accesskey.NewLocal(accesskey.LocalOptions{
			Identity: alice, Store: keystore.NewMemory(), Now: func() time.Time { return at }, Alternatives: want,
			Places: func() (accesskey.Places, error) {
				return accesskey.PlacesIn(filepath.Join(dir, "state"), "here", filepath.Join(dir, "file", "locks"), alice), nil
			},
		})
		_, err := l.Update(context.Background(), func(it accesskey.Item) (accesskey.Item, error) { return it, nil })
		got, _ := failure.DetailsOf(err)["alternatives"].([]string)
		if !failure.Is(err, failure.Store) || !slices.Equal(got, want) || got == nil {
			t.Errorf("%v: %v", err, got)
		}
		if named := strings.Contains(failure.HintOf(err), "--store os"); named != (len(want) > 0) {
			t.Errorf("hint %q", failure.HintOf(err))
		}
	}
}
