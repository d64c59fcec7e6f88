package accesskey

import (
	"slices"
	"testing"
	"time"
)

// What a fleet may conclude where requests of several machines overlap.
func TestFleetEvidence(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 0, 0, s, 0, time.UTC) }
	entry := func(id string, from int, before ...string) Entry {
		return Entry{
			ID: id, Intent: Issue, Machine: id, Identity: modelIdentity, Started: at(from), Deadline: at(from + 21),
			ServerClock: at(from), KeysBefore: Keys{Known: true, List: before}, Stray: strayMargin, Store: "vault",
		}
	}
	alive := func(e Entry) Entry { e.Alive = true; return e }
	key := func(id string, created int) Remote { return Remote{AccessKey: id, Enabled: true, Created: at(created)} }
	for what, c := range map[string]struct {
		list                     []Remote
		entries                  []Entry
		now                      int
		deleted, suspect, closed []string
		doubted                  int // entries whose list of keys is given up
	}{
		"one proves, and is closed":     {[]Remote{key("a", 1)}, []Entry{entry("1", 0)}, 30, []string{"a"}, nil, []string{"1"}, 0},
		"two may have made it":          {[]Remote{key("a", 1)}, []Entry{entry("1", 0), entry("2", 0)}, 30, []string{"a"}, nil, nil, 0},
		"a live one may have made it":   {[]Remote{key("a", 1)}, []Entry{entry("1", 0), alive(entry("2", 0))}, 10, nil, []string{"a"}, nil, 0},
		"a live one makes no doubt":     {[]Remote{key("a", 1), key("b", 9)}, []Entry{entry("1", 0), alive(entry("2", 8, "a"))}, 10, nil, []string{"a", "b"}, nil, 0},
		"two of one make doubt":         {[]Remote{key("a", 1), key("b", 9)}, []Entry{entry("1", 0)}, 30, nil, []string{"a", "b"}, nil, 1},
		"late is named":                 {[]Remote{key("a", 40)}, []Entry{entry("1", 0)}, 50, nil, []string{"a"}, nil, 0},
		"late beside its own":           {[]Remote{key("a", 1), key("b", 40)}, []Entry{entry("1", 0)}, 50, []string{"a"}, nil, []string{"1"}, 0},
		"late, but another explains it": {[]Remote{key("a", 40)}, []Entry{entry("1", 0), alive(entry("2", 39))}, 50, nil, nil, nil, 0},
		"nothing yet":                   {nil, []Entry{entry("1", 0)}, 50, nil, nil, nil, 0},
		"nothing any more":              {nil, []Entry{entry("1", 0)}, 3700, nil, nil, []string{"1"}, 0},
		"far too late":                  {[]Remote{key("a", 3650)}, []Entry{entry("1", 0)}, 3700, nil, nil, []string{"1"}, 0},
	} {
		v := view{it: Item{Identity: modelIdentity}, list: c.list, known: true, entries: c.entries, now: at(c.now), late: at(c.now)}
		p, _, err := v.plan(wanted{orphans: true})
		if err != nil {
			t.Fatal(err)
		}
		var closed []string
		for _, e := range p.settled {
			if e.Closed {
				closed = append(closed, e.ID)
			}
		}
		doubted := 0
		for _, e := range p.marked {
			if !e.KeysBefore.Known {
				doubted++
			}
		}
		if !slices.Equal(p.deleted(), c.deleted) || !slices.Equal(p.suspect, c.suspect) || !slices.Equal(closed, c.closed) || doubted != c.doubted {
			t.Errorf("%s: deleted %v, suspect %v, closed %v, doubted %d", what, p.deleted(), p.suspect, closed, doubted)
		}
	}
}

// An entry whose holder knows that a key may have been made is opened again,
// whoever closed it.
func TestFleetReopens(t *testing.T) {
	e := Entry{ID: "1", Intent: Issue, Machine: "m", Identity: modelIdentity}
	d := FleetDoc{Item: Item{Identity: modelIdentity}}
	for what, o := range map[string]Outcome{"unknown": {Unknown: true}, "left over": {LeftOver: "a"}} {
		after := d.abort("1", e, o)
		if len(after.Journal) != 1 || after.Journal[0].AccessKey != o.LeftOver {
			t.Errorf("%s: %+v", what, after.Journal)
		}
		if after = after.abort("1", e, Outcome{}); len(after.Journal) != 0 || len(d.Journal) != 0 {
			t.Errorf("%s, then nothing: %+v", what, after.Journal)
		}
	}
}
