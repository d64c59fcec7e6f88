package accesskey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
)

// A machine whose request was lost, and made no key, does not take for its own
// what another has lent meanwhile.
func TestFleetTakesNoLoanForAnOrphan(t *testing.T) {
	w := newFleetWorld(t)
	w.decide = func(name, call string) fate {
		if name == "b" && call == "post" {
			return lostBefore
		}
		return fine
	}
	a, b := w.member("a"), w.member("b")
	if _, err := b.EnsureKey(t.Context()); err == nil {
		t.Fatal("nothing was lost")
	}
	lent, err := a.Lend(t.Context(), accesskey.LendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, "lent")
	for _, m := range []*member{b, w.member("c")} {
		list, err := m.Reap(t.Context(), accesskey.ReapOptions{})
		if err != nil || actions(list) != "kept AK1" || !strings.Contains(list[0].Reason, "lent on machine a since ") {
			t.Errorf("%s: %+v, %v", m.name, list, err)
		}
	}
	if list, err := a.Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 0 {
		t.Errorf("its own machine: %+v, %v", list, err)
	}
	if diff := cmp.Diff([]string{"AK1"}, w.atVMS()); diff != "" {
		t.Error(diff)
	}
	// Others issue beside it.
	w.decide = func(string, string) fate { return fine }
	if key, err := b.EnsureKey(t.Context()); err != nil || key.AccessKey != "AK2" {
		t.Errorf("%+v, %v", key, err)
	}
	if err := lent.Return(t.Context()); err != nil {
		t.Error(err)
	}
	w.later(2 * time.Hour)
	if list, err := b.Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if d := w.doc(t); len(d.Journal) != 0 {
		t.Errorf("%+v", d.Journal)
	}
	w.check(t, "returned")
}

// What a dead process had lent its own machine takes back, by reaping and by the
// next loan; no other does.
func TestFleetReapsItsOwnLoans(t *testing.T) {
	for _, next := range []bool{false, true} {
		w := newFleetWorld(t)
		a, b := w.member("a"), w.member("b")
		lent, err := a.Lend(t.Context(), accesskey.LendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.decide = func(_, call string) fate {
			if call == "delete" {
				return refused
			}
			return fine
		}
		if err := lent.Return(t.Context()); err == nil {
			t.Fatal("it was deleted")
		}
		w.decide = func(string, string) fate { return fine }
		if list, err := b.Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "kept AK1" {
			t.Errorf("%+v, %v", list, err)
		}
		if next {
			lent, err := a.Lend(t.Context(), accesskey.LendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"AK2"}, w.atVMS()); diff != "" {
				t.Error(diff)
			}
			if err := lent.Return(t.Context()); err != nil {
				t.Error(err)
			}
		} else if list, err := a.Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "deleted AK1" {
			t.Errorf("%+v, %v", list, err)
		}
		if d := w.doc(t); len(d.Journal) != 0 || len(w.atVMS()) != 0 {
			t.Errorf("next %t: %+v, %v", next, d.Journal, w.atVMS())
		}
	}
}

// A loan that could not be taken out of the document is, by whoever reaps next.
func TestFleetForgetsALoanWhoseKeyIsGone(t *testing.T) {
	w := newFleetWorld(t)
	a, b := w.member("a"), w.member("b")
	lent, err := a.Lend(t.Context(), accesskey.LendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.decide = func(_, call string) fate {
		if call == "write" {
			return refused
		}
		return fine
	}
	if err := lent.Return(t.Context()); err != nil {
		t.Error(err)
	}
	if d := w.doc(t); len(d.Journal) != 1 {
		t.Fatalf("%+v", d.Journal)
	}
	w.decide = func(string, string) fate { return fine }
	if list, err := b.Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if d := w.doc(t); len(d.Journal) != 0 {
		t.Errorf("%+v", d.Journal)
	}
}

// A machine that was stopped for long between the request and the document gives
// its key back: another may have taken it for a lost one.
func TestFleetLoanOfAStoppedMachine(t *testing.T) {
	w := newFleetWorld(t)
	a, b := w.member("a"), w.member("b")
	w.decide = func(name, call string) fate {
		if name == "a" && call == "posted" {
			w.later(time.Hour)
			w.decide = func(string, string) fate { return fine }
			if _, err := b.EnsureKey(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return fine
	}
	if _, err := a.Lend(t.Context(), accesskey.LendOptions{}); err == nil {
		t.Error("it was lent")
	}
	if len(w.atVMS()) != 1 {
		t.Error(w.atVMS())
	}
	w.check(t, "stopped")
}
