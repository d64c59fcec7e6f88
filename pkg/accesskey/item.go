package accesskey

import (
	"slices"
	"time"

	"github.com/valetkey/valetkey/pkg/secret"
)

// State is where a stored generation stands.
type State string

// The states.
const (
	Active   State = "active"   // may be handed out; the newest one is
	Retiring State = "retiring" // works, but is handed out no more; or not yet, see [Item.Staged]
	Pending  State = "pending"  // room for a key that is being issued
)

// Generation is one key of an identity, or the room for one. Times have a
// resolution of one second; a zero time is unknown or does not apply.
type Generation struct {
	AccessKey string      // empty while pending
	SecretKey secret.Text // empty while pending
	State     State
	Created   time.Time // by the clock of VMS where it is known
	IssuedBy  string    // id of the machine that issued it

	// LongestRefresh is the longest soft expiry that was ever handed out with
	// the key. A key that is retired at some time may be in use for that long
	// afterwards. It is kept as a duration, so that handing a key out does not
	// write the store each time; only a longer one than ever before does.
	LongestRefresh time.Duration

	Retired      time.Time // when it was retired
	RefreshUntil time.Time // until when it may be in use: Retired + LongestRefresh
	DeleteAfter  time.Time // when it may be deleted
	Disabled     bool      // switched off at VMS

	Intent     string    // pending or staged: id of the journal entry it belongs to
	LeaseUntil time.Time // pending: when others may take over, in a store shared by machines
}

// Item is everything that a store holds about an identity: all generations,
// the newest last. It is a value; transitions return another one and leave
// theirs as it was.
type Item struct {
	Identity Identity
	Keys     []Generation
	NextTry  time.Time // when a failed rotation may be tried again
	Checked  time.Time // when a local copy was last compared with the original
}

// Current returns the key to hand out: the newest active one. What is newest
// is the order of the list, which no clock can upset.
func (it Item) Current() (Generation, bool) {
	for _, g := range slices.Backward(it.Keys) {
		if g.State == Active {
			return g, true
		}
	}
	return Generation{}, false
}

// Find returns the live generation with the access key.
func (it Item) Find(accessKey string) (Generation, bool) {
	for _, g := range it.Keys {
		if g.AccessKey == accessKey && g.State != Pending {
			return g, true
		}
	}
	return Generation{}, false
}

// Live returns the generations that are keys, without pending ones.
func (it Item) Live() []Generation {
	return slices.DeleteFunc(slices.Clone(it.Keys), func(g Generation) bool { return g.State == Pending })
}

// IsEmpty reports whether there is nothing worth storing.
func (it Item) IsEmpty() bool { return len(it.Keys) == 0 && it.NextTry.IsZero() }

// AddPending makes room for a key that is about to be issued. Room that an
// earlier intent left behind goes: its process is dead, or we would not hold
// the lock, and the journal remembers it.
func (it Item) AddPending(intent, machine string, at time.Time) Item {
	it.Keys = append(it.Live(), Generation{State: Pending, Intent: intent, IssuedBy: machine, Created: at})
	return it
}

// DropPending gives the room up again.
func (it Item) DropPending() Item {
	it.Keys = it.Live()
	return it
}

// Activate turns pending room into the newest active key. Other keys stay what
// they are.
func (it Item) Activate(g Generation) Item {
	g.State, g.Intent, g.LeaseUntil = Active, "", time.Time{}
	it = it.Drop(g.AccessKey)
	it.Keys = append(it.Live(), g)
	return it
}

// Drop forgets a key, and with the last one when a rotation may be tried. An
// item without the key stays as it is.
func (it Item) Drop(accessKey string) Item {
	had := len(it.Keys)
	it.Keys = slices.DeleteFunc(slices.Clone(it.Keys), func(g Generation) bool {
		return g.State != Pending && g.AccessKey == accessKey
	})
	if had > 0 && len(it.Keys) == 0 {
		it.NextTry = time.Time{}
	}
	return it
}

// RecordRefresh notes that a key was handed out for so long. A shorter time
// than before changes nothing, nor does a time for a key that has retired: what
// it was promised is reckoned with by then.
func (it Item) RecordRefresh(accessKey string, refresh time.Duration) Item {
	it.Keys = slices.Clone(it.Keys)
	for i, g := range it.Keys {
		if g.AccessKey == accessKey && g.State == Active {
			it.Keys[i].LongestRefresh = max(g.LongestRefresh, refresh)
		}
	}
	return it
}
