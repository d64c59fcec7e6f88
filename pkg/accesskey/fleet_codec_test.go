package accesskey_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

// wholeDoc is a document with every member set.
func wholeDoc() accesskey.FleetDoc {
	it := whole()
	return accesskey.FleetDoc{Stamp: "0123456789abcdef01234567", Item: it, Journal: []accesskey.Entry{{
		ID: "20261122170000-0123456789abcdef", Intent: accesskey.Rotate, Machine: strings.Repeat("0f", 16), Identity: it.Identity,
		Started: at, Deadline: at.Add(21 * time.Second), ServerClock: at.Add(-3 * time.Second),
		KeysBefore: accesskey.Keys{Known: true, List: []string{"4XACULB2SLCZ80ZQPVMX"}},
	}, {
		ID: "20261122160000-0123456789abcdef", Intent: accesskey.Issue, Machine: "m", Identity: it.Identity,
		Started: at, Deadline: at, AccessKey: "LEFTOVER",
	}}}
}

// The bytes are a format: the file changes only with a new version.
func TestFleetDocGolden(t *testing.T) {
	want := golden(t, "fleet-whole.v1.json")
	d := wholeDoc()
	got, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
	back, err := accesskey.DecodeFleetDoc(d.Item.Identity, want)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := back.Encode()
	if diff := cmp.Diff(string(want), string(again)); diff != "" {
		t.Error(diff)
	}
	empty, err := accesskey.DecodeFleetDoc(alice, nil)
	if err != nil || !empty.Item.IsEmpty() || empty.Item.Identity != alice {
		t.Errorf("%+v, %v", empty, err)
	}
}

func TestDecodeFleetDocRefuses(t *testing.T) {
	const (
		ident = `"identity":{"vms":"vms.example.com","user":"alice"}`
		item  = `"item":{"version":1,` + ident + `,"keys":[]}`
		entry = `{"version":1,"id":"canary","intent":"issue","state":"open","machine":"m",` + ident + `,"started":"2026-11-22T17:00:00Z","deadline":"2026-11-22T17:00:00Z","keys_before":[]}`
	)
	if _, err := accesskey.DecodeFleetDoc(alice, []byte(`{"version":1,"stamp":"s",`+item+`,"journal":[`+entry+`]}`)); err != nil {
		t.Fatal(err)
	}
	for what, raw := range map[string]string{
		"no JSON":                 `canary`,
		"half":                    `{"version":1,"stamp":"s",` + item + `,"journal":["canary`,
		"no version":              `{"stamp":"s",` + item + `,"journal":[]}`,
		"a local item":            `{"version":1,` + ident + `,"keys":[{"access_key":"canary"}]}` + `x`,
		"no item":                 `{"version":1,"stamp":"canary","journal":[]}`,
		"no item but null":        `{"version":1,"stamp":"canary","item":null,"journal":[]}`,
		"no stamp":                `{"version":1,` + item + `,"journal":[]}`,
		"a wrong type":            `{"version":1,"stamp":7,` + item + `,"journal":[]}`,
		"another's item":          `{"version":1,"stamp":"s","item":{"version":1,"identity":{"vms":"v","user":"canaryuser"},"keys":[]},"journal":[]}`,
		"another's entry":         `{"version":1,"stamp":"s",` + item + `,"journal":[` + strings.Replace(entry, "alice", "bob", 1) + `]}`,
		"two claims":              `{"version":1,"stamp":"s","item":{"version":1,` + ident + `,"keys":[{"state":"pending","intent":"canary"},{"state":"pending"}]},"journal":[]}`,
		"a damaged entry":         `{"version":1,"stamp":"s",` + item + `,"journal":[{"version":1,"id":"canary","intent":"issue","state":"open"}]}`,
		"newer: version":          `{"version":2,"anything":"canary"}`,
		"newer: member":           `{"version":1,"stamp":"s",` + item + `,"journal":[],"canary":1}`,
		"newer: item":             `{"version":1,"stamp":"s","item":{"version":2,"canary":1},"journal":[]}`,
		"newer: member of a key":  `{"version":1,"stamp":"s","item":{"version":1,` + ident + `,"keys":[],"canary":1},"journal":[]}`,
		"newer: entry":            `{"version":1,"stamp":"s",` + item + `,"journal":[{"version":2,"canary":1}]}`,
		"newer: intent":           `{"version":1,"stamp":"s",` + item + `,"journal":[` + strings.Replace(entry, `"issue"`, `"canary"`, 1) + `]}`,
		"newer: shape of version": `{"version":99,"item":"canary"}`,
	} {
		_, err := accesskey.DecodeFleetDoc(alice, []byte(raw))
		if !failure.Is(err, failure.Store) || !strings.Contains(err.Error(), alice.Item()) || failure.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(strings.ReplaceAll(fmt.Sprint(err), "canaryuser", ""), "canary") {
			t.Errorf("%s: the error quotes the document: %v", what, err)
		}
		if strings.HasPrefix(what, "newer") != strings.Contains(fmt.Sprint(err), "newer valetkey") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzDecodeFleetDoc(f *testing.F) {
	d := wholeDoc()
	raw, _ := d.Encode()
	f.Add(raw)
	f.Add([]byte(`{"version":1,"stamp":"s","item":{"version":1,"identity":{"vms":"vms.example.com:8443","tenant":"research","user":"CORP\\alice"},"keys":[]},"journal":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := accesskey.DecodeFleetDoc(d.Item.Identity, raw)
		if err != nil {
			return
		}
		again, err := doc.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) == 0 {
			return // nothing was written yet: there is no stamp
		}
		if _, err := accesskey.DecodeFleetDoc(d.Item.Identity, again); err != nil {
			t.Fatalf("%q does not survive: %v", raw, err)
		}
	})
}
