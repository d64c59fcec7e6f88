package accesskey_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
)

// beside is another store on the same machine, for the same user.
func (w *world) beside(where string) *world {
	other := worldIn(w.dir, keystore.NewMemory())
	other.vms, other.now, other.where = w.vms, w.now, where
	return other
}

// stored is a world whose process died when its key was stored, and its entry
// was still open.
func stored(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.where = "file:/there"
	var e accesskey.Entry
	w.vms.hook = func(call string) error {
		if call == "after post" {
			e = w.pending(t)[0]
		}
		return nil
	}
	if _, err := w.service().EnsureKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.vms.hook = nil
	open, err := accesskey.Journal{Dir: w.journal()}.Open(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	open.Leave()
	return w
}

// A key that is stored in another store than the one that reaps is never taken
// for an orphan.
func TestReapWithAnotherStore(t *testing.T) {
	for _, where := range []string{"file:/here", "os", "memory"} {
		w := stored(t)
		other := w.beside(where)
		list, err := other.service().Reap(t.Context(), accesskey.ReapOptions{})
		if err != nil || actions(list) != "kept AK1" || !strings.Contains(list[0].Reason, "VALETKEY_STORE_DIR=/there valetkey keys reap --store file") {
			t.Errorf("%s: %+v, %v", where, list, err)
		}
		_, err = other.service().Reap(t.Context(), accesskey.ReapOptions{AccessKeys: []string{"AK1"}})
		if !failure.Is(err, failure.Usage) || !strings.Contains(failure.HintOf(err), "--store file") {
			t.Errorf("%s: named: %v", where, err)
		}
		if key, err := other.service().EnsureKey(t.Context()); err != nil || key.AccessKey != "AK2" {
			t.Errorf("%s: a cold start: %v, %v", where, key.AccessKey, err)
		}
		w.atVMS(t, "AK1", "AK2")
		// The store that has it ends it.
		if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 0 {
			t.Errorf("%s: %+v, %v", where, list, err)
		}
		w.later(time.Hour)
		if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 0 || len(w.pending(t)) != 0 {
			t.Errorf("%s: %+v, %v, %+v", where, list, err, w.pending(t))
		}
		w.atVMS(t, "AK1", "AK2")
	}
}

// Two requests died within one window, for two stores; one of them made a key,
// which is stored. Whoever reaps first, it is not the other's orphan.
func TestReapTwoStoresInTurn(t *testing.T) {
	for _, ownFirst := range []bool{false, true} {
		w := stored(t)
		other := w.beside("os")
		e := w.pending(t)[0]
		e.ID, e.Store, e.KeysBefore = "other", "os", accesskey.Keys{Known: true}
		open, err := accesskey.Journal{Dir: w.journal()}.Open(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		open.Leave()
		turns := []*world{other, w, other, w, other}
		if ownFirst {
			turns = turns[1:]
		}
		for i, turn := range turns {
			if list, err := turn.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || strings.Contains(actions(list), "deleted") {
				t.Errorf("turn %d: %+v, %v", i, list, err)
			}
		}
		w.atVMS(t, "AK1")
		w.later(time.Hour)
		other.now = w.now
		for _, turn := range turns {
			if list, err := turn.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || strings.Contains(actions(list), "deleted") {
				t.Errorf("later: %+v, %v", list, err)
			}
		}
		w.atVMS(t, "AK1")
		if open := w.pending(t); len(open) != 0 {
			t.Errorf("%+v", open)
		}
	}
}

// A lost answer to the request for a loan is in no store: any finds its key, and
// takes none that is in another.
func TestReapALostLoanWithAnotherStore(t *testing.T) {
	w := newWorld(t)
	w.vms.hook = once("after post", 1, errLost)
	if err := w.lend(t.Context(), noRun); err == nil {
		t.Fatal("it was lent")
	}
	w.vms.hook = nil
	if open := w.pending(t); open[0].Store != "" {
		t.Errorf("a loan for the store %q", open[0].Store)
	}
	other := w.beside("os")
	if list, err := other.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "deleted AK1" {
		t.Errorf("%+v, %v", list, err)
	}
	w = stored(t)
	e := w.pending(t)[0]
	e.ID, e.Store, e.Intent = "loan", "", accesskey.Ephemeral
	open, err := accesskey.Journal{Dir: w.journal()}.Open(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	open.Leave()
	if list, err := w.beside("memory").service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "kept AK1" {
		t.Errorf("%+v, %v", list, err)
	}
}

// While a request of this machine is under way no other is begun, whatever the
// store: it could not tell the first one's entry that its key is another's.
func TestRequestsOfAMachineComeOneAtATime(t *testing.T) {
	w := newWorld(t)
	other := w.beside("os")
	claim, err := other.coordinatorIn("").Begin(t.Context(), accesskey.Request{Intent: accesskey.Issue, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w.wait = 10 * time.Millisecond
	if _, err := w.coordinator().Begin(t.Context(), accesskey.Request{Intent: accesskey.Issue, Timeout: time.Second}); !failure.Is(err, failure.Store) {
		t.Errorf("begun meanwhile: %v", err)
	}
	if _, err := w.coordinator().Lend(t.Context(), accesskey.Request{Intent: accesskey.Ephemeral, Timeout: time.Second}); !failure.Is(err, failure.Store) {
		t.Errorf("lent meanwhile: %v", err)
	}
	claim.Release()
	w.wait = 0
	if claim, err = w.coordinator().Begin(t.Context(), accesskey.Request{Intent: accesskey.Issue, Timeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	claim.Release()
}

// coordinatorIn is a coordinator with its locks in a directory below; empty is
// with the locks of the machine.
func (w *world) coordinatorIn(locks string) *accesskey.Local {
	if locks != "" {
		locks = filepath.Join(w.dir, locks)
	}
	return accesskey.NewLocal(accesskey.LocalOptions{
		Identity: w.identity, Store: w.store, Now: func() time.Time { return w.now }, Wait: w.wait, Where: w.where,
		Places: func() (accesskey.Places, error) {
			return accesskey.PlacesIn(filepath.Join(w.dir, "state"), w.machine, locks, w.identity), nil
		},
	})
}
