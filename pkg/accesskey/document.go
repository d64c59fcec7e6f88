package accesskey

import (
	"context"
	"errors"
	"time"
)

// Document is one versioned value that machines share, changed by
// check-and-set. Every call has a deadline of its own and honours the context.
//
// A document that may have to ask a person first, or to log in, has a method
// Prepare(context.Context) error, too: it is called before a lock is taken.
type Document interface {
	// Name is what the store is called, such as "vault".
	Name() string
	// Read returns the newest version: number 0 where nothing was ever
	// written, and no bytes where the newest version was deleted.
	Read(ctx context.Context) (Version, error)
	// Write writes raw, a JSON object, if the newest version still has the
	// number base. failure.Conflict: it has not, and nothing was written. An
	// error that matches [ErrWriteLost]: it may have been written, now or a
	// little later. After any other error it was not, and will not be.
	Write(ctx context.Context, raw []byte, base int) (Version, error)
	// Purge destroys for good all versions before the one with the number:
	// they hold secrets that nobody needs any more. Versions that are gone
	// already are no error.
	Purge(ctx context.Context, before int) error
}

// Version is one version of a [Document].
type Version struct {
	// Raw is what was written; a server may have reordered the members. Of a
	// version that was just written it may be nil.
	Raw    []byte
	Number int
	// At is the time by the server's clock when it answered, cut to whole
	// seconds. It must never be told by another clock; zero is unknown.
	At time.Time
}

// ErrWriteLost marks errors of a write whose answer was lost: nobody knows
// whether the server took it, or will take it yet. Match with errors.Is.
var ErrWriteLost = errors.New("nobody knows whether it was written")
