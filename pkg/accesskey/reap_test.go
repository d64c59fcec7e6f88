package accesskey_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

var errLost = failure.New(failure.Network, "connection reset")

// lost is a world in which VMS made AK1 and the answer was lost.
func lost(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.vms.hook = once("after post", 1, errLost)
	if _, err := w.act(t.Context(), ""); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	w.vms.hook = nil
	w.atVMS(t, "AK1")
	return w
}

// foreign makes a key that another machine holds.
func (w *world) foreign(t *testing.T, clock time.Time) {
	t.Helper()
	if _, _, err := (&cluster{path: w.vms.path, clock: clock}).CreateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func actions(list []accesskey.Reaped) string {
	var words []string
	for _, r := range list {
		words = append(words, string(r.Action)+" "+r.AccessKey)
	}
	return strings.Join(words, ", ")
}

func TestReapRetired(t *testing.T) {
	w := rotated(t)
	for _, c := range []struct {
		later time.Duration
		o     accesskey.ReapOptions
		want  string
	}{
		{0, accesskey.ReapOptions{}, "kept AK1"},
		{23 * time.Hour, accesskey.ReapOptions{}, "kept AK1"},
		{2 * time.Hour, accesskey.ReapOptions{OlderThan: 48 * time.Hour}, "kept AK1"},
		{0, accesskey.ReapOptions{DryRun: true}, "deleted AK1"},
		{0, accesskey.ReapOptions{DryRun: true}, "deleted AK1"},
		{0, accesskey.ReapOptions{OlderThan: 24 * time.Hour}, "deleted AK1"},
		{0, accesskey.ReapOptions{}, ""},
	} {
		w.later(c.later)
		list, err := w.service().Reap(t.Context(), c.o)
		if err != nil || actions(list) != c.want {
			t.Errorf("after %v, %+v: %s, %v", w.now.Sub(at), c.o, actions(list), err)
		}
		w.invariants(t, "reap")
	}
	w.atVMS(t, "AK2")
}

// Of the two clocks the one that keeps a key longer counts.
func TestReapWithAClockThatIsWrong(t *testing.T) {
	w := rotated(t)
	w.now = at.Add(1000 * time.Hour)
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "kept AK1" {
		t.Errorf("our clock is ahead: %s, %v", actions(list), err)
	}
	w.now, w.vms.clock = at, at.Add(1000*time.Hour)
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "kept AK1" {
		t.Errorf("the clock of VMS is ahead: %s, %v", actions(list), err)
	}
}

func TestReapAKeyThatIsGone(t *testing.T) {
	w := rotated(t)
	if err := w.vms.DeleteKey(t.Context(), "AK1"); err != nil {
		t.Fatal(err)
	}
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "deleted AK1" {
		t.Errorf("%s, %v", actions(list), err)
	}
	w.invariants(t, "gone")
	w = rotated(t)
	w.later(25 * time.Hour)
	w.vms.hook = once("delete", 1, failure.New(failure.NotFound, "no such key"))
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "deleted AK1" {
		t.Errorf("a 404: %s, %v", actions(list), err)
	}
}

func TestReapOrphan(t *testing.T) {
	w := lost(t)
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{DryRun: true}); err != nil || actions(list) != "deleted AK1" {
		t.Errorf("dry: %s, %v", actions(list), err)
	}
	w.atVMS(t, "AK1")
	no := errors.New("no")
	if _, err := w.service().Reap(t.Context(), accesskey.ReapOptions{Confirm: func([]accesskey.Reaped) error { return no }}); !errors.Is(err, no) {
		t.Error(err)
	}
	w.atVMS(t, "AK1")
	asked := ""
	list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{Confirm: func(list []accesskey.Reaped) error { asked = actions(list); return nil }})
	if err != nil || actions(list) != "deleted AK1" || asked != "deleted AK1" || !strings.Contains(list[0].Reason, "answer was lost") {
		t.Errorf("%+v, %v", list, err)
	}
	if n := len(w.vms.state(t).Keys); n != 0 || len(w.pending(t)) != 0 {
		t.Errorf("%d keys, entries %+v", n, w.pending(t))
	}
	// What was not asked about is not deleted.
	w = rotated(t)
	list, err = w.service().Reap(t.Context(), accesskey.ReapOptions{Confirm: func([]accesskey.Reaped) error {
		t.Error("asked about nothing")
		return nil
	}})
	if err != nil || actions(list) != "kept AK1" {
		t.Errorf("%+v, %v", list, err)
	}
	first := true
	w.vms.hook = func(call string) error {
		if call == "list" && first {
			first = false
			w.later(25 * time.Hour) // the grace ends between the look and the deed
		}
		return nil
	}
	list, err = w.service().Reap(t.Context(), accesskey.ReapOptions{Confirm: func([]accesskey.Reaped) error { return nil }})
	if err != nil || actions(list) != "kept AK1" {
		t.Errorf("%+v, %v", list, err)
	}
}

