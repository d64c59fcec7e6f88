package accesskey

import (
	"context"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// FleetOptions are the parts of a fleet's coordinator.
type FleetOptions struct {
	Identity Identity
	Document Document // shared by the machines
	// Copy keeps what the document said, for this machine alone, as the item
	// "fleet/"+Identity.Item(). Nil is no copy: each read asks the document.
	Copy    Store
	Places  func() (Places, error) // of this machine; asked when something must be locked
	Now     func() time.Time
	Wait    time.Duration     // longest wait for other claims; 0 is 30 s. The context may end it sooner.
	Waiting func(what string) // told when a wait has lasted a second; may be nil
	Refresh time.Duration     // soft expiry of what is handed out; a copy is trusted for half of it
	// Sleep waits; nil is a timer. Its error is the context's.
	Sleep func(context.Context, time.Duration) error
	// Note is told what went wrong beside what was asked for; may be nil.
	Note func(format string, args ...any)
}

// Fleet coordinates machines that share one document. It implements [Coordinator].
type Fleet struct{ o FleetOptions }

// NewFleet returns a coordinator for machines that share a document. It does
// no I/O.
func NewFleet(o FleetOptions) *Fleet { return &Fleet{o} }

var _ Coordinator = (*Fleet)(nil)

func unfinished() error { return failure.New(failure.Internal, "machines cannot share a key yet") }

// Read implements Coordinator.
func (f *Fleet) Read(context.Context) (Item, error) { return Item{}, unfinished() }

// Begin implements Coordinator.
func (f *Fleet) Begin(context.Context, Request) (*Claim, error) { return nil, unfinished() }

// Commit implements Coordinator.
func (f *Fleet) Commit(context.Context, *Claim, func(Item) Item) (Item, error) {
	return Item{}, unfinished()
}

// Abort implements Coordinator.
func (f *Fleet) Abort(context.Context, *Claim, Outcome) error { return unfinished() }

// Update implements Coordinator.
func (f *Fleet) Update(context.Context, func(Item) (Item, error)) (Item, error) {
	return Item{}, unfinished()
}

// Pending implements Coordinator.
func (f *Fleet) Pending(context.Context) ([]Entry, error) { return nil, unfinished() }

// Settle implements Coordinator.
func (f *Fleet) Settle(context.Context, Entry) error { return unfinished() }

// Lend implements Coordinator. What is lent is this machine's own affair: its
// journal names it, the document does not.
func (f *Fleet) Lend(context.Context, Request) (*Loan, error) { return nil, unfinished() }
