package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
)

// lend lends a key, runs, and returns it.
func (w *world) lend(ctx context.Context, run func(accesskey.Credentials) error) error {
	lent, err := w.service().Lend(ctx, accesskey.LendOptions{})
	if err != nil {
		return err
	}
	if err := run(lent.Credentials); err != nil {
		return err
	}
	return lent.Return(ctx)
}

func (w *world) journal() string {
	return accesskey.PlacesIn(filepath.Join(w.dir, "state"), w.machine, "", w.identity).JournalDir
}

func noRun(accesskey.Credentials) error { return nil }

func TestLend(t *testing.T) {
	w := newWorld(t)
	w.store.hook = func(call string) error { return fmt.Errorf("the store is not for lent keys: %s", call) }
	err := w.lend(t.Context(), func(c accesskey.Credentials) error {
		if c.AccessKey != "AK1" || c.SecretKey.Reveal() != secretOf("AK1") || !c.Soft || !c.Expires.IsZero() {
			t.Errorf("%+v", c)
		}
		open := w.pending(t)
		if len(open) != 1 || !open[0].Alive || open[0].AccessKey != "AK1" || open[0].Intent != accesskey.Ephemeral || !open[0].KeysBefore.Known {
			t.Errorf("journal during the run: %+v", open)
		}
		// Nobody waits for the run, and nobody takes its key.
		w.store.hook = nil
		if key, err := w.service().EnsureKey(t.Context()); err != nil || key.AccessKey != "AK2" {
			t.Errorf("beside the run: %v, %v", key.AccessKey, err)
		}
		if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 0 {
			t.Errorf("reaped during the run: %v, %v", list, err)
		}
		if _, err := w.service().Reap(t.Context(), accesskey.ReapOptions{AccessKeys: []string{"AK1"}}); !failure.Is(err, failure.Usage) {
			t.Errorf("reaped by name during the run: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"AK2"}, w.vms.state(t).Keys); diff != "" {
		t.Error("keys after the run:", diff)
	}
	if _, stored := w.item(t).Find("AK1"); stored || len(w.pending(t)) != 0 {
		t.Errorf("left: %+v, %+v", w.item(t), w.pending(t))
	}
}

// A run that ends, is interrupted or fails returns its key with time of its own.
func TestReturn(t *testing.T) {
	for _, c := range []struct {
		what string
		err  error
		left bool
	}{
		{"deleted", nil, false},
		{"deleted by somebody else", failure.New(failure.NotFound, "no such key"), false},
		{"VMS is away", failure.New(failure.Network, "connection refused"), true},
	} {
		w := newWorld(t)
		ctx, interrupt := context.WithCancel(t.Context())
		w.vms.hook = once("delete", 1, c.err)
		err := w.lend(ctx, func(accesskey.Credentials) error { interrupt(); return nil })
		if (err != nil) != c.left {
			t.Errorf("%s: %v", c.what, err)
		}
		open := w.pending(t)
		if len(open) == 1 != c.left {
			t.Fatalf("%s: journal %+v", c.what, open)
		}
		if !c.left {
			continue
		}
		if open[0].Alive || open[0].AccessKey != "AK1" {
			t.Errorf("%s: journal %+v", c.what, open)
		}
		list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{})
		if err != nil || len(list) != 1 || list[0].Action != accesskey.ActionDeleted || !strings.Contains(list[0].Reason, "run of a command") {
			t.Errorf("%s: reaped %+v, %v", c.what, list, err)
		}
		if len(w.vms.state(t).Keys) != 0 || len(w.pending(t)) != 0 {
			t.Errorf("%s: after reaping %v, %+v", c.what, w.vms.state(t).Keys, w.pending(t))
		}
	}
}

// The third run is refused; one that waits takes the place of the first to end.
func TestLendWithBothPlacesTaken(t *testing.T) {
	w := newWorld(t)
	first, err := w.service().Lend(t.Context(), accesskey.LendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.lend(t.Context(), func(accesskey.Credentials) error {
		posts := 0
		w.vms.hook = func(call string) error {
			if call == "before post" {
				posts++
			}
			return nil
		}
		_, err := w.service().Lend(t.Context(), accesskey.LendOptions{})
		if !failure.Is(err, failure.KeyLimit) || !strings.Contains(failure.HintOf(err), "--wait") || len(w.slept) != 0 {
			t.Errorf("the third: %v, hint %q, slept %v", err, failure.HintOf(err), w.slept)
		}
		if keys, _ := failure.DetailsOf(err)["keys"].([]accesskey.KeyDocument); len(keys) != 2 {
			t.Errorf("details: %+v", failure.DetailsOf(err))
		}
		if posts != 1 {
			t.Errorf("%d requests to be refused", posts)
		}
		w.onSleep = func() {
			if len(w.slept) == 3 {
				if err := first.Return(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		third, err := w.service().Lend(t.Context(), accesskey.LendOptions{Wait: time.Hour})
		if err != nil || len(w.slept) != 3 {
			t.Fatalf("a wait: %v, slept %v", err, w.slept)
		}
		return third.Return(t.Context())
	})
	if err != nil {
		t.Error(err)
	}
	if len(w.vms.state(t).Keys) != 0 || len(w.pending(t)) != 0 {
		t.Errorf("left: %v, %+v", w.vms.state(t).Keys, w.pending(t))
	}
}

// A retired key whose grace is over makes room, as it does for a rotation.
func TestLendMakesRoomByWhatIsDue(t *testing.T) {
	w := newWorld(t)
	for _, do := range []string{"", "rotate"} {
		if _, err := w.act(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.lend(t.Context(), noRun); !failure.Is(err, failure.KeyLimit) || !strings.Contains(err.Error(), "a place becomes free") {
		t.Errorf("within the grace: %v", err)
	}
	w.later(25 * time.Hour)
	if err := w.lend(t.Context(), noRun); err != nil {
		t.Error(err)
	}
	w.working(t, "after the loan")
}

// What dies at any step is explained, and gone after the next loan or reaping.
func TestDeathAtEachStepOfALoan(t *testing.T) {
	for step := 1; ; step++ {
		w := newFileWorld(t)
		if _, err := w.act(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		said, code := part{Dir: w.dir, Do: "lend", DieAt: step}.run(t)
		if code == 0 {
			if step < 6 {
				t.Errorf("only %d steps: the hooks are not where they should be", step)
			}
			break
		}
		if code != died {
			t.Fatalf("step %d: code %d, %s", step, code, said)
		}
		what := fmt.Sprint("death at step ", step)
		w.working(t, what)
		w.invariants(t, what)
		named := len(w.pending(t)) == 1 && w.pending(t)[0].AccessKey != ""
		if err := w.lend(t.Context(), noRun); err != nil {
			t.Errorf("%s: the next loan: %v", what, err)
		}
		if keys := w.vms.state(t).Keys; named && len(keys) != 1 {
			t.Errorf("%s: the next loan left %v", what, keys)
		}
		w.later(25 * time.Hour)
		if _, err := w.act(t.Context(), "reap"); err != nil {
			t.Errorf("%s: reap: %v", what, err)
		}
		w.working(t, what+", then reaped")
		if keys, open := w.vms.state(t).Keys, w.pending(t); len(keys) != 1 || len(open) != 0 {
			t.Errorf("%s: after reaping %v, %+v", what, keys, open)
		}
	}
}

// A key that is lent is nobody's orphan, whatever else was lost in its time.
func TestALentKeyIsNobodysOrphan(t *testing.T) {
	w := newWorld(t)
	lost := errors.New("connection reset")
	w.vms.hook = once("before post", 1, lost) // the request of an issue is lost, and made nothing
	if _, err := w.service().EnsureKey(t.Context()); err == nil {
		t.Fatal("no answer is no key")
	}
	err := w.lend(t.Context(), func(accesskey.Credentials) error {
		list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{})
		if err != nil || len(list) != 0 {
			t.Errorf("reaped %+v, %v", list, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// And of two lost answers the one that is known to be its own is told apart.
	w = newWorld(t)
	w.vms.hook = func(call string) error {
		switch state := w.vms.state(t); {
		case call == "after post" && state.Posts == 1:
			return lost
		case call == "delete" && state.Posts == 2:
			return lost
		}
		return nil
	}
	if _, err := w.service().EnsureKey(t.Context()); err == nil {
		t.Fatal("a lost answer is no key")
	}
	if err := w.lend(t.Context(), noRun); err == nil {
		t.Fatal("a key that was not deleted was returned")
	}
	w.vms.hook = nil
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 2 || len(w.vms.state(t).Keys) != 0 {
		t.Errorf("reaped %+v, %v", list, err)
	}
}

// A run that ends between the list of VMS and the look at the journal does not
// make its key anybody's.
func TestARunThatEndsDuringReaping(t *testing.T) {
	w := newWorld(t)
	w.vms.hook = once("before post", 1, errors.New("connection reset"))
	if _, err := w.service().EnsureKey(t.Context()); err == nil {
		t.Fatal("no answer is no key")
	}
	w.vms.hook = nil
	lent, err := w.service().Lend(t.Context(), accesskey.LendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.vms.afterList = func() {
		if err := lent.Return(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 0 {
		t.Errorf("reaped %+v, %v", list, err)
	}
}

// Of a store that holds nothing no proof is made: another store may hold the key.
func TestAStorelessLoanReapsNothingButLoans(t *testing.T) {
	found := false
	for step := 1; ; step++ { // a process dies after it stored its key, before it closed the journal
		w := newFileWorld(t)
		if _, code := (part{Dir: w.dir, Do: "create", DieAt: step}).run(t); code == 0 {
			break
		}
		if _, stored := w.item(t).Current(); !stored || len(w.pending(t)) == 0 {
			continue
		}
		found = true
		other := worldIn(w.dir, keystore.NewMemory())
		lent, err := other.service().Lend(t.Context(), accesskey.LendOptions{Storeless: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.service().Lend(t.Context(), accesskey.LendOptions{Storeless: true}); !failure.Is(err, failure.KeyLimit) {
			t.Errorf("%v", err)
		}
		if err := lent.Return(t.Context()); err != nil {
			t.Error(err)
		}
		w.working(t, "after the loans")
	}
	if !found {
		t.Error("no process died where it should")
	}
	w := newWorld(t)
	w.vms.hook = once("delete", 1, errors.New("connection reset"))
	if err := w.lend(t.Context(), noRun); err == nil {
		t.Fatal("a key that was not deleted was returned")
	}
	w.notes = nil
	lent, err := w.service().Lend(t.Context(), accesskey.LendOptions{Storeless: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"AK2"}, w.vms.state(t).Keys); diff != "" || len(w.notes) != 1 || !strings.Contains(w.notes[0], "deleted AK1") {
		t.Errorf("keys %s, notes %q", diff, w.notes)
	}
	if err := lent.Return(t.Context()); err != nil || len(w.pending(t)) != 0 {
		t.Errorf("%v, %+v", err, w.pending(t))
	}
}

// No journal, no key; and a key whose name cannot be journaled is deleted again.
func TestLendNeedsTheJournal(t *testing.T) {
	w := newWorld(t)
	dir := w.journal()
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.lend(t.Context(), noRun); !failure.Is(err, failure.Config) || !strings.Contains(err.Error(), "none was") {
		t.Errorf("without a journal: %v", err)
	}
	if posts := w.vms.state(t).Posts; posts != 0 {
		t.Errorf("%d requests without a journal", posts)
	}
	for _, left := range []bool{false, true} {
		w := newWorld(t)
		dir := w.journal()
		w.vms.hook = func(call string) error {
			if call == "after post" { // the directory goes away under the open entry
				return os.Rename(dir, dir+".gone")
			}
			if call == "delete" && left {
				return errors.New("connection reset")
			}
			return nil
		}
		err := w.lend(t.Context(), noRun)
		if !failure.Is(err, failure.Config) || left != strings.Contains(err.Error(), "AK1 is left over") {
			t.Errorf("left %t: %v", left, err)
		}
		if keys := w.vms.state(t).Keys; len(keys) == 1 != left {
			t.Errorf("left %t: %v", left, keys)
		}
	}
}
