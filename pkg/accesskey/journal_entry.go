package accesskey

import (
	"encoding/json"
	"slices"
	"time"
)

// entryVersion is the version of the journal entry that this release writes
// and the newest that it reads. Like the item's, version 1 is closed.
const entryVersion = 1

// Intent is what a journal entry was written for.
type Intent string

// The intents. An entry with another one is refused as written by a newer valetkey.
const (
	Issue  Intent = "issue"  // issue a key
	Rotate Intent = "rotate" // issue a key and retire the one before
	Delete Intent = "delete" // delete a key at VMS

	// Ephemeral is to issue a key for one run and to delete it afterwards. The
	// entry stays open, and names the key, as long as the run lasts.
	Ephemeral Intent = "ephemeral"
)

// Keys is a list of access keys, or the knowledge that the list is unknown. An
// unknown list is never an empty one.
type Keys struct {
	Known bool
	List  []string
}

// MarshalJSON writes a list, or "unknown".
func (k Keys) MarshalJSON() ([]byte, error) {
	if !k.Known {
		return []byte(`"unknown"`), nil
	}
	if k.List == nil {
		return []byte(`[]`), nil
	}
	return json.Marshal(k.List)
}

// UnmarshalJSON reads a list, or "unknown".
func (k *Keys) UnmarshalJSON(raw []byte) error {
	if string(raw) == `"unknown"` {
		*k = Keys{}
		return nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	*k = Keys{Known: list != nil, List: list}
	return nil
}

// Entry is what the journal says about one intent, written to disk before the
// request that could leave a key behind. It holds no secret.
type Entry struct {
	ID       string
	Intent   Intent
	Machine  string // id of the machine whose process wrote it
	Identity Identity
	Started  time.Time // by the local clock
	Deadline time.Time // by the local clock: when the request is given up

	// ServerClock is what VMS said the time was at Started; zero is unknown.
	ServerClock time.Time
	// KeysBefore are the user's keys before the request, and others that are known
	// not to be its own.
	KeysBefore Keys
	// Store is the store that the key is for, as [LocalOptions.Where] tells it.
	// It is empty for Ephemeral, whose key is in none; for others that is unknown.
	Store string
	// AccessKey is a key that is known to be left over: it was issued, could
	// not be stored and could not be deleted again. Or, for Delete, the key
	// that is to go; for Ephemeral, the key that the run works with.
	AccessKey string
	// Closed entries are done with; they count no more.
	Closed bool

	// Alive says that the process that wrote the entry still runs. It is found
	// out when the journal is read, and not written.
	Alive bool
	// Stray is how long after the window its request may still have made a key,
	// if its process was stopped on the way. Such a key is never proven to be
	// the entry's, and the entry stays open for that long. It is not written.
	Stray time.Duration
	// Elsewhere says that Store is not the one in use, which does not tell whether
	// the key was stored. It is not written.
	Elsewhere bool
	// Away marks a loan that another machine journals, which alone knows whether it
	// goes on. It is not written.
	Away bool
}

// untold reports whether only another store can tell what became of the request.
func (e Entry) untold() bool { return e.Elsewhere && e.AccessKey == "" }

// Window is the span, by the clock of VMS, within which a key that the entry's
// request made was created. It is not ok if that clock is unknown.
func (e Entry) Window() (from, to time.Time, ok bool) {
	if e.ServerClock.IsZero() {
		return time.Time{}, time.Time{}, false
	}
	return e.ServerClock, e.ServerClock.Add(e.Deadline.Sub(e.Started)), true
}

// MayHaveMade reports whether the key may come from the entry's request: it was
// not there before, and nothing says that it was created at another time. The
// clock of VMS is told in whole seconds, so the last second counts whole.
func (e Entry) MayHaveMade(k Remote) bool {
	if slices.Contains(e.KeysBefore.List, k.AccessKey) {
		return false
	}
	from, to, ok := e.Window()
	if !ok || k.Created.IsZero() {
		return true
	}
	return !k.Created.Before(from) && k.Created.Before(to.Add(time.Second))
}

// MayBeLate reports whether the key may come from the entry's request though it
// was created after the window.
func (e Entry) MayBeLate(k Remote) bool {
	if e.AccessKey != "" || slices.Contains(e.KeysBefore.List, k.AccessKey) {
		return false
	}
	_, to, ok := e.Window()
	return ok && !k.Created.IsZero() && k.Created.After(to) && !k.Created.After(to.Add(e.Stray))
}

type wireEntry struct {
	Version     int          `json:"version"`
	ID          string       `json:"id"`
	Intent      Intent       `json:"intent"`
	State       string       `json:"state"`
	Machine     string       `json:"machine"`
	Identity    wireIdentity `json:"identity"`
	Started     time.Time    `json:"started"`
	Deadline    time.Time    `json:"deadline"`
	ServerClock time.Time    `json:"server_clock,omitzero"`
	KeysBefore  Keys         `json:"keys_before"`
	Store       string       `json:"store,omitempty"`
	AccessKey   string       `json:"access_key,omitempty"`
}

// Encode returns the form in which the entry lies in the journal.
func (e Entry) Encode() ([]byte, error) {
	state := "open"
	if e.Closed {
		state = "closed"
	}
	return encodeJSON(wireEntry{
		Version: entryVersion, ID: e.ID, Intent: e.Intent, State: state, Machine: e.Machine, Identity: wire(e.Identity),
		Started: second(e.Started), Deadline: second(e.Deadline), ServerClock: second(e.ServerClock),
		KeysBefore: e.KeysBefore, Store: e.Store, AccessKey: e.AccessKey,
	})
}

// DecodeEntry reads a journal entry. A damaged one, or one written by a newer
// valetkey, is failure.Store.
func DecodeEntry(raw []byte) (Entry, error) {
	var w wireEntry
	if err := decodeVersioned(raw, entryVersion, &w); err != nil {
		return Entry{}, err
	}
	switch w.Intent {
	case Issue, Rotate, Delete, Ephemeral:
	default:
		return Entry{}, newer("its intent is unknown to this release")
	}
	if w.State != "open" && w.State != "closed" {
		return Entry{}, newer("its state is unknown to this release")
	}
	if w.ID == "" || w.Machine == "" || w.Identity.User == "" {
		return Entry{}, damaged("it does not say whose it is")
	}
	return Entry{
		ID: w.ID, Intent: w.Intent, Closed: w.State == "closed", Machine: w.Machine, Identity: Identity(w.Identity),
		Started: w.Started, Deadline: w.Deadline, ServerClock: w.ServerClock, KeysBefore: w.KeysBefore, Store: w.Store, AccessKey: w.AccessKey,
	}, nil
}

// identityOf tells whose entry it is that cannot be read, if it says so in the way
// that all versions do.
func identityOf(raw []byte) (Identity, bool) {
	var w struct {
		Identity wireIdentity `json:"identity"`
	}
	if json.Unmarshal(raw, &w) != nil || w.Identity.User == "" || w.Identity.VMS == "" {
		return Identity{}, false
	}
	return Identity(w.Identity), true
}
