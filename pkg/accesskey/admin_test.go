package accesskey_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

func TestWaysToNameAUser(t *testing.T) {
	uid := int64(0)
	for text, want := range map[string]accesskey.Who{
		"alice": {Name: "alice"}, "a b": {Name: "a b"}, `D\alice@x`: {Name: `D\alice@x`},
		"local:alice": {Name: "alice", Local: true}, "directory:alice": {Name: "alice", Directory: true},
		"local:a:b": {Name: "a:b", Local: true},
		"uid:0":     {UID: &uid}, "sid:S-1-5": {SID: "S-1-5"},
	} {
		got, err := accesskey.ParseWho(text)
		if err != nil || got.String() != text {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for _, text := range []string{"", "local:", "directory:", "uid:", "uid:x", "uid:-1", "uid:1.5", "sid:", "sid:x", "gid:1", ":x", "a\nb", "Local:a"} {
		if got, err := accesskey.ParseWho(text); !failure.Is(err, failure.Usage) || failure.HintOf(err) == "" {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// people are the users of a cluster.
type people struct {
	list []accesskey.User
	err  error // of the directories
}

func (p people) find(w accesskey.Who, local bool) (found []accesskey.User) {
	for _, u := range p.list {
		if u.Local() == local && (w.Name == "" || strings.EqualFold(w.Name, u.Name)) &&
			(w.UID == nil || u.UID != nil && *w.UID == *u.UID) && (w.SID == "" || w.SID == u.SID) {
			found = append(found, u)
		}
	}
	return found
}

func (p people) LocalUsers(_ context.Context, w accesskey.Who) ([]accesskey.User, error) {
	return p.find(w, true), nil
}

func (p people) DirectoryUsers(_ context.Context, w accesskey.Who) ([]accesskey.User, error) {
	return p.find(w, false), p.err
}

func TestWhoIsMeant(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	everybody := people{list: []accesskey.User{
		{Name: "dora", ID: 7, UID: number(107), Provider: "local"},
		{Name: "dora", SID: "S-1-9", Provider: "ad"},
		{Name: "alice", UID: number(1), SID: "S-1-1", Provider: "ad"},
		{Name: "root", UID: number(0), Provider: "ldap"},
		{Name: "eve", ID: 8, UID: number(108), Provider: "local"}, {Name: "eve", ID: 9, UID: number(109), Provider: "local"},
		{Name: "mallory", SID: "S-1-5", Provider: "ad"}, {Name: "mallory", SID: "S-1-6", Provider: "ldap"},
	}}
	for text, want := range map[string]struct {
		name, knownBy string
		kind          failure.Kind
		hint          string
	}{
		"alice": {name: "alice", knownBy: "alice"}, "uid:1": {name: "alice", knownBy: "alice"}, "sid:S-1-1": {name: "alice", knownBy: "alice"},
		"directory:alice": {name: "alice", knownBy: "alice"}, "uid:0": {name: "root", knownBy: "root"},
		"local:alice": {kind: failure.NotFound}, "nobody": {kind: failure.NotFound}, "uid:5": {kind: failure.NotFound},
		// a key is stored under that name, and nobody else's
		"Alice":      {kind: failure.Usage, hint: "stored under that name"},
		"dora":       {kind: failure.Usage, hint: "name one of them: local:dora or directory:dora"},
		"local:dora": {name: "dora", knownBy: "local:dora"}, "directory:dora": {name: "dora", knownBy: "directory:dora"},
		"uid:107": {name: "dora", knownBy: "uid:107"}, "sid:S-1-9": {name: "dora", knownBy: "sid:S-1-9"},
		"eve":       {kind: failure.Usage, hint: "uid:108 or uid:109"},
		"local:eve": {kind: failure.Usage, hint: "uid:108 or uid:109"},
		"uid:109":   {name: "eve", knownBy: "uid:109"},
		"mallory":   {kind: failure.Usage, hint: "sid:S-1-5 or sid:S-1-6"},
	} {
		w, err := accesskey.ParseWho(text)
		if err != nil {
			t.Fatal(err)
		}
		u, knownBy, err := accesskey.Resolve(t.Context(), everybody, w)
		if u.Name != want.name || knownBy != want.knownBy || (err != nil) != (want.name == "") {
			t.Errorf("%s: %v as %q, %v", text, u, knownBy, err)
		}
		if err != nil && (!failure.Is(err, want.kind) || !strings.Contains(failure.HintOf(err), want.hint)) {
			t.Errorf("%s: %v (%s)", text, err, failure.HintOf(err))
		}
	}
	// That it cannot be asked is not that nobody is there.
	everybody.err = failure.New(failure.Network, "no directory")
	for _, text := range []string{"nobody", "dora", "directory:alice"} {
		w, _ := accesskey.ParseWho(text)
		if _, _, err := accesskey.Resolve(t.Context(), everybody, w); !failure.Is(err, failure.Network) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// switching is a VMS that lets keys be disabled.
type switching struct {
	*cluster
	set map[string]bool
	err error
}

func (s switching) SetKeyEnabled(_ context.Context, id string, enabled bool) error {
	if s.err == nil {
		s.set[id] = enabled
	}
	return s.err
}

func TestAKeyIsSwitchedAtVMSAndInTheStore(t *testing.T) {
	w := newWorld(t)
	created, err := w.service().Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := created.Key.AccessKey
	if _, err := w.service().SetEnabled(t.Context(), id, false); !failure.Is(err, failure.Forbidden) {
		t.Errorf("one's own: %v", err)
	}
	sw := switching{cluster: w.vms, set: map[string]bool{}}
	w.remote = sw
	for _, enabled := range []bool{false, false, true} {
		key, err := w.service().SetEnabled(t.Context(), id, enabled)
		if err != nil || key.Enabled != enabled || sw.set[id] != enabled {
			t.Errorf("%t: %+v, %v, %v", enabled, key, sw.set, err)
		}
		if g, _ := w.item(t).Find(id); g.Disabled == enabled {
			t.Errorf("%t: the store says otherwise", enabled)
		}
	}
	if _, err := w.service().SetEnabled(t.Context(), "AK9", false); !failure.Is(err, failure.NotFound) || len(sw.set) != 1 {
		t.Errorf("unknown: %v, %v", sw.set, err)
	}
	sw.err = failure.New(failure.Forbidden, "no role")
	w.remote = sw
	if _, err := w.service().SetEnabled(t.Context(), id, false); !failure.Is(err, failure.Forbidden) {
		t.Errorf("no role: %v", err)
	}
	if g, _ := w.item(t).Find(id); g.Disabled {
		t.Error("noted as disabled, and is not")
	}
	w.store.hook = once("before put", 1, failure.New(failure.Store, "full"))
	sw.err = nil
	w.remote = sw
	if _, err := w.service().SetEnabled(t.Context(), id, false); !failure.Is(err, failure.Store) || !strings.Contains(err.Error(), "switched at VMS") {
		t.Errorf("a full store: %v", err)
	}
}

func TestACensusKnowsWhatIsStored(t *testing.T) {
	stored := map[accesskey.Identity][]accesskey.Generation{
		{VMS: "vms", User: "alice"}:               {{AccessKey: "A1", State: accesskey.Active, IssuedBy: "here"}},
		{VMS: "vms", Tenant: "t", User: "alice"}:  {{AccessKey: "A2", State: accesskey.Retiring, IssuedBy: "there"}},
		{VMS: "vms", User: "local:dora"}:          {{AccessKey: "D1", State: accesskey.Active, IssuedBy: "here"}},
		{VMS: "other", User: "alice"}:             {{AccessKey: "A3", State: accesskey.Active}},
		{VMS: "vms", Tenant: "t2", User: "alice"}: {{AccessKey: "A3", State: accesskey.Active}},
	}
	c := accesskey.Census{
		VMS: "vms", Now: func() time.Time { return at }, Machine: func() (string, error) { return "here", nil },
		Read: func(_ context.Context, id accesskey.Identity) (accesskey.Item, error) {
			return accesskey.Item{Identity: id, Keys: stored[id]}, nil
		},
	}
	keys := []accesskey.Remote{
		{AccessKey: "A1", User: "alice", Tenant: "t", Enabled: true, Created: at.Add(-time.Hour)},
		{AccessKey: "A2", User: "alice", Tenant: "t"}, {AccessKey: "A3", User: "alice", Tenant: "t"},
		{AccessKey: "D1", User: "dora", Tenant: "t"}, {AccessKey: "A1", User: "eve", Tenant: "t"},
	}
	broken := errors.New("broken")
	list := func(yield func(accesskey.Remote, error) bool) {
		for _, k := range keys {
			if !yield(k, nil) {
				return
			}
		}
		yield(accesskey.Remote{}, broken)
	}
	got, err := all(c.Keys(t.Context(), list))
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	want := []string{
		"A1 alice t stored here active 1h0m0s", "A2 alice t stored retiring 0s", "A3 alice t foreign 0s",
		"D1 dora t stored here active 0s", "A1 eve t foreign 0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c.Read = func(context.Context, accesskey.Identity) (accesskey.Item, error) { return accesskey.Item{}, broken }
	if got, err := all(c.Keys(t.Context(), list)); !errors.Is(err, broken) || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func all(keys iter.Seq2[accesskey.Key, error]) (list []string, err error) {
	for k, err := range keys {
		if err != nil {
			return list, err
		}
		parts := []string{k.AccessKey, k.User, k.Tenant}
		if k.Stored {
			parts = append(parts, "stored")
		}
		if k.IssuedHere {
			parts = append(parts, "here")
		}
		list = append(list, strings.Join(append(parts, string(k.State), k.Age.String()), " "))
	}
	return list, nil
}

func TestWhatWasTouchedHere(t *testing.T) {
	w := newWorld(t)
	places := accesskey.PlacesIn(w.dir+"/state", "here", w.dir+"/store", w.identity)
	touched, err := places.Touched()
	if err != nil || touched(w.identity) {
		t.Errorf("before anything was issued: %v", err)
	}
	if _, err := w.service().Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := w.identity
	other.User = "bob"
	if touched, err = places.Touched(); err != nil || !touched(w.identity) || touched(other) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestKeysOfUnknownAgeAreNotYoung(t *testing.T) {
	hour := accesskey.Key{Created: at, Age: time.Hour}
	if got := []bool{hour.YoungerThan(0), hour.YoungerThan(time.Hour), hour.YoungerThan(2 * time.Hour), accesskey.Key{}.YoungerThan(time.Hour)}; !slices.Equal(got, []bool{false, false, true, false}) {
		t.Error(got)
	}
}
