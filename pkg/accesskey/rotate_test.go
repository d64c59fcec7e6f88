package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

// rotated is a world in which AK1 retired and AK2 is handed out.
func rotated(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for _, do := range []string{"", "rotate"} {
		if _, err := w.act(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) current(t *testing.T) string {
	t.Helper()
	g, _ := w.item(t).Current()
	return g.AccessKey
}

func (w *world) atVMS(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.vms.state(t).Keys); diff != "" {
		t.Errorf("keys at VMS:\n%s", diff)
	}
}

func TestRotate(t *testing.T) {
	w := newWorld(t)
	w.refresh = 30 * time.Hour // longer than the grace, as an older configuration may have allowed
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.refresh = time.Hour
	r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.New.AccessKey != "AK2" || r.New.State != accesskey.Active || r.Old == nil || r.Old.AccessKey != "AK1" || r.Old.State != accesskey.Retiring {
		t.Errorf("%+v", r)
	}
	if !r.DeleteAfter.Equal(at.Add(30 * time.Hour)) {
		t.Errorf("the old key goes at %v, before the longest refresh is over", r.DeleteAfter)
	}
	w.atVMS(t, "AK1", "AK2")
	w.invariants(t, "rotated")
	if len(w.pending(t)) != 0 {
		t.Errorf("%+v", w.pending(t))
	}
	creds, err := w.service().Credentials(t.Context())
	if err != nil || creds.AccessKey != "AK2" {
		t.Errorf("%v, %v", creds.AccessKey, err)
	}
}

func TestRotateNothing(t *testing.T) {
	w := newWorld(t)
	r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{})
	if err != nil || r.New.AccessKey != "AK1" || r.Old != nil || !r.DeleteAfter.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Undo: true}); !failure.Is(err, failure.NotFound) {
		t.Errorf("undo: %v", err)
	}
}

// One of the two places is taken until the grace is over.
func TestRotateWhileAKeyRetires(t *testing.T) {
	w := rotated(t)
	_, err := w.act(t.Context(), "rotate")
	free := at.Add(24 * time.Hour).Format(time.RFC3339)
	if !failure.Is(err, failure.KeyLimit) || !strings.Contains(err.Error(), free) || failure.DetailsOf(err)["free_at"] != free ||
		failure.DetailsOf(err)["keys"] == nil || !strings.Contains(failure.HintOf(err), "--now") {
		t.Errorf("%v, %v, %s", err, failure.DetailsOf(err), failure.HintOf(err))
	}
	if _, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Wait: time.Hour}); !failure.Is(err, failure.KeyLimit) || len(w.slept) != 0 {
		t.Errorf("a wait that cannot be long enough: %v, slept %v", err, w.slept)
	}
	w.atVMS(t, "AK1", "AK2")
	r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Wait: 25 * time.Hour})
	if err != nil || r.New.AccessKey == "AK2" || r.Old.AccessKey != "AK2" || len(w.slept) == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if posts := w.vms.state(t).Posts; posts > 100 || len(w.notes) != 2 {
		t.Errorf("asked %d times; notes %q", posts, w.notes)
	}
	if slices.Contains(w.vms.state(t).Keys, "AK1") || w.now.Before(at.Add(24*time.Hour)) {
		t.Errorf("after %v: %v", w.now.Sub(at), w.vms.state(t).Keys)
	}
}

func TestRotateReplace(t *testing.T) {
	for what, c := range map[string]struct {
		foreign bool
		replace string
	}{"a retiring key": {false, "AK1"}, "another machine's key": {true, "AK1"}} {
		w := newWorld(t)
		if c.foreign {
			if _, _, err := w.vms.CreateKey(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.act(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		} else {
			w = rotated(t)
		}
		if _, err := w.act(t.Context(), "rotate"); !failure.Is(err, failure.KeyLimit) || !strings.Contains(failure.HintOf(err), "--replace") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Replace: "AK2"}); !failure.Is(err, failure.Usage) {
			t.Errorf("%s: the key in use: %v", what, err)
		}
		r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Replace: c.replace})
		if err != nil || r.Old == nil || r.Old.AccessKey != "AK2" {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		w.atVMS(t, "AK2", r.New.AccessKey)
		w.invariants(t, what)
	}
}

func TestRotateNow(t *testing.T) {
	w := rotated(t)
	r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Now: true})
	if err != nil || r.Old == nil || r.Old.AccessKey != "AK2" || r.Old.Enabled || !r.DeleteAfter.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	w.atVMS(t, r.New.AccessKey)
	w.invariants(t, "now")
	if _, err := w.act(t.Context(), "undo"); !failure.Is(err, failure.NotFound) {
		t.Errorf("undo after --now: %v", err)
	}
}