// The matrix of evidence: what is not proven is kept, named, and a finding.
func TestEvidence(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*testing.T, *world)
		want   string
		kind   failure.Kind // Internal is no error
	}{
		"proven":                      {nil, "deleted AK1", failure.Internal},
		"a key from before the lot":   {func(t *testing.T, w *world) { w.foreign(t, at.Add(-time.Hour)) }, "deleted AK1", failure.Internal},
		"a key from after the window": {func(t *testing.T, w *world) { w.foreign(t, at.Add(time.Hour)) }, "deleted AK1", failure.Internal},
		"two in the window":           {func(t *testing.T, w *world) { w.foreign(t, at.Add(time.Second)) }, "kept AK1, kept AK2", failure.Finding},
		"one without a time":          {func(t *testing.T, w *world) { w.foreign(t, time.Unix(0, 0)); w.forget(t, "AK2") }, "kept AK1, kept AK2", failure.Finding},
		"no creation time":            {func(t *testing.T, w *world) { w.forget(t, "AK1") }, "kept AK1", failure.Finding},
		"keys before unknown":         {func(t *testing.T, w *world) { w.entry(t, func(e *accesskey.Entry) { e.KeysBefore = accesskey.Keys{} }) }, "kept AK1", failure.Finding},
		"for which store is unknown":  {func(t *testing.T, w *world) { w.entry(t, func(e *accesskey.Entry) { e.Store = "" }) }, "kept AK1", failure.Finding},
		"no clock of VMS":             {func(t *testing.T, w *world) { w.entry(t, func(e *accesskey.Entry) { e.ServerClock = time.Time{} }) }, "kept AK1", failure.Finding},
		"another machine's entry":     {func(t *testing.T, w *world) { w.entry(t, func(e *accesskey.Entry) { e.Machine = "there" }) }, "", failure.Internal},
		"it was there before": {func(t *testing.T, w *world) {
			w.entry(t, func(e *accesskey.Entry) { e.KeysBefore.List = []string{"AK1"} })
		}, "", failure.Internal},
		"created before the intent": {func(t *testing.T, w *world) {
			w.entry(t, func(e *accesskey.Entry) { e.ServerClock = at.Add(time.Second) })
		}, "", failure.Internal},
		"created after the deadline": {func(t *testing.T, w *world) {
			w.entry(t, func(e *accesskey.Entry) { e.ServerClock = at.Add(-time.Hour) })
		}, "", failure.Internal},
		"another machine is issuing": {func(t *testing.T, w *world) { w.lease(t, at.Add(time.Minute)) }, "kept AK1", failure.Finding},
		"another's lease is over":    {func(t *testing.T, w *world) { w.lease(t, at.Add(-time.Minute)) }, "deleted AK1", failure.Internal},
		"left over, and named so": {func(t *testing.T, w *world) {
			w.entry(t, func(e *accesskey.Entry) { e.KeysBefore, e.AccessKey = accesskey.Keys{}, "AK1" })
		}, "deleted AK1", failure.Internal},
	} {
		w := lost(t)
		if c.change != nil {
			c.change(t, w)
		}
		before := w.vms.state(t).Keys
		list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{})
		if actions(list) != c.want || failure.KindOf(err) != c.kind && err != nil || (err == nil) != (c.kind == failure.Internal) {
			t.Errorf("%s: %s, %v", what, actions(list), err)
		}
		if c.kind == failure.Finding && !strings.Contains(failure.HintOf(err), "--access-key AK1") {
			t.Errorf("%s: hint %s", what, failure.HintOf(err))
		}
		if strings.HasPrefix(c.want, "deleted") {
			before = slices.DeleteFunc(before, func(id string) bool { return id == "AK1" })
		}
		if diff := cmp.Diff(before, w.vms.state(t).Keys); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
}

// lease puts room into the store that another machine issues a key for.
func (w *world) lease(t *testing.T, until time.Time) {
	t.Helper()
	it := w.item(t).AddPending("theirs", "there", at)
	it.Keys[0].LeaseUntil = until
	raw, err := it.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Store.Put(t.Context(), w.identity.Item(), raw); err != nil {
		t.Fatal(err)
	}
}

// forget makes VMS tell no creation time of a key.
func (w *world) forget(t *testing.T, id string) {
	t.Helper()
	if err := w.vms.change(func(s *clusterState) error { delete(s.Created, id); return nil }); err != nil {
		t.Fatal(err)
	}
}

