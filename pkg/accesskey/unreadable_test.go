package accesskey_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// What lies in the store, in the journal or in the shared document may be broken
// off at any byte, or come from a newer release. It is refused as such, its content
// is not shown, and never is it read as something else.
func TestStoredFormsThatCannotBeRead(t *testing.T) {
	read := map[string]func([]byte) error{
		"item":     func(raw []byte) error { _, err := accesskey.DecodeItem(alice, raw); return err },
		"entry":    func(raw []byte) error { _, err := accesskey.DecodeEntry(raw); return err },
		"document": func(raw []byte) error { _, err := accesskey.DecodeFleetDoc(alice, raw); return err },
	}
	it := accesskey.Item{Identity: alice}.Activate(accesskey.Generation{AccessKey: "AK1", SecretKey: secret.FromString("CANARY"), State: accesskey.Active})
	entry := accesskey.Entry{ID: "1", Intent: accesskey.Issue, Machine: "here", Identity: alice, Started: at, Deadline: at, AccessKey: "CANARY"}
	forms := map[string]func() ([]byte, error){
		"item":     it.Encode,
		"entry":    entry.Encode,
		"document": accesskey.FleetDoc{Stamp: "s", Item: it, Journal: []accesskey.Entry{entry}}.Encode,
	}
	for name, encode := range forms {
		raw, err := encode()
		if err != nil || read[name](raw) != nil {
			t.Fatalf("%s: %v, %v", name, err, read[name](raw))
		}
		var bad [][]byte
		for n := range raw {
			if n > 0 || name != "document" { // no bytes are an empty document
				bad = append(bad, raw[:n])
			}
		}
		for i := range bytes.Count(raw, []byte(`"version":1`)) {
			newer := strings.Split(string(raw), `"version":1`)
			bad = append(bad, []byte(strings.Join(newer[:i+1], `"version":1`)+`"version":2`+strings.Join(newer[i+1:], `"version":1`)))
		}
		for _, raw := range bad {
			if err := read[name](raw); !failure.Is(err, failure.Store) || strings.Contains(err.Error(), "CANARY") || failure.HintOf(err) == "" {
				t.Errorf("%s %s: %v", name, raw, err)
			}
		}
		if err := read[name](bad[len(bad)-1]); !strings.Contains(err.Error(), "newer valetkey") || !strings.Contains(err.Error(), "its version is 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An entry that this release cannot read stops whoever judges by the journal, and
// nobody else: keys are issued and handed out, and other users know whose it is.
// It is never changed.
func TestAJournalEntryThatCannotBeRead(t *testing.T) {
	for what, c := range map[string]struct {
		raw    string
		others bool // are stopped, too
	}{
		"newer":            {`{"version":2,"identity":{"vms":"vms.example.com","user":"alice"},"secret":"CANARY"}`, false},
		"a newer intent":   {`{"version":1,"id":"1","intent":"lease","state":"open","machine":"here","identity":{"vms":"vms.example.com","user":"alice"}}`, false},
		"nobody's":         {`{"version":2}`, true},
		"broken off":       {`{"version":1,"id":"1","intent":"issue","state":"open","machine":"here","identity":{"vms":"vms.example.com","user":"al`, true},
		"empty":            {``, true},
		"of another shape": {`{"version":2,"identity":"vms.example.com/-/alice"}`, true},
	} {
		w := newWorld(t)
		w.identity = accesskey.Identity{VMS: "vms.example.com", User: "alice"}
		dir := filepath.Join(w.dir, "state", "machines", "item-here", "journal")
		if _, err := w.act(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "item-1.json")
		if err := os.WriteFile(path, []byte(c.raw), 0o600); err != nil {
			t.Fatal(err)
		}
		refused := func(do string) {
			t.Helper()
			_, err := w.act(t.Context(), do)
			if !failure.Is(err, failure.Store) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s: %s: %v", what, do, err)
			}
		}
		refused("reap")
		refused("rotate")
		w.atVMS(t, "AK1")
		for _, do := range []string{"", "fresh", "create"} {
			if _, err := w.act(t.Context(), do); err != nil {
				t.Errorf("%s: %s: %v", what, do, err)
			}
		}
		w.atVMS(t, "AK1", "AK2")
		w.identity.User = "bob"
		w.vms.path += ".bob"
		if _, err := w.act(t.Context(), "create"); err != nil {
			t.Errorf("%s: bob: %v", what, err)
		}
		for _, do := range []string{"reap", "rotate"} {
			if c.others {
				refused(do)
			} else if _, err := w.act(t.Context(), do); err != nil {
				t.Errorf("%s: bob, %s: %v", what, do, err)
			}
		}
		raw, err := os.ReadFile(path)
		if diff := cmp.Diff(c.raw, string(raw)); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", what, err, diff)
		}
	}
}

// Two machines share a home, so one store and one state directory. The lock beside
// the store keeps both out, and neither judges by the other's journal.
func TestTwoMachinesOnOneHome(t *testing.T) {
	a := newFileWorld(t)
	a.machine = "a"
	b := fileWorld(a.dir)
	b.machine = "b"
	// a dies while VMS makes its key.
	a.vms.hook = once("after post", 1, errLost)
	if _, err := a.act(t.Context(), ""); err == nil {
		t.Fatal("the answer was not lost")
	}
	a.vms.hook = nil
	list, err := b.service().Reap(t.Context(), accesskey.ReapOptions{})
	if err != nil || len(list) != 0 || len(a.pending(t)) != 1 || len(b.pending(t)) != 0 {
		t.Errorf("b reaps %s, %v; open: %d, %d", actions(list), err, len(a.pending(t)), len(b.pending(t)))
	}
	a.atVMS(t, "AK1")
	// One issues, and both hand it out.
	key, err := b.act(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if same, err := a.act(t.Context(), ""); err != nil || same.AccessKey != key.AccessKey {
		t.Errorf("%+v, %v", same, err)
	}
	// What b issued is not a's orphan, though it was made after a's request.
	if list, err := a.service().Reap(t.Context(), accesskey.ReapOptions{}); err != nil || actions(list) != "deleted AK1" {
		t.Errorf("a reaps %s, %v", actions(list), err)
	}
	a.atVMS(t, key.AccessKey)
	// While one holds the lock the other waits for it.
	claim, err := a.coordinator().Begin(t.Context(), accesskey.Request{Intent: accesskey.Issue})
	if err != nil {
		t.Fatal(err)
	}
	b.wait = 1
	if _, err := b.act(t.Context(), "create"); !failure.Is(err, failure.Store) || failure.DetailsOf(err)["reason"] != "timed_out" {
		t.Errorf("b: %v", err)
	}
	b.wait = 0
	if err := a.coordinator().Abort(t.Context(), claim, accesskey.Outcome{}); err != nil {
		t.Error(err)
	}
	// Rotations coalesce: b begins while a issues, and ends with a's key.
	other := make(chan string, 1)
	a.vms.hook = func(call string) error {
		if call != "before post" {
			return nil
		}
		asked := b.vms.state(t).Times
		go func() {
			key, err := b.act(t.Context(), "rotate")
			if err != nil {
				t.Errorf("b: %v", err)
			}
			other <- key.AccessKey
		}()
		for b.vms.state(t).Times == asked { // it has read the item when it asks for the time
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	}
	r, err := a.act(t.Context(), "rotate")
	if b := <-other; err != nil || b != r.AccessKey {
		t.Errorf("a: %s, %v; b: %s", r.AccessKey, err, b)
	}
	a.atVMS(t, key.AccessKey, r.AccessKey)
}
