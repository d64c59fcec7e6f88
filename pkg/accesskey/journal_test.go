package accesskey_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

func entry() accesskey.Entry {
	return accesskey.Entry{
		ID: "20261122170000-0123456789abcdef", Intent: accesskey.Issue, Machine: strings.Repeat("0f", 16),
		Identity: accesskey.Identity{VMS: "vms.example.com:8443", Tenant: "research", User: `CORP\alice`},
		Started:  at, Deadline: at.Add(30 * time.Second), ServerClock: at.Add(5 * time.Second),
		KeysBefore: accesskey.Keys{Known: true, List: []string{"4XACULB2SLCZ80ZQPVMX"}},
	}
}

func TestEntryGolden(t *testing.T) {
	unknown, none, left, lent, stored := entry(), entry(), entry(), entry(), entry()
	unknown.KeysBefore, unknown.ServerClock, unknown.Identity.Tenant = accesskey.Keys{}, time.Time{}, ""
	none.KeysBefore = accesskey.Keys{Known: true}
	left.AccessKey, left.Intent, left.Closed = "AK1", accesskey.Rotate, true
	stored.Store = "file:/home/alice/.local/share/valetkey"
	lent.Intent, lent.AccessKey = accesskey.Ephemeral, "AK1"
	for name, e := range map[string]accesskey.Entry{
		"entry-lent.v1.json": lent, "entry-store.v1.json": stored,
		"entry.v1.json": entry(), "entry-unknown.v1.json": unknown, "entry-none.v1.json": none, "entry-left.v1.json": left,
	} {
		want := golden(t, name)
		got, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		back, err := accesskey.DecodeEntry(want)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := back.Encode(); !bytes.Equal(again, got) || back.KeysBefore.Known != e.KeysBefore.Known {
			t.Errorf("%s: %s after a round trip", name, again)
		}
	}
}

func TestDecodeEntryRefuses(t *testing.T) {
	good, _ := entry().Encode()
	change := func(old, new string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("%s is not in the entry", old)
		}
		return strings.Replace(string(good), old, new, 1)
	}
	for what, raw := range map[string]string{
		"nothing":           ``,
		"half":              string(good[:40]),
		"no version":        change(`"version":1,`, ``),
		"no id":             change(`"id":"2026`, `"id":"","i":"`),
		"no list":           change(`"keys_before":[`, `"keys_before":5,"k":[`),
		"another word":      change(`"keys_before":["4XACULB2SLCZ80ZQPVMX"]`, `"keys_before":"none"`),
		"newer: version":    change(`"version":1`, `"version":2`),
		"newer: member":     change(`{`, `{"more":1,`),
		"newer: intent":     change(`"issue"`, `"teleport"`),
		"newer: state":      change(`"open"`, `"ajar"`),
		"newer, other form": `{"version":2,"id":5}`,
	} {
		_, err := accesskey.DecodeEntry([]byte(raw))
		if !failure.Is(err, failure.Store) {
			t.Errorf("%s: %v", what, err)
		}
		if what != "no id" && strings.HasPrefix(what, "newer") != strings.Contains(fmt.Sprint(err), "newer valetkey") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWindow(t *testing.T) {
	from, to, ok := entry().Window()
	if !ok || !from.Equal(at.Add(5*time.Second)) || !to.Equal(at.Add(35*time.Second)) {
		t.Error(from, to, ok)
	}
	e := entry()
	e.ServerClock = time.Time{}
	if _, _, ok := e.Window(); ok {
		t.Error("a window by an unknown clock")
	}
}

func TestJournal(t *testing.T) {
	j := accesskey.Journal{Dir: filepath.Join(t.TempDir(), "journal")}
	entries := func() []accesskey.Entry {
		t.Helper()
		list, err := j.Entries()
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if len(entries()) != 0 {
		t.Error("an absent journal has entries")
	}
	first, second := entry(), entry()
	second.ID = "20261122170001-00"
	open, err := j.Open(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	other, err := j.Open(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if got := entries(); len(got) != 2 || got[0].ID != first.ID || !got[0].Alive || !got[1].Alive {
		t.Errorf("two open entries: %+v", got)
	}
	if err := open.Update(func(e *accesskey.Entry) { e.AccessKey = "left" }); err != nil {
		t.Fatal(err)
	}
	open.Leave()
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	got := entries()
	if len(got) != 1 || got[0].Alive || got[0].AccessKey != "left" {
		t.Errorf("one left by a dead process: %+v", got)
	}
	files, _ := os.ReadDir(j.Dir)
	if len(files) != 2 {
		t.Errorf("files: %v", files)
	}
	if err := os.WriteFile(filepath.Join(j.Dir, "item-x.json"), []byte(`{"version":7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Entries(); !failure.Is(err, failure.Store) || !strings.Contains(err.Error(), "item-x.json") {
		t.Errorf("a newer entry: %v", err)
	}
}

func TestJournalWithoutAPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := accesskey.Journal{Dir: filepath.Join(file, "journal")}
	if _, err := j.Open(t.Context(), entry()); !failure.Is(err, failure.Config) || !strings.Contains(failure.HintOf(err), "VALETKEY_STATE_DIR") {
		t.Errorf("%v", err)
	}
}
