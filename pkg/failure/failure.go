// Package failure is the one vocabulary of errors in valetkey.
//
// Every error that reaches a user has a Kind. A kind is a promise to scripts:
// it fixes the process exit code and the "code" member of a JSON error, and
// neither is ever renumbered or renamed. An error without a kind counts as
// [Internal], a fault of valetkey itself.
//
// Errors are built where the cause is known and wrapped on the way up:
//
//	return failure.Wrap(failure.NotFound, err, "delete access key %s", id)
//
// All values here are safe for concurrent use once built.
package failure

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// Kind classifies an error. The zero value is Internal.
type Kind int

// The kinds, in the order of their exit codes.
const (
	Internal  Kind = iota // a fault of valetkey, or anything not below
	Usage                 // wrong arguments, missing input
	Config                // unreadable or invalid settings
	Auth                  // not logged in, wrong or expired credentials
	Forbidden             // authenticated, not allowed
	NotFound              // the named thing is not there
	Conflict              // somebody else changed it first, or it exists already
	KeyLimit              // the user holds as many access keys as VAST allows
	Store                 // the key store is absent, locked, denied or too slow
	Network               // address, TLS, proxy, timeout, or a server that fails
	Partial               // some of a bulk request failed
	Finding               // a check found something
	TooLarge              // over a documented limit
	Cancelled             // interrupted
)

// Info describes a kind to people and scripts.
type Info struct {
	Kind    Kind
	Exit    int
	Code    string
	Meaning string
}

// table is indexed by Kind.
var table = [...]Info{
	{Internal, 1, "internal", "a fault of valetkey itself, or anything not below"},
	{Usage, 2, "usage", "wrong arguments, missing input"},
	{Config, 3, "config", "unreadable or invalid settings; the message names the source"},
	{Auth, 4, "auth", "not logged in, wrong or expired credentials"},
	{Forbidden, 5, "forbidden", "authenticated, but not allowed"},
	{NotFound, 6, "not_found", "the key, secret, policy, user, path or object is not there"},
	{Conflict, 7, "conflict", "somebody else changed it first, or it exists already"},
	{KeyLimit, 8, "key_limit", "the user holds two access keys already"},
	{Store, 9, "store", "the key store is absent, locked, denied or too slow"},
	{Network, 10, "network", "address, TLS, proxy, timeout, a refused redirect, or a server that fails or answers nonsense"},
	{Partial, 11, "partial", "some of a bulk request failed; each failure is named"},
	{Finding, 12, "finding", "simulate said deny, or lint, doctor, review or diff found something"},
	{TooLarge, 13, "too_large", "over a documented limit"},
	{Cancelled, 130, "cancelled", "interrupted"},
}

// Kinds returns a description of every kind, in the order of exit codes.
func Kinds() []Info { return append([]Info(nil), table[:]...) }

func (k Kind) info() Info {
	if k < 0 || int(k) >= len(table) {
		return table[Internal]
	}
	return table[k]
}

// Exit is the process exit code of the kind.
func (k Kind) Exit() int { return k.info().Exit }

// String is the code of the kind in JSON errors.
func (k Kind) String() string { return k.info().Code }

// Error is an error with a kind, and what a person or a program can do next.
type Error struct {
	Kind    Kind
	Message string         // what was being done to what, in lower case, one line
	Hint    string         // the next step, or empty
	Details map[string]any // machine-readable facts; never a secret
	Err     error          // the cause, or nil
}

// Error returns the message and its cause.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Message
	case e.Message == "":
		return e.Err.Error()
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of the kind.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of the kind with a cause. The message says what was
// being done to what; the cause follows it after a colon.
func Wrap(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// Annotate adds context to err and keeps its kind, hint and details.
// It returns nil if err is nil.
func Annotate(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindOf(err), Message: fmt.Sprintf(format, args...), Err: err}
}

// marked is an error that matches a sentinel, too.
type marked struct {
	error
	sentinel error
}

func (m *marked) Unwrap() error        { return m.error }
func (m *marked) Is(target error) bool { return target == m.sentinel }

// Mark makes errors.Is(err, sentinel) true. What the error says and its kind
// stay. It returns nil if err is nil.
func Mark(err, sentinel error) error {
	if err == nil {
		return nil
	}
	return &marked{err, sentinel}
}

// WithHint sets the next step and returns the same error.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithDetail sets one machine-readable fact and returns the same error.
func (e *Error) WithDetail(name string, value any) *Error {
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	e.Details[name] = value
	return e
}

// KindOf returns the kind of the outermost classified error in err's chain.
// A cancelled context is Cancelled, a passed deadline is Network, and anything
// unclassified is Internal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return Network
	}
	return Internal
}

// Is reports whether err is of the kind. It is false for a nil error.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// HintOf returns the outermost hint in err's chain.
func HintOf(err error) string {
	for _, e := range chain(err) {
		if e.Hint != "" {
			return e.Hint
		}
	}
	return ""
}

// DetailsOf returns the details of the whole chain in one map, an outer detail
// winning over an inner one of the same name. The map is never nil.
func DetailsOf(err error) map[string]any {
	all := map[string]any{}
	errs := chain(err)
	for i := len(errs) - 1; i >= 0; i-- {
		maps.Copy(all, errs[i].Details)
	}
	return all
}

func chain(err error) []*Error {
	var list []*Error
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			break
		}
		list = append(list, e)
		err = e.Err
	}
	return list
}

// Exit is the error of a command that ends with another program's exit code.
// It prints nothing: the other program has said what there was to say.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// ExitCode maps an error to the process exit code; nil is 0.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit Exit
	if errors.As(err, &exit) {
		return int(exit)
	}
	return KindOf(err).Exit()
}