// The new key is in place, and the old one cannot be deleted: both work, and
// reaping does the rest.
func TestRotateNowWithoutDelete(t *testing.T) {
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.vms.hook = once("delete", 1, failure.New(failure.Network, "unreachable"))
	r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Now: true})
	if !failure.Is(err, failure.Network) || !strings.Contains(err.Error(), "keys reap") || r.New.AccessKey != "AK2" || w.current(t) != "AK2" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := w.act(t.Context(), "reap"); err != nil {
		t.Error(err)
	}
	w.atVMS(t, "AK2")
}

func TestUndo(t *testing.T) {
	w := rotated(t)
	w.later(time.Hour)
	r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Undo: true})
	if err != nil || r.New.AccessKey != "AK1" || r.Old.AccessKey != "AK2" || !r.DeleteAfter.Equal(w.now.Add(24*time.Hour)) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Undo: true}); err != nil || r.New.AccessKey != "AK2" {
		t.Errorf("the undo of an undo: %+v, %v", r, err)
	}
	w.atVMS(t, "AK1", "AK2")
	w.later(25 * time.Hour)
	if _, err := w.act(t.Context(), "undo"); !failure.Is(err, failure.NotFound) {
		t.Errorf("after the grace: %v", err)
	}
	w.invariants(t, "undone")

	gone := rotated(t)
	if err := gone.vms.DeleteKey(t.Context(), "AK1"); err != nil {
		t.Fatal(err)
	}
	if _, err := gone.act(t.Context(), "undo"); !failure.Is(err, failure.NotFound) || gone.current(t) != "AK2" {
		t.Errorf("a deleted key: %v", err)
	}
	if _, err := gone.service().Rotate(t.Context(), accesskey.RotateOptions{Undo: true, Now: true}); !failure.Is(err, failure.Usage) {
		t.Error(err)
	}
}

// A key is handed out only once it works; one that never does is deleted again.
func TestProof(t *testing.T) {
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	tries := 0
	w.prove = func(_ context.Context, c accesskey.Credentials) error {
		if c.AccessKey != "AK2" || c.SecretKey.Reveal() != secretOf("AK2") {
			t.Errorf("asked to prove %v", c.AccessKey)
		}
		if w.current(t) != "AK1" {
			t.Error("handed out before it was proven")
		}
		if tries++; tries < 4 {
			return failure.New(failure.Auth, "InvalidAccessKeyId")
		}
		return nil
	}
	if _, err := w.act(t.Context(), "rotate"); err != nil || tries != 4 || w.current(t) != "AK2" {
		t.Errorf("%v after %d tries", err, tries)
	}

	for what, c := range map[string]struct {
		err  error
		kind failure.Kind
	}{
		"never known":    {failure.New(failure.Auth, "InvalidAccessKeyId"), failure.Network},
		"unreachable":    {failure.New(failure.Network, "refused"), failure.Network},
		"a bad CA file":  {failure.New(failure.Config, "s3.ca_file"), failure.Config},
		"without a kind": {fmt.Errorf("what"), failure.Network},
	} {
		w := newWorld(t)
		if _, err := w.act(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		w.patience = 3
		w.prove = func(context.Context, accesskey.Credentials) error { return c.err }
		_, err := w.act(t.Context(), "rotate")
		if !failure.Is(err, c.kind) || !strings.Contains(err.Error(), "deleted again") || w.current(t) != "AK1" || len(w.item(t).Keys) != 1 {
			t.Errorf("%s: %v", what, err)
		}
		w.atVMS(t, "AK1")
	}
}

// interrupted is a world in which a rotation from AK1 was interrupted while AK2
// was proven.
func interrupted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.prove = func(context.Context, accesskey.Credentials) error { cancel(); return context.Canceled }
	if _, err := w.service().Rotate(ctx, accesskey.RotateOptions{}); !failure.Is(err, failure.Cancelled) || !strings.Contains(failure.HintOf(err), "goes on") {
		t.Errorf("%v", err)
	}
	w.prove = nil
	w.atVMS(t, "AK1", "AK2")
	w.invariants(t, "interrupted")
	if w.current(t) != "AK1" {
		t.Error("an unproven key is handed out")
	}
	return w
}

