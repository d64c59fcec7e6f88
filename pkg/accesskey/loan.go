package accesskey

import (
	"context"
	"time"
)

// Loan is a claim on a key that is not stored. Its journal entry stays open, and
// its process counts as alive, from the request until the key is returned.
// The order is Lend, Ready, the one request, Name, and Return; or Return at once
// where no key came of it. A loan is used by one goroutine.
type Loan struct {
	Entry Entry // as journaled

	open   *OpenEntry
	unlock func() // idempotent
	fleet  *Fleet // nil where no document is shared
	claim  *Claim // on it
}

// Ready is [Claim.Ready].
func (l *Loan) Ready(ctx context.Context) error {
	if l.claim == nil {
		return nil
	}
	return l.claim.Ready(ctx)
}

// timeout is how long the request may take.
func (l *Loan) timeout(wanted time.Duration) time.Duration {
	if l.claim == nil {
		return wanted
	}
	return l.claim.Timeout
}

// Name journals which key VMS issued, with fsync, and lets others issue. When it
// fails the claim is still held: delete the key at VMS, then Return.
func (l *Loan) Name(ctx context.Context, accessKey string) error {
	err := l.open.Update(func(e *Entry) { e.AccessKey = accessKey })
	if err == nil && l.claim != nil {
		err = l.fleet.nameLoan(ctx, l.claim, accessKey)
	}
	l.Entry = l.open.Entry
	if err == nil {
		l.unlock()
	}
	return err
}

// Inherit makes the programs that this process starts until stop is called keep
// the loan alive, too: should this process be killed, the key is not taken from
// a run that goes on. On Windows it does nothing.
func (l *Loan) Inherit() (stop func()) { return l.open.held.Inherit() }

// Return ends the loan: the zero outcome closes its entry, since the key is gone
// or was never made. After a death without it the entry stays open.
func (l *Loan) Return(ctx context.Context, o Outcome) error {
	defer l.unlock()
	if l.claim != nil {
		l.fleet.endLoan(ctx, l.claim, o)
	}
	return l.open.settle(o)
}