// entry changes the one open entry.
func (w *world) entry(t *testing.T, change func(*accesskey.Entry)) {
	t.Helper()
	open := w.pending(t)
	if len(open) != 1 {
		t.Fatalf("entries %+v", open)
	}
	change(&open[0])
	if err := w.coordinator().Settle(t.Context(), open[0]); err != nil {
		t.Fatal(err)
	}
}

func TestReapUnknownList(t *testing.T) {
	w := lost(t)
	unknown := failure.New(failure.Network, "a shape nobody knows")
	w.vms.hook = once("list", 1, unknown)
	if _, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); !errors.Is(err, unknown) {
		t.Error(err)
	}
	w.atVMS(t, "AK1")
}

func TestReapNamed(t *testing.T) {
	w := lost(t)
	w.foreign(t, at.Add(time.Second))
	for id, kind := range map[string]failure.Kind{"AK9": failure.NotFound} {
		if _, err := w.service().Reap(t.Context(), accesskey.ReapOptions{AccessKeys: []string{id}}); !failure.Is(err, kind) {
			t.Errorf("%s: %v", id, err)
		}
	}
	list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{AccessKeys: []string{"AK1"}})
	if err != nil || actions(list) != "deleted AK1, kept AK2" || len(w.pending(t)) != 0 {
		t.Errorf("%s, %v", actions(list), err)
	}
	w.atVMS(t, "AK2")
	if _, err := w.service().Reap(t.Context(), accesskey.ReapOptions{AccessKeys: []string{"AK2"}}); !failure.Is(err, failure.Usage) || !strings.Contains(failure.HintOf(err), "keys delete AK2") {
		t.Errorf("a foreign key: %v", err)
	}
}

// Two candidates were in doubt; one of them goes. That does not convict the other.
func TestDoubtStays(t *testing.T) {
	w := lost(t)
	w.foreign(t, at.Add(time.Second))
	if _, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); !failure.Is(err, failure.Finding) {
		t.Fatal(err)
	}
	if err := w.vms.DeleteKey(t.Context(), "AK1"); err != nil {
		t.Fatal(err)
	}
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); !failure.Is(err, failure.Finding) || actions(list) != "kept AK2" {
		t.Errorf("%s, %v", actions(list), err)
	}
	w.atVMS(t, "AK2")
}

// Several answers are lost one after the other, within one window.
func TestReapSeveralOrphans(t *testing.T) {
	w := lost(t)
	w.vms.hook = once("after post", 1, errLost)
	w.later(time.Second)
	if _, err := w.act(t.Context(), "create"); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{})
	if err != nil || actions(list) != "deleted AK1, deleted AK2" || len(w.pending(t)) != 0 {
		t.Errorf("%s, %v, %+v", actions(list), err, w.pending(t))
	}
}

// A process that lives may be about to store the only candidate.
func TestReapBesideALiveProcess(t *testing.T) {
	w := lost(t)
	places := accesskey.PlacesIn(filepath.Join(w.dir, "state"), w.machine, filepath.Join(w.dir, "store"), w.identity)
	live := w.pending(t)[0]
	live.ID = "live"
	open, err := accesskey.Journal{Dir: places.JournalDir}.Open(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{})
	if !failure.Is(err, failure.Finding) || actions(list) != "kept AK1" {
		t.Errorf("%s, %v", actions(list), err)
	}
	if err := w.coordinator().Settle(t.Context(), open.Entry); !failure.Is(err, failure.Conflict) {
		t.Errorf("a live entry was settled: %v", err)
	}
	open.Leave()
	if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "deleted AK1" {
		t.Errorf("%s, %v", actions(list), err)
	}
	if len(w.pending(t)) != 0 {
		t.Errorf("%+v", w.pending(t))
	}
}

// A key that was issued into another store within the window is not convicted.
func TestReapKnowsOtherStores(t *testing.T) {
	w := newWorld(t)
	w.vms.hook = once("before post", 1, errLost) // nothing was made
	if _, err := w.act(t.Context(), ""); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	other := newWorld(t)
	other.dir, other.vms = w.dir, &cluster{path: w.vms.path}
	if _, err := other.act(t.Context(), "create"); err != nil {
		t.Fatal(err)
	}
	list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{})
	if err != nil || len(list) != 0 {
		t.Errorf("%s, %v", actions(list), err)
	}
	w.atVMS(t, "AK1")
}

// An entry whose request made nothing is closed once nothing can come of it.
func TestReapClosesWhatCameToNothing(t *testing.T) {
	w := newWorld(t)
	w.vms.hook = once("before post", 1, errLost)
	if _, err := w.act(t.Context(), ""); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	for _, open := range []int{1, 0} {
		if list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || len(list) != 0 || len(w.pending(t)) != open {
			t.Errorf("%v, %v, %d entries", list, err, len(w.pending(t)))
		}
		w.later(time.Minute)
		if open == 1 {
			w.invariants(t, "early")
		}
	}
}

