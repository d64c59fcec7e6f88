package accesskey

import (
	"slices"
	"time"
)

// The roles of keys, as rotation moves them: a new key is staged, then promoted
// while the one before it retires; a retired key is promoted again by an undo,
// or condemned and deleted. All of it are pure functions of an item.

// Staged returns the key that a rotation has stored and not yet proven. It is
// retiring, so that nobody is given it, and carries the intent it was issued
// for, which tells it from a key that was in use. Whoever finds one may go on
// with the rotation, whether or not its process lives.
func (it Item) Staged() (Generation, bool) {
	for _, g := range slices.Backward(it.Keys) {
		if g.State == Retiring && g.Intent != "" {
			return g, true
		}
	}
	return Generation{}, false
}

// Stage stores a key that is to be proven before it is handed out.
func (it Item) Stage(g Generation, intent string) Item {
	g.State, g.Intent, g.LeaseUntil = Retiring, intent, time.Time{}
	it = it.Drop(g.AccessKey)
	it.Keys = append(it.Live(), g)
	return it
}

// Promote makes a staged or a retired key the one that is handed out, and
// retires the one that was. That works on for the grace, and never less long
// than it was ever handed out for. An item without the key, or with it in that
// place already, stays as it is.
func (it Item) Promote(accessKey string, now time.Time, grace time.Duration) Item {
	g, ok := it.Find(accessKey)
	current, has := it.Current()
	if !ok || has && current.AccessKey == accessKey {
		return it
	}
	g.State, g.Intent = Active, ""
	g.Retired, g.RefreshUntil, g.DeleteAfter = time.Time{}, time.Time{}, time.Time{}
	it = it.Drop(accessKey)
	if has {
		it = it.with(current.AccessKey, func(old *Generation) {
			inUse := max(old.LongestRefresh, MinRefresh)
			old.State, old.Retired = Retiring, now
			old.RefreshUntil, old.DeleteAfter = now.Add(inUse), now.Add(max(grace, inUse))
		})
	}
	it.Keys = append(it.Keys, g)
	return it
}

// Condemn says that a key goes now, whatever was promised to it, and cannot come
// back. It stays stored until it is deleted at VMS.
func (it Item) Condemn(accessKey string, now time.Time) Item {
	return it.with(accessKey, func(g *Generation) {
		g.State, g.Intent = Retiring, ""
		g.Retired, g.RefreshUntil, g.DeleteAfter = now, time.Time{}, now
	})
}

// MarkEnabled notes whether VMS accepts the key.
func (it Item) MarkEnabled(accessKey string, enabled bool) Item {
	return it.with(accessKey, func(g *Generation) { g.Disabled = !enabled })
}

// with returns the item with one key changed.
func (it Item) with(accessKey string, change func(*Generation)) Item {
	it.Keys = slices.Clone(it.Keys)
	for i, g := range it.Keys {
		if g.AccessKey == accessKey && g.State != Pending {
			change(&it.Keys[i])
		}
	}
	return it
}

// condemned keys are deleted whatever the clock says.
func (g Generation) condemned() bool {
	return g.retired() && !g.DeleteAfter.IsZero() && !g.DeleteAfter.After(g.Retired)
}

// retired keys were handed out once, and are no more.
func (g Generation) retired() bool { return g.State == Retiring && g.Intent == "" }

// due reports whether the key's grace is over.
func (g Generation) due(now time.Time) bool {
	return g.condemned() || g.retired() && !g.DeleteAfter.IsZero() && !now.Before(g.DeleteAfter)
}

// lastRetired is the key that handed its role to the current one.
func (it Item) lastRetired() (last Generation, ok bool) {
	for _, g := range it.Keys {
		if g.retired() && (!ok || !g.Retired.Before(last.Retired)) {
			last, ok = g, true
		}
	}
	return last, ok
}

// currentKey is the access key that is handed out, or "".
func (it Item) currentKey() string {
	g, _ := it.Current()
	return g.AccessKey
}