// An interrupt in the middle leaves a rotation that the next one goes on with.
func TestInterruptedProof(t *testing.T) {
	w := interrupted(t)
	list, err := w.service().Reap(t.Context(), accesskey.ReapOptions{})
	if err != nil || len(list) != 1 || list[0].Action != accesskey.ActionKept || !strings.Contains(list[0].Reason, "keys rotate") {
		t.Errorf("%+v, %v", list, err)
	}
	if r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{}); err != nil || r.New.AccessKey != "AK2" || r.Old.AccessKey != "AK1" {
		t.Errorf("%+v, %v", r, err)
	}
	if posts := w.vms.state(t).Posts; posts != 2 {
		t.Errorf("%d requests", posts)
	}
	w = interrupted(t)
	if r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Undo: true}); err != nil || r.New.AccessKey != "AK1" || r.Old != nil {
		t.Errorf("undo: %+v, %v", r, err)
	}
	w.atVMS(t, "AK1")
}

// Without an S3 endpoint the list proves the key; without a list, its issue does.
func TestProofByTheList(t *testing.T) {
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	unknown := failure.New(failure.Network, "a shape nobody knows")
	w.vms.hook = func(call string) error {
		if call == "list" {
			return unknown
		}
		return nil
	}
	if _, err := w.act(t.Context(), "rotate"); err != nil || w.current(t) != "AK2" {
		t.Error(err)
	}
	if !strings.Contains(strings.Join(w.notes, "\n"), "nothing but its issue") {
		t.Errorf("notes: %q", w.notes)
	}
}

// Whoever finds that another has rotated meanwhile takes its result.
func TestRotationsCoalesce(t *testing.T) {
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.overtaken(t, "rotate")
	r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Replace: "AK9"})
	if err != nil || r.New.AccessKey != "AK2" || r.Old.AccessKey != "AK1" || w.vms.state(t).Posts != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if w.overtaken(t, "undo"); w.current(t) != "AK2" {
		t.Fatal(w.current(t))
	}
	if r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{Undo: true}); err != nil || r.New.AccessKey != "AK1" || r.Old.AccessKey != "AK2" {
		t.Errorf("undo: %+v, %v", r, err)
	}
	// Whoever wants the old key gone at once gets that, too.
	w = newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.overtaken(t, "rotate")
	r, err = w.service().Rotate(t.Context(), accesskey.RotateOptions{Now: true})
	if err != nil || r.New.AccessKey != "AK2" || r.Old == nil || r.Old.AccessKey != "AK1" || !r.DeleteAfter.IsZero() {
		t.Errorf("now: %+v, %v", r, err)
	}
	w.atVMS(t, "AK2")
}

