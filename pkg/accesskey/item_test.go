package accesskey_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

var (
	at    = time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC)
	alice = accesskey.Identity{VMS: "vms.example.com", User: "alice"}
)

func generation(id string, state accesskey.State) accesskey.Generation {
	return accesskey.Generation{
		AccessKey: id, SecretKey: secret.FromString("secret-of-" + id), State: state,
		Created: at, IssuedBy: strings.Repeat("0f", 16), LongestRefresh: time.Hour,
	}
}

// whole is an item with every member set, as rotation and shared stores will.
func whole() accesskey.Item {
	old, now := generation("4XACULB2SLCZ80ZQPVMX", accesskey.Retiring), generation("FXhvIdHZRhKHJdVnOawtHg==", accesskey.Active)
	old.Retired, old.RefreshUntil, old.DeleteAfter, old.Disabled = at.Add(24*time.Hour), at.Add(25*time.Hour), at.Add(48*time.Hour), true
	now.SecretKey = secret.FromString(`KgZYAI4E66+C<hY&iU>M5dvyICBjXzfwg/"Woxü`)
	return accesskey.Item{
		Identity: accesskey.Identity{VMS: "vms.example.com:8443", Tenant: "research", User: `CORP\alice`},
		Keys: []accesskey.Generation{old, now, {
			State: accesskey.Pending, Created: at, IssuedBy: strings.Repeat("0f", 16),
			Intent: "20261122170000-0123456789abcdef", LeaseUntil: at.Add(time.Minute),
		}},
		NextTry: at.Add(10 * time.Minute), Checked: at.Add(time.Second),
	}
}

// compare is the stored form, secrets included.
func compare(t *testing.T, what string, want, got accesskey.Item) {
	t.Helper()
	a, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(a), string(b)); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

func golden(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSuffix(string(raw), "\n"))
}

// The bytes are a format: the files change only with a new version.
func TestItemGolden(t *testing.T) {
	least := accesskey.Item{Identity: alice, Keys: []accesskey.Generation{{AccessKey: "A", SecretKey: secret.FromString("s"), State: accesskey.Active}}}
	for name, it := range map[string]accesskey.Item{
		"item-whole.v1.json": whole(), "item-least.v1.json": least, "item-empty.v1.json": {Identity: alice},
	} {
		want := golden(t, name)
		got, err := it.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		back, err := accesskey.DecodeItem(it.Identity, want)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, name, it, back)
	}
}