// A cold start that finds a proven orphan deletes it first, and says so.
func TestColdStartReaps(t *testing.T) {
	w := lost(t)
	w.foreign(t, at.Add(-time.Hour)) // the other place
	creds, err := w.service().Credentials(t.Context())
	if err != nil || creds.AccessKey != "AK3" {
		t.Errorf("%s, %v", creds.AccessKey, err)
	}
	if len(w.notes) != 1 || !strings.Contains(w.notes[0], "deleted AK1") {
		t.Errorf("notes %q", w.notes)
	}
	w.atVMS(t, "AK2", "AK3")
	w.invariants(t, "cold", "AK2")
	// What is not proven stays, and is not spoken of.
	w = lost(t)
	w.forget(t, "AK1")
	if _, err := w.service().Credentials(t.Context()); err != nil || len(w.notes) != 0 {
		t.Errorf("%v, %q", err, w.notes)
	}
	w.atVMS(t, "AK1", "AK2")
	// A list that fails does not keep anybody from a key.
	w = lost(t)
	w.vms.hook = once("list", 1, errLost)
	if _, err := w.service().Credentials(t.Context()); err != nil {
		t.Error(err)
	}
	// keys create deletes nothing by itself.
	w = lost(t)
	if _, err := w.act(t.Context(), "create"); err != nil {
		t.Error(err)
	}
	w.atVMS(t, "AK1", "AK2")
}

// A rotation whose answer was lost is made good by the next one.
func TestRotationAfterALostAnswer(t *testing.T) {
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.vms.hook = once("after post", 1, errLost)
	if _, err := w.act(t.Context(), "rotate"); !errors.Is(err, errLost) || w.current(t) != "AK1" {
		t.Error(err)
	}
	w.vms.hook = nil
	w.atVMS(t, "AK1", "AK2")
	if _, err := w.act(t.Context(), "rotate"); err != nil || w.current(t) != "AK3" {
		t.Error(err)
	}
	w.atVMS(t, "AK1", "AK3")
	if len(w.notes) != 1 || !strings.Contains(w.notes[0], "deleted AK2") {
		t.Errorf("%q", w.notes)
	}
}

// switched is a VMS that lets the caller disable keys.
type switched struct {
	*cluster
	off map[string]bool
	err error
}

func (s *switched) SetKeyEnabled(_ context.Context, id string, enabled bool) error {
	if s.err == nil {
		s.off[id] = !enabled
	}
	return s.err
}

func TestDisable(t *testing.T) {
	w := rotated(t)
	vms := &switched{cluster: w.vms, off: map[string]bool{}}
	service := func() *accesskey.Service {
		return accesskey.New(accesskey.Deps{
			Identity: w.identity, Coordinator: w.coordinator(),
			VMS:     func(context.Context) (accesskey.VMSKeys, error) { return vms, nil },
			Machine: func() (string, error) { return w.machine, nil }, Now: func() time.Time { return w.now },
		})
	}
	reap := func(want string) {
		t.Helper()
		if list, err := service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != want {
			t.Errorf("%s, %v; want %s", actions(list), err, want)
		}
	}
	reap("kept AK1") // in use for an hour yet
	w.later(2 * time.Hour)
	vms.err = failure.New(failure.Forbidden, "no")
	reap("kept AK1")
	vms.err = nil
	reap("disabled AK1")
	reap("kept AK1")
	if !vms.off["AK1"] {
		t.Error("not disabled")
	}
	if r, err := service().Rotate(t.Context(), accesskey.RotateOptions{Undo: true}); err != nil || r.New.AccessKey != "AK1" || !r.New.Enabled || vms.off["AK1"] {
		t.Errorf("%+v, %v", r, err)
	}
}

// What could not be deleted is not reported as deleted: the error stands alone.
func TestReapThatFailsReportsNothing(t *testing.T) {
	for _, dry := range []bool{false, true} {
		w := rotated(t)
		w.later(25 * time.Hour)
		op := "delete"
		if dry {
			op = "list"
		}
		w.vms.hook = once(op, 1, failure.New(failure.Network, "unreachable"))
		notes := len(w.notes)
		list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{DryRun: dry})
		if !failure.Is(err, failure.Network) || list != nil || len(w.notes) != notes || strings.Count(err.Error(), "AK1") > 1 {
			t.Errorf("dry run %t: %v, %v; %q", dry, list, err, w.notes)
		}
	}
}
