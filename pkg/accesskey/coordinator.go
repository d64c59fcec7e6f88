package accesskey

import (
	"context"
	"errors"
	"time"
)

// Coordinator makes sure that of all processes that want a key for one
// identity only one asks VMS, and that whatever happens to it a key that
// nobody knows can be found later. It does no talking to VMS itself.
//
// The sequence is Begin, then the one request, then Commit or Abort. A claim
// that sees neither, because its process died, leaves its journal entry open.
// Implementations are safe for concurrent use.
type Coordinator interface {
	// Read returns the item as stored, an empty one if there is none. It is
	// one read of the store: no lock, no journal, no network. What it returns
	// may be handed out, and may be as old as Lag says.
	Read(ctx context.Context) (Item, error)

	// Latest returns the item as it is now, for whoever is to decide by it.
	Latest(ctx context.Context) (Item, error)

	// Lag is how old an item that Read returns may be while all works. Keys
	// are kept for so much longer after they were replaced.
	Lag() time.Duration

	// Begin waits until nobody else holds a claim on the identity and reads
	// the item again. If that satisfies the request nothing more is done.
	// Otherwise the store is proven by writing room for one more key beside
	// all live ones and reading it back, the keys at VMS are looked at, and
	// the intent is written to the journal. When Begin fails nothing was
	// issued and nothing is left behind.
	Begin(ctx context.Context, r Request) (*Claim, error)

	// Commit stores what the change makes of the item, reads it back and
	// compares, closes the journal entry and ends the claim. When it fails
	// the claim is still held: delete the key at VMS, then Abort; unless the
	// error matches [ErrMayBeStored].
	Commit(ctx context.Context, c *Claim, change func(Item) Item) (Item, error)

	// Abort puts the item back as it was, settles the journal entry as the
	// outcome says and ends the claim.
	Abort(ctx context.Context, c *Claim, o Outcome) error

	// Update changes the item under the same exclusion, for changes that
	// cannot leave a key behind. The change may be called again on a newer
	// item. An item that becomes empty is deleted from the store.
	Update(ctx context.Context, change func(Item) (Item, error)) (Item, error)

	// Lend claims the right to issue a key that is stored nowhere, since it is
	// for the run of one command. The keys at VMS are looked at and the request
	// is journaled as with Begin, in the journal of this machine, but the store
	// is neither proven nor touched. Machines that share a document enter the loan
	// there, too, so that none of them takes the key for its own lost one. When Lend
	// fails nothing was issued.
	Lend(ctx context.Context, r Request) (*Loan, error)

	// Review is Update over the item and the open entries together, to judge
	// what a crash left. look is called first, and looks at VMS. change is
	// given the item and the entries as they were all the time of the look,
	// and an entry is alive in it if it was when the look began. It returns the
	// item, and entries to replace. When Review returns without an error those
	// are written, and whoever wrote them can store nothing more. Both may be
	// called again.
	Review(ctx context.Context, look func(context.Context) error, change Judge) error

	// Pending returns the open entries for the identity: this machine's own,
	// or those of all machines that share the document. Loans are included.
	Pending(ctx context.Context) ([]Entry, error)

	// Settle replaces an open entry whose process is dead; a closed one is
	// removed. failure.Conflict if its process lives after all.
	Settle(ctx context.Context, e Entry) error
}

// Judge decides what becomes of an item and its open entries, which it asks for
// if it needs them.
type Judge func(it Item, open func() ([]Entry, error)) (Item, []Entry, error)

// Request is what a claim is for.
type Request struct {
	Intent Intent
	// Satisfied reports whether the item that another process may have
	// written meanwhile makes the request needless. Nil is never.
	Satisfied func(Item) bool
	// Observe looks at VMS once the claim is held. Its error ends the claim; a
	// list that is merely unknown is no error.
	Observe func(context.Context) (Observation, error)
	// Inherit is called under the claim, before Observe, when it was taken over
	// from a process that died and may have left a key. It may call Review and
	// Settle. Its error ends the claim. Nil does nothing.
	Inherit func(context.Context) error
	// Timeout is how long the request to VMS may take; its deadline goes into
	// the journal. A coordinator may grant less, see [Claim.Timeout].
	Timeout time.Duration
}

// Observation is what VMS said before the request.
type Observation struct {
	KeysBefore  Keys
	ServerClock time.Time // zero is unknown
}

// Claim is the exclusive right to issue a key for an identity. It is used by
// one goroutine. Release ends it without deciding anything.
type Claim struct {
	Item      Item          // as read under the claim
	Satisfied bool          // nothing is to be done, and the claim has ended
	Entry     Entry         // as journaled
	Timeout   time.Duration // how long the request may take

	ready   func(context.Context) error // nil is ready for ever
	fleet   *held
	grip    *grip  // of a local one
	release func() // idempotent
	open    *OpenEntry
}

// Release ends the claim. After Commit or Abort it does nothing; without them
// the journal entry stays open.
func (c *Claim) Release() { c.release() }

// Ready says that the request may be sent now: call it right before. A claim
// with a lease makes sure that the request ends within it; an error means that
// nothing may be issued.
func (c *Claim) Ready(ctx context.Context) error {
	if c.ready == nil {
		return nil
	}
	return c.ready(ctx)
}

// ErrMayBeStored marks errors of a Commit of which nobody knows whether it
// stored the key, or will yet. The key must not be deleted at VMS; the journal
// entry is open, and reaping finds out what became of it.
var ErrMayBeStored = errors.New("nobody knows whether the key was stored")

// Outcome is how a request that led to no stored key ended.
type Outcome struct {
	// Unknown: VMS may have made a key. The entry stays open.
	Unknown bool
	// LeftOver is a key that VMS made, and that could neither be stored nor
	// deleted. The entry stays open and names it.
	LeftOver string
}