func TestItemFitsTheSmallestKeyring(t *testing.T) {
	it := whole()
	it.Identity = accesskey.Identity{VMS: strings.Repeat("v", 63) + ":65535", Tenant: strings.Repeat("t", 64), User: strings.Repeat("u", 104)}
	for i := range it.Keys[:2] { // both live keys in the longest form, with everything that may be said of them
		g := it.Keys[0]
		g.AccessKey, g.SecretKey = fmt.Sprint(i)+strings.Repeat("A", 31), secret.FromString(strings.Repeat("/", 64))
		it.Keys[i] = g
	}
	raw, err := it.Encode()
	if err != nil || len(raw) > accesskey.MaxItemSize {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}

// Room for a key must be no smaller than the key that goes into it.
func TestPendingIsAsLargeAsAKey(t *testing.T) {
	before := accesskey.Item{Identity: alice, Keys: []accesskey.Generation{generation("A", accesskey.Active)}}
	room, _ := before.AddPending("20261122170000-0123456789abcdef", strings.Repeat("0f", 16), at).Encode()
	g := generation("FXhvIdHZRhKHJdVnOawtHg==", accesskey.Active)
	g.SecretKey = secret.FromString(strings.Repeat("s", 40))
	key, _ := before.Activate(g).Encode()
	if len(room) < len(key) {
		t.Errorf("room of %d bytes for a key of %d", len(room), len(key))
	}
}

func TestDecodeItemRefuses(t *testing.T) {
	ident := `"identity":{"vms":"vms.example.com","user":"alice"}`
	for what, raw := range map[string]string{
		"nothing":                 ``,
		"no JSON":                 `canary`,
		"half":                    `{"version":1,` + ident + `,"keys":[{"access_key":"canary"`,
		"no version":              `{` + ident + `,"keys":[]}`,
		"version 0":               `{"version":0,` + ident + `,"keys":[]}`,
		"a wrong type":            `{"version":1,` + ident + `,"keys":{"canary":1}}`,
		"a bad time":              `{"version":1,` + ident + `,"keys":[],"next_try":"canary"}`,
		"another's":               `{"version":1,"identity":{"vms":"vms.example.com","user":"bob"},"keys":[]}`,
		"no secret":               `{"version":1,` + ident + `,"keys":[{"access_key":"canary","state":"active"}]}`,
		"no access key":           `{"version":1,` + ident + `,"keys":[{"secret_key":"canary","state":"active"}]}`,
		"a key twice":             `{"version":1,` + ident + `,"keys":[{"access_key":"c","secret_key":"canary","state":"active"},{"access_key":"c","secret_key":"canary","state":"retiring"}]}`,
		"newer: version":          `{"version":2,"anything":"canary"}`,
		"newer: member":           `{"version":1,` + ident + `,"keys":[],"canary":1}`,
		"newer: member of a key":  `{"version":1,` + ident + `,"keys":[{"access_key":"c","secret_key":"canary","state":"active","canary":1}]}`,
		"newer: state":            `{"version":1,` + ident + `,"keys":[{"access_key":"c","secret_key":"canary","state":"canary"}]}`,
		"newer: shape of version": `{"version":99,"identity":"canary"}`,
	} {
		_, err := accesskey.DecodeItem(alice, []byte(raw))
		if !failure.Is(err, failure.Store) || !strings.Contains(err.Error(), alice.Item()) || failure.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: the error quotes the item: %v", what, err)
		}
		if strings.HasPrefix(what, "newer") != strings.Contains(fmt.Sprint(err), "newer valetkey") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestIdentityNames(t *testing.T) {
	if got := alice.Item(); got != "vms.example.com/-/alice" {
		t.Error(got)
	}
	part := rapid.StringOf(rapid.SampledFrom([]rune(`a/-%2DF`)))
	rapid.Check(t, func(t *rapid.T) {
		a := accesskey.Identity{VMS: part.Draw(t, "v"), Tenant: part.Draw(t, "t"), User: part.Draw(t, "u")}
		b := accesskey.Identity{VMS: part.Draw(t, "v"), Tenant: part.Draw(t, "t"), User: part.Draw(t, "u")}
		if (a == b) != (a.Item() == b.Item()) {
			t.Fatalf("%+v and %+v: %s and %s", a, b, a.Item(), b.Item())
		}
	})
}

// Any run of transitions keeps what an item promises.
func TestTransitions(t *testing.T) {
	names := rapid.SampledFrom([]string{"A", "B", "C"})
	rapid.Check(t, func(t *rapid.T) {
		it := accesskey.Item{Identity: alice}
		for i := range rapid.IntRange(1, 12).Draw(t, "steps") {
			before, _ := it.Encode()
			was := it
			name := names.Draw(t, "name")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				it = it.AddPending(fmt.Sprint("intent", i), "m", at)
				if n := len(it.Keys) - len(was.Live()); n != 1 {
					t.Fatalf("%d pending", n)
				}
			case 1:
				it = it.Activate(generation(name, accesskey.Active))
				if g, ok := it.Current(); !ok || g.AccessKey != name || len(it.Live()) != len(it.Keys) {
					t.Fatalf("current is %v", g.AccessKey)
				}
			case 2:
				it = it.Drop(name)
				if _, ok := it.Find(name); ok {
					t.Fatal("dropped and still there")
				}
			case 3:
				it = it.DropPending()
			case 4:
				it = it.RecordRefresh(name, time.Duration(i)*time.Hour)
				old, ok := was.Find(name)
				if g, _ := it.Find(name); ok && g.LongestRefresh != max(old.LongestRefresh, time.Duration(i)*time.Hour) {
					t.Fatalf("longest refresh %v", g.LongestRefresh)
				}
			}
			if after, _ := was.Encode(); string(after) != string(before) {
				t.Fatal("a transition changed its argument")
			}
			raw, _ := it.Encode()
			back, err := accesskey.DecodeItem(alice, raw)
			if err != nil {
				t.Fatal(err)
			}
			if again, _ := back.Encode(); string(again) != string(raw) {
				t.Fatal("the item does not survive a round trip")
			}
		}
	})
}

func FuzzDecodeItem(f *testing.F) {
	raw, _ := whole().Encode()
	f.Add(raw)
	f.Add([]byte(`{"version":1,"identity":{"vms":"vms.example.com","user":"alice"},"keys":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		it, err := accesskey.DecodeItem(alice, raw)
		if err != nil {
			return
		}
		again, err := it.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := accesskey.DecodeItem(alice, again); err != nil {
			t.Fatalf("%q does not survive: %v", raw, err)
		}
	})
}
