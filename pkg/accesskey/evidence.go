package accesskey

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// finding is what there is to say about one open entry whose process is dead.
type finding struct {
	entry Entry
	// candidates are the keys that its request may have made.
	candidates []Remote
	// proven: there is one candidate, and VMS tells that it was created while
	// the request was under way.
	proven bool
	// over: whatever the request did has happened.
	over bool
	// unsettled: a process that lives may have made one of the candidates, or one
	// whose key may be in another store.
	unsettled bool
	// untold: only another store can tell.
	untold bool
	// late: the candidates were created after the request should have ended.
	late bool
}

// examine judges the open entries of dead processes. The keys at VMS must have
// been listed before the entries and the item were read: a key that somebody
// has just issued is then in the item, or in a live entry's span. Entries whose
// process lives are left alone; what they may have made is proven to be nobody
// else's.
func examine(it Item, list []Remote, entries []Entry, now time.Time) []finding {
	var found []finding
	for _, e := range entries {
		if e.Alive || e.Closed || e.Identity != it.Identity {
			continue
		}
		f := finding{entry: e, untold: e.untold(), over: now.After(e.Deadline.Add(e.Stray))}
		if _, to, ok := e.Window(); ok {
			f.over = now.After(to.Add(time.Second + e.Stray))
		}
		f.over = f.over || e.AccessKey != ""
		for _, k := range list {
			if _, stored := it.Find(k.AccessKey); !stored && mayHaveMade(e, k) && !claimed(entries, e, k) {
				f.candidates = append(f.candidates, k)
			}
		}
		if len(f.candidates) == 0 {
			f.candidates = latecomers(e, it, list, entries)
			f.late = len(f.candidates) > 0
		}
		f.unsettled = slices.ContainsFunc(f.candidates, func(k Remote) bool {
			return slices.ContainsFunc(entries, func(other Entry) bool { return (other.Alive || other.untold()) && mayHaveMade(other, k) })
		})
		found = append(found, f)
	}
	convict(found, func(f finding, k Remote) bool {
		return !f.late && !f.unsettled && proves(f.entry, k) && !it.issuing(f.entry.ID, now)
	})
	return found
}

// latecomers are the keys that the entry's request may have made after its time,
// and that no other request explains.
func latecomers(e Entry, it Item, list []Remote, entries []Entry) (late []Remote) {
	for _, k := range list {
		_, stored := it.Find(k.AccessKey)
		explained := slices.ContainsFunc(entries, func(other Entry) bool { return other.ID != e.ID && mayHaveMade(other, k) })
		if !stored && !explained && e.MayBeLate(k) {
			late = append(late, k)
		}
	}
	return late
}

// convict marks what is proven. A request makes one key at most, so a key that
// one entry proves to be its own is no candidate of another that has more: two
// answers lost one after the other are told apart.
func convict(found []finding, proves func(finding, Remote) bool) {
	for again := true; again; {
		again = false
		for i := range found {
			f := &found[i]
			if f.proven || len(f.candidates) != 1 || !proves(*f, f.candidates[0]) {
				continue
			}
			f.proven, again = true, true
			for j := range found {
				if len(found[j].candidates) > 1 {
					found[j].candidates = slices.DeleteFunc(found[j].candidates, func(k Remote) bool { return k.AccessKey == f.candidates[0].AccessKey })
				}
			}
		}
	}
}

// claimed reports whether another entry names the key: VMS said whose it is.
func claimed(entries []Entry, e Entry, k Remote) bool {
	return e.AccessKey != k.AccessKey && slices.ContainsFunc(entries, func(other Entry) bool {
		return other.ID != e.ID && !other.Closed && other.AccessKey == k.AccessKey
	})
}

// shared reports whether more than one entry may have made the key. It is left
// over all the same, but which of the requests may yet make one is not known.
func shared(found []finding, k Remote) bool {
	n := 0
	for _, f := range found {
		if slices.ContainsFunc(f.candidates, func(c Remote) bool { return c.AccessKey == k.AccessKey }) {
			n++
		}
	}
	return n > 1
}

// mayHaveMade is the entry's view, which a key that is known to be left over settles.
func mayHaveMade(e Entry, k Remote) bool {
	if e.AccessKey != "" {
		return e.AccessKey == k.AccessKey
	}
	return e.MayHaveMade(k)
}

// proves reports whether the only key that an entry may have made is its own.
func proves(e Entry, k Remote) bool {
	if e.AccessKey != "" {
		return true // VMS said so when it issued the key
	}
	_, _, window := e.Window()
	return e.KeysBefore.Known && window && !k.Created.IsZero() && (e.Store != "" || e.Intent == Ephemeral)
}

// issuing reports whether another machine holds a lease on room in the item. A
// store of one machine knows no leases; there the lock excludes that.
func (it Item) issuing(intent string, now time.Time) bool {
	return slices.ContainsFunc(it.Keys, func(g Generation) bool {
		return g.State == Pending && g.Intent != intent && now.Before(g.LeaseUntil)
	})
}

// reason says in a few words what a key is suspected or convicted of.
func (f finding) reason(k Remote) string {
	started := f.entry.Started.UTC().Format(time.RFC3339)
	switch {
	case f.entry.AccessKey == k.AccessKey && f.entry.Intent == Ephemeral:
		return abandoned(f.entry)
	case f.entry.AccessKey == k.AccessKey:
		return "issued at " + started + ", could not be stored, and its secret is lost"
	case f.untold:
		return "may be in another store, which the request of " + started + " was for; " + f.entry.ReapCommand() + " finds out"
	case f.proven:
		return "made by the request of " + started + ", whose answer was lost"
	case k.Created.IsZero():
		return "may be the key of the request of " + started + ", whose answer was lost; VMS does not say when it was created"
	case f.late:
		return "created later than the request of " + started + ", whose answer was lost, should have made it"
	case len(f.candidates) > 1:
		return fmt.Sprintf("one of %d keys that the request of %s, whose answer was lost, may have made", len(f.candidates), started)
	}
	return "may be the key of the request of " + started + ", whose answer was lost; nothing proves it"
}

// ReapCommand is the command that reaps with the store of the entry.
func (e Entry) ReapCommand() string {
	command := "valetkey keys reap"
	name, dir, _ := strings.Cut(e.Store, ":")
	if e.Elsewhere {
		command += " --store " + name
	}
	if e.Elsewhere && dir != "" {
		command = "VALETKEY_STORE_DIR=" + dir + " " + command
	}
	return command
}