// overtaken lets another process act when the next call has read the item and
// done nothing yet.
func (w *world) overtaken(t *testing.T, do string) {
	other := *w
	other.vms = &cluster{path: w.vms.path}
	first := true
	w.vms.hook = func(call string) error {
		if call == "time" && first {
			first = false
			if _, err := other.act(context.Background(), do); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
}

// The store fails at each call of a rotation: the key that is handed out works,
// and the next rotation comes to an end.
func TestTheStoreFailsInARotation(t *testing.T) {
	broken := failure.New(failure.Store, "gone")
	for _, call := range []string{"before get", "before put", "after put"} {
		for n := 1; ; n++ {
			w := newWorld(t)
			if _, err := w.act(t.Context(), ""); err != nil {
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
			_, err := w.act(t.Context(), "rotate")
			w.store.hook = nil
			if !reached {
				break
			}
			w.working(t, what)
			w.invariants(t, what)
			if err != nil && !failure.Is(err, failure.Store) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := w.act(t.Context(), "rotate"); err != nil && w.current(t) != "AK2" {
				t.Errorf("%s: the next rotation: %v", what, err)
			}
			w.invariants(t, what+", then again")
		}
	}
}

// A refresh that was recorded late does not outlive the old key.
func TestRefreshOfARetiredKey(t *testing.T) {
	it := accesskey.Item{Identity: alice}.Activate(generation("A", accesskey.Active)).
		Stage(generation("B", accesskey.Active), "i").Promote("B", at, 24*time.Hour).RecordRefresh("A", 48*time.Hour)
	if g, _ := it.Find("A"); g.LongestRefresh != time.Hour {
		t.Errorf("%v", g.LongestRefresh)
	}
	unrecorded := generation("A", accesskey.Active)
	unrecorded.LongestRefresh = 0
	it = accesskey.Item{Identity: alice}.Activate(unrecorded).Stage(generation("B", accesskey.Active), "i").Promote("B", at, 0)
	if g, _ := it.Find("A"); g.DeleteAfter.Sub(at) < accesskey.MinRefresh {
		t.Errorf("deleted after %v", g.DeleteAfter.Sub(at))
	}
}

// What is promised is reckoned by the later of the two clocks.
func TestRotateWithAClockThatIsBehind(t *testing.T) {
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.vms.clock = at.Add(10 * time.Hour)
	r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{})
	if err != nil || r.DeleteAfter.Before(at.Add(33*time.Hour)) {
		t.Errorf("%v, %v", r.DeleteAfter, err)
	}
}

// Two processes have the same key to prove, and come to different ends.
func TestProofsThatDiffer(t *testing.T) {
	refused := failure.New(failure.Auth, "InvalidAccessKeyId")
	w := interrupted(t)
	other := *w
	w.patience = 1
	w.prove = func(context.Context, accesskey.Credentials) error {
		if _, err := other.act(context.Background(), "rotate"); err != nil {
			t.Error(err)
		}
		return refused
	}
	if r, err := w.service().Rotate(t.Context(), accesskey.RotateOptions{}); err != nil || r.New.AccessKey != "AK2" {
		t.Errorf("the other has proven it: %+v, %v", r, err)
	}
	w.atVMS(t, "AK1", "AK2")

	for _, fails := range []error{nil, failure.New(failure.Network, "unreachable")} {
		w = interrupted(t)
		other = *w
		other.vms = &cluster{path: w.vms.path, hook: once("delete", 1, fails)}
		w.prove = func(context.Context, accesskey.Credentials) error {
			if _, err := other.act(context.Background(), "undo"); !errors.Is(err, fails) {
				t.Error(err)
			}
			return nil
		}
		if _, err := w.act(t.Context(), "rotate"); !failure.Is(err, failure.Conflict) || w.current(t) != "AK1" {
			t.Errorf("the other has given it up: %v", err)
		}
		if _, err := w.act(t.Context(), "reap"); err != nil {
			t.Error(err)
		}
		w.atVMS(t, "AK1")
	}
}

// Any run of rotations keeps what is promised of the roles.
func TestRoles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := accesskey.Item{Identity: alice}
		now, next := at, 0
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(-2, 30).Draw(t, "hours")) * time.Hour)
			grace := time.Duration(rapid.IntRange(0, 48).Draw(t, "grace")) * time.Hour
			was, before := it, encoded(t, it)
			current, had := it.Current()
			var names []string
			for _, g := range it.Live() {
				names = append(names, g.AccessKey)
			}
			name := rapid.SampledFrom(append(names, "none")).Draw(t, "name")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				next++
				it = it.Stage(generation(fmt.Sprint("K", next), accesskey.Active), fmt.Sprint("i", next))
				if g, ok := it.Staged(); !ok || g.AccessKey != fmt.Sprint("K", next) {
					t.Fatalf("staged is %v", g.AccessKey)
				}
				if now, has := it.Current(); has != had || now.AccessKey != current.AccessKey {
					t.Fatal("a staged key is handed out")
				}
			case 1:
				it = it.Promote(name, now, grace)
				g, ok := it.Current()
				if name != "none" && (!ok || g.AccessKey != name || !g.DeleteAfter.IsZero() || g.Intent != "") {
					t.Fatalf("promoted %s, current is %+v", name, g)
				}
				if old, ok := it.Find(current.AccessKey); ok && had && name != "none" && name != current.AccessKey {
					if old.State != accesskey.Retiring || old.DeleteAfter.Before(old.RefreshUntil) ||
						old.RefreshUntil.Sub(now) < max(old.LongestRefresh, accesskey.MinRefresh) || old.DeleteAfter.Sub(now) < grace {
						t.Fatalf("the old key: %+v", old)
					}
				}
			case 2:
				it = it.Condemn(name, now)
				if g, ok := it.Find(name); ok && g.State != accesskey.Retiring {
					t.Fatalf("%+v", g)
				}
			case 3:
				it = it.MarkEnabled(name, rapid.Bool().Draw(t, "enabled"))
			}
			if len(it.Live()) < len(was.Live()) {
				t.Fatal("a key was lost")
			}
			if encoded(t, was) != before {
				t.Fatal("a transition changed its argument")
			}
			back, err := accesskey.DecodeItem(alice, []byte(encoded(t, it)))
			if err != nil || encoded(t, back) != encoded(t, it) {
				t.Fatalf("the item does not survive a round trip: %v", err)
			}
		}
	})
}

func encoded(t *rapid.T, it accesskey.Item) string {
	raw, err := it.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
