package accesskey_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

func TestFiftyCallersIssueOneKey(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 50 {
		wg.Go(func() {
			key, err := w.service().EnsureKey(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[key.AccessKey+" "+key.SecretKey.Reveal()]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"AK1 " + secretOf("AK1"): 50}, got); diff != "" {
		t.Error(diff)
	}
	if posts := w.vms.state(t).Posts; posts != 1 {
		t.Errorf("%d requests", posts)
	}
	if open := w.pending(t); len(open) != 0 {
		t.Errorf("open entries: %+v", open)
	}
	w.invariants(t, "fifty")
}

// The warm path is one read of the store and nothing else.
func TestWarmPath(t *testing.T) {
	w := newWorld(t)
	if _, err := w.service().Credentials(t.Context()); err != nil {
		t.Fatal(err)
	}
	var calls []string
	w.store.hook = func(call string) error { calls = append(calls, call); return nil }
	w.vms.hook = w.store.hook
	w.dir = "\x00" // no path below it can exist
	creds, err := w.service().Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(calls, " ") != "before get after get" {
		t.Errorf("calls: %v", calls)
	}
	if creds.AccessKey != "AK1" || creds.SecretKey.Reveal() != secretOf("AK1") || !creds.SessionToken.IsEmpty() || !creds.Soft || !creds.Expires.Equal(at.Add(time.Hour)) {
		t.Errorf("%+v", creds)
	}
}

func TestCurrentWithoutAKey(t *testing.T) {
	_, err := newWorld(t).service().Current(t.Context())
	if !failure.Is(err, failure.NotFound) || failure.HintOf(err) == "" {
		t.Error(err)
	}
}

func TestLongestRefresh(t *testing.T) {
	w := newWorld(t)
	expires := func() time.Duration {
		t.Helper()
		c, err := w.service().Credentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.Expires.Sub(at)
	}
	recorded := func() time.Duration { g, _ := w.item(t).Current(); return g.LongestRefresh }
	if d := expires(); d != time.Hour || recorded() != time.Hour {
		t.Errorf("issued for %v, recorded %v", d, recorded())
	}
	puts := 0
	w.store.hook = func(call string) error {
		if call == "before put" {
			puts++
		}
		return nil
	}
	w.refresh = 8 * time.Hour
	if d := expires(); d != 8*time.Hour || recorded() != 8*time.Hour || puts != 1 {
		t.Errorf("longer: %v, recorded %v, %d writes", d, recorded(), puts)
	}
	w.refresh = 2 * time.Hour
	if d := expires(); d != 2*time.Hour || recorded() != 8*time.Hour || puts != 1 {
		t.Errorf("shorter: %v, recorded %v, %d writes", d, recorded(), puts)
	}
	w.refresh = time.Minute
	if d := expires(); d != accesskey.MinRefresh {
		t.Errorf("too short: %v", d)
	}
	// What cannot be recorded is not handed out.
	w.refresh = 24 * time.Hour
	w.store.hook = func(call string) error {
		if call == "before put" {
			return failure.New(failure.Store, "read-only")
		}
		return nil
	}
	if d := expires(); d != 8*time.Hour || recorded() != 8*time.Hour {
		t.Errorf("unrecordable: %v, recorded %v", d, recorded())
	}
}

func TestCreateIsAlwaysNew(t *testing.T) {
	w := newWorld(t)
	first, err := w.service().Create(t.Context())
	if err != nil || first.Key.AccessKey != "AK1" || len(first.Others) != 0 || !first.Key.IssuedHere || !first.Key.Stored {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := w.service().Create(t.Context())
	if err != nil || second.Key.AccessKey != "AK2" || len(second.Others) != 1 || second.Others[0].AccessKey != "AK1" {
		t.Fatalf("%+v, %v", second, err)
	}
	if now, _ := w.service().Current(t.Context()); now.AccessKey != "AK2" {
		t.Errorf("handed out: %s", now.AccessKey)
	}
	if key, isNew, err := w.service().CreateIfMissing(t.Context()); err != nil || isNew || key.AccessKey != "AK2" || !key.IssuedHere {
		t.Errorf("if missing: %+v, %v, %v", key, isNew, err)
	}
	w.invariants(t, "two keys")
	before := w.item(t)

	w.now = at.Add(72 * time.Hour)
	_, err = w.service().Create(t.Context())
	if !failure.Is(err, failure.KeyLimit) {
		t.Fatalf("third: %v", err)
	}
	for _, want := range []string{"AK1, 3 days old, stored here", "AK2, 3 days old"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	for _, want := range []string{"keys delete", "--if-missing", "administrator"} {
		if !strings.Contains(failure.HintOf(err), want) {
			t.Errorf("the hint lacks %q", want)
		}
	}
	details, _ := json.Marshal(failure.DetailsOf(err))
	want := `{"keys":[{"access_key":"AK1","user":"alice","enabled":true,"created":"2026-11-22T17:00:00Z","age_seconds":259200,"stored":true,"issued_here":true,"state":"active"},` +
		`{"access_key":"AK2","user":"alice","enabled":true,"created":"2026-11-22T17:00:00Z","age_seconds":259200,"stored":true,"issued_here":true,"state":"active"}]}`
	if diff := cmp.Diff(want, string(details)); diff != "" {
		t.Error(diff)
	}
	compare(t, "after a refusal", before, w.item(t))
	if len(w.pending(t)) != 0 {
		t.Error("a refusal left an entry open")
	}
}

// The list explains a refusal and never replaces it.
func TestLimitWithoutAList(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		if _, err := w.service().Create(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.vms.hook = func(call string) error {
		if call == "list" {
			return failure.New(failure.Network, "a shape nobody knows")
		}
		return nil
	}
	_, err := w.service().Create(t.Context())
	if !failure.Is(err, failure.KeyLimit) || failure.HintOf(err) == "" || strings.Contains(err.Error(), "shape") {
		t.Error(err)
	}
}

func TestAnUnknownListDoesNotStopIssuing(t *testing.T) {
	for name, err := range map[string]error{
		"shape":     failure.New(failure.Network, "unknown shape"),
		"forbidden": failure.New(failure.Forbidden, "may not list"),
	} {
		w := newWorld(t)
		var seen []accesskey.Entry
		w.vms.hook = func(call string) error {
			switch call {
			case "list":
				return err
			case "time":
				return errors.New("no date")
			case "before post":
				seen = w.pending(t)
			}
			return nil
		}
		key, got := w.service().EnsureKey(t.Context())
		if got != nil || key.AccessKey != "AK1" {
			t.Errorf("%s: %v", name, got)
		}
		if len(seen) != 1 || seen[0].KeysBefore.Known || !seen[0].ServerClock.IsZero() || !seen[0].Alive {
			t.Errorf("%s: journal before the request: %+v", name, seen)
		}
		if _, err := w.service().List(t.Context()); err == nil {
			t.Errorf("%s: an unknown list was listed", name)
		}
	}
	w := newWorld(t)
	w.vms.hook = once("list", 1, failure.New(failure.Auth, "wrong password"))
	if _, err := w.service().EnsureKey(t.Context()); !failure.Is(err, failure.Auth) || w.vms.state(t).Posts != 0 {
		t.Errorf("a refused login: %v", err)
	}
	w.invariants(t, "refused login")
}

func TestTheJournalIsWrittenBeforeTheRequest(t *testing.T) {
	w := newWorld(t)
	if _, err := w.service().Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	var seen []accesskey.Entry
	var room accesskey.Item
	w.vms.hook = func(call string) error {
		if call == "before post" {
			seen, room = w.pending(t), w.item(t)
		}
		return nil
	}
	if _, err := w.service().Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 {
		t.Fatalf("entries: %+v", seen)
	}
	e := seen[0]
	if e.Intent != accesskey.Issue || e.Machine != "here" || e.Identity != alice || !e.ServerClock.Equal(at.Add(-3*time.Second)) ||
		!e.Deadline.Equal(at.Add(30*time.Second)) || !e.KeysBefore.Known || fmt.Sprint(e.KeysBefore.List) != "[AK1]" {
		t.Errorf("%+v", e)
	}
	if _, ok := room.Find("AK1"); !ok || len(room.Keys) != 2 || room.Keys[1].Intent != e.ID {
		t.Errorf("the store while asking: %+v", room.Keys)
	}
}

func TestListJoins(t *testing.T) {
	w := newWorld(t)
	if _, err := w.service().Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.vms.CreateKey(t.Context()); err != nil { // by somebody else
		t.Fatal(err)
	}
	w.machine, w.now = "there", at.Add(time.Hour)
	keys, err := w.service().List(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	raw, _ := json.Marshal(keys)
	want := `[{"access_key":"AK1","user":"alice","enabled":true,"created":"2026-11-22T17:00:00Z","age_seconds":3600,"stored":true,"issued_here":false,"state":"active"},` +
		`{"access_key":"AK2","user":"alice","enabled":true,"created":"2026-11-22T17:00:00Z","age_seconds":3600,"stored":false,"issued_here":false,"state":"foreign"}]`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}

	s := w.service()
	if k, err := s.Show(t.Context(), "AK1", true); err != nil || k.Document(true).SecretKey != secretOf("AK1") {
		t.Errorf("own secret: %+v, %v", k, err)
	}
	if _, err := s.Show(t.Context(), "AK2", true); !failure.Is(err, failure.NotFound) {
		t.Errorf("foreign secret: %v", err)
	}
	if k, err := s.Show(t.Context(), "AK2", false); err != nil || k.State != accesskey.Foreign {
		t.Errorf("foreign key: %+v, %v", k, err)
	}
	if _, err := s.Show(t.Context(), "AK9", false); !failure.Is(err, failure.NotFound) {
		t.Errorf("no such key: %v", err)
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		if _, err := w.service().Create(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := w.service()
	if d, err := s.Delete(t.Context(), "AK2"); err != nil || !d.AtVMS || !d.InStore {
		t.Errorf("%+v, %v", d, err)
	}
	if now, err := s.Current(t.Context()); err != nil || now.AccessKey != "AK1" {
		t.Errorf("handed out: %+v, %v", now, err)
	}
	if _, err := s.Delete(t.Context(), "AK2"); !failure.Is(err, failure.NotFound) {
		t.Errorf("unknown: %v", err)
	}
	if err := w.vms.DeleteKey(t.Context(), "AK1"); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Delete(t.Context(), "AK1"); err != nil || d.AtVMS || !d.InStore {
		t.Errorf("gone at VMS: %+v, %v", d, err)
	}
	if _, err := w.store.Store.Get(t.Context(), alice.Item()); !failure.Is(err, failure.NotFound) {
		t.Errorf("an empty item stays: %v", err)
	}
	if _, err := s.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.store.hook = func(string) error { return failure.New(failure.Store, "gone") }
	if d, err := s.Delete(t.Context(), "AK3"); !failure.Is(err, failure.Store) || !d.AtVMS || !strings.Contains(err.Error(), "deleted at VMS") {
		t.Errorf("without the store: %+v, %v", d, err)
	}
	if len(w.vms.state(t).Keys) != 0 {
		t.Error("the key still works")
	}
	w.vms.hook = func(string) error { return failure.New(failure.Network, "unreachable") }
	if _, err := s.Delete(t.Context(), "AK3"); !failure.Is(err, failure.Network) {
		t.Errorf("without VMS: %v", err)
	}
}

func TestNoSecretInWhatIsPrinted(t *testing.T) {
	k := accesskey.Key{AccessKey: "AK", SecretKey: secret.FromString("canary-31")}
	raw, err := json.Marshal(map[string]any{"key": k, "creds": accesskey.Credentials{SecretKey: k.SecretKey}})
	if err != nil || strings.Contains(string(raw)+fmt.Sprintf("%+v %#v", k, k), "canary") {
		t.Errorf("%s, %v", raw, err)
	}
}
