// Package keystore keeps small named secrets: in the keyring of the operating
// system, in that of the Linux kernel, in age-encrypted files, or in memory.
//
// A store never falls back to another one. When it cannot be used the error is
// [failure.Store] with the details "store", "reason" (see [Reason]) and
// "alternatives". Nothing is probed until a call needs it, so a process that
// uses one store never touches another.
package keystore

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"github.com/valetkey/valetkey/pkg/failure"
)

// MaxSize is the largest value in bytes that a store takes. A keyring of the
// operating system may take less: Windows stops at 2560 bytes, macOS at
// roughly 3000 with the name, the Linux kernel at 32,767.
const MaxSize = 64 << 10

// Store keeps values under item names. An item name is any non-empty string
// without NUL; what it looks like is up to the caller, and no name reaches
// outside of the store. Implementations are safe for concurrent use.
//
// Every call ends when ctx does, with [failure.Cancelled], or
// [failure.Store] with reason timed_out when a deadline passed.
type Store interface {
	// Name is the name of the kind of store: os, kernel, file or memory.
	Name() string
	// Get returns the value, or failure.NotFound when there is none.
	Get(ctx context.Context, item string) ([]byte, error)
	// Put writes the value, replacing any other. Afterwards it is the old
	// value or the new one, never a mixture.
	Put(ctx context.Context, item string, value []byte) error
	// Delete removes the value, or returns failure.NotFound when there is none.
	Delete(ctx context.Context, item string) error
}

// Reason says why a store cannot be used. The values are frozen.
type Reason string

// The reasons.
const (
	Absent   Reason = "absent"    // no such service, device or file
	Locked   Reason = "locked"    // somebody has to unlock it first
	Denied   Reason = "denied"    // it refused, or the passphrase or identity is wrong
	TimedOut Reason = "timed_out" // no answer within the deadline
	ReadOnly Reason = "read_only" // cannot be written, for rights or for lack of space
	TooLarge Reason = "too_large" // the value is larger than the store takes
	Damaged  Reason = "damaged"   // what it holds cannot be read any more
)

// Unusable returns the error of a store that cannot be used. The cause may be nil.
func Unusable(store string, reason Reason, cause error, format string, args ...any) *failure.Error {
	e := failure.Wrap(failure.Store, cause, format, args...).
		WithDetail("store", store).
		WithDetail("reason", string(reason)).
		WithDetail("alternatives", Alternatives(store))
	if alt := Alternatives(store); len(alt) > 0 {
		e = e.WithHint("choose another store, e.g. --store %s or VALETKEY_STORE=%s", alt[0], alt[0])
	}
	return e
}

// Unreadable words an item whose content cannot be used, whole as the store gave
// it, as a store that cannot be used. The hint of the cause stays.
func Unreadable(store string, cause error) *failure.Error {
	e := Unusable(store, Damaged, cause, "%s store", store)
	return e.WithHint("%s", failure.HintOf(cause))
}

// ReasonOf returns the reason of an unusable store in err's chain, or "".
func ReasonOf(err error) Reason {
	if !failure.Is(err, failure.Store) {
		return ""
	}
	reason, _ := failure.DetailsOf(err)["reason"].(string)
	return Reason(reason)
}

// hasKernel: only Linux has a keyring in its kernel.
const hasKernel = runtime.GOOS == "linux"

// Alternatives are the stores of this system that outlive a process and do not
// need what the named one needs.
func Alternatives(store string) []string {
	order := []string{"os", "file", "kernel"}
	switch store {
	case "os", "kernel": // where the keyring of the kernel is closed there is rarely a desktop
		order = []string{"file", "kernel", "os"}
	case "file":
		order = []string{"os", "kernel"}
	}
	return slices.DeleteFunc(order, func(other string) bool { return other == store || other == "kernel" && !hasKernel })
}

// begin checks what every call checks first.
func begin(ctx context.Context, store, item string) error {
	if item == "" {
		return failure.New(failure.Internal, "%s store: empty item name", store)
	}
	return late(ctx, store)
}

// late returns the error of a context that is over before the store was asked,
// or nil: whoever took the time, it was not the store.
func late(ctx context.Context, store string) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	return failure.Wrap(failure.KindOf(err), err, "no time left to ask the %s store", store)
}

// ended returns the error of a context that is over while the store works, or nil.
func ended(ctx context.Context, store string) error {
	err := ctx.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return Unusable(store, TimedOut, err, "%s store: no time left", store)
	}
	return failure.Wrap(failure.Cancelled, err, "%s store", store)
}

func notFound(store, item string) error {
	return failure.New(failure.NotFound, "%s store: no item %q", store, item)
}

func checkSize(store, item string, value []byte) error {
	if len(value) > MaxSize {
		return Unusable(store, TooLarge, nil, "%s store: item %q has %d bytes, more than the %d it takes", store, item, len(value), MaxSize)
	}
	return nil
}
