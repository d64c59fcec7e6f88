package keystore

import (
	"context"
	"errors"
	"time"

	keyring "github.com/zalando/go-keyring"

	"github.com/valetkey/valetkey/pkg/failure"
)

// service is the name under which every item lies in the keyring; the user
// name beside it is the item's.
const service = "valetkey"

// defaultTimeout bounds one call to the keyring.
const defaultTimeout = 3 * time.Second

// Keyring is what a keyring of an operating system can do. Get and Delete
// return [keyring.ErrNotFound] when there is no such item.
type Keyring interface {
	Get(service, user string) (string, error)
	Set(service, user, value string) error
	Delete(service, user string) error
}

// prober is a keyring that can tell, without changing or prompting anything,
// whether it can be used right now.
type prober interface{ Probe(context.Context) error }

// OSOptions adjusts the keyring store. The zero value is right.
type OSOptions struct {
	Timeout time.Duration // of one call; 0 is 3 s
	Keyring Keyring       // nil is the operating system's own
	// Turn waits, as long as ctx allows, until this process may talk to the
	// keyring, and returns what ends its turn. A keyring serves its callers one
	// after the other, and hundreds at once would all be answered too late; the
	// time of a call begins with its turn. Nil takes no turns.
	Turn func(ctx context.Context) (end func())
}

// OS is the store in the operating system's keyring: Keychain on macOS,
// Credential Manager on Windows, the Secret Service elsewhere. Use [NewOS].
//
// It never opens a dialog: where a collection is locked, the answer is
// "locked" at once, since a dialog that nobody expects or sees is a hang. A
// keyring that asks on its own (macOS for a program it does not know, a
// password manager that confirms each access) has the timeout for it. The
// call that a silent keyring never answers stays behind in a goroutine; a
// process is expected to end soon after.
type OS struct {
	timeout time.Duration
	ring    Keyring
	turn    func(context.Context) func()
}

// NewOS returns the keyring store. It contacts nothing.
func NewOS(o OSOptions) *OS {
	s := &OS{timeout: o.Timeout, ring: o.Keyring, turn: o.Turn}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.ring == nil {
		s.ring = system{}
	}
	return s
}

// Name implements Store.
func (s *OS) Name() string { return "os" }

// Get implements Store.
func (s *OS) Get(ctx context.Context, item string) ([]byte, error) {
	value, err := s.call(ctx, item, "read", func() (string, error) { return s.ring.Get(service, item) })
	if err != nil {
		return nil, err
	}
	return []byte(value), nil
}

// Put implements Store. The value must be text: a keyring may alter what is not.
func (s *OS) Put(ctx context.Context, item string, value []byte) error {
	if err := checkSize(s.Name(), item, value); err != nil {
		return err
	}
	text := string(value) // a copy, which outlives a call given up
	_, err := s.call(ctx, item, "write", func() (string, error) { return "", s.ring.Set(service, item, text) })
	return err
}

// Delete implements Store.
func (s *OS) Delete(ctx context.Context, item string) error {
	_, err := s.call(ctx, item, "delete", func() (string, error) { return "", s.ring.Delete(service, item) })
	return err
}

// call runs one operation with the deadline of the store.
func (s *OS) call(parent context.Context, item, verb string, do func() (string, error)) (string, error) {
	if err := begin(parent, s.Name(), item); err != nil {
		return "", err
	}
	if s.turn != nil {
		defer s.turn(parent)()
		if err := ended(parent, s.Name()); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(parent, s.timeout)
	defer cancel()
	type answer struct {
		value string
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		if p, ok := s.ring.(prober); ok {
			// An operation whose caller has gone must not start any more.
			if err := errors.Join(p.Probe(ctx), ctx.Err()); err != nil {
				done <- answer{"", err}
				return
			}
		}
		value, err := do()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		if a.err != nil && ctx.Err() == nil {
			return "", s.trouble(a.err, verb, item)
		}
		if a.err == nil {
			return a.value, nil
		}
	case <-ctx.Done():
	}
	if err := parent.Err(); err != nil {
		return "", ended(parent, s.Name())
	}
	return "", Unusable(s.Name(), TimedOut, nil, "os store: %s %q: the %s did not answer within %v", verb, item, ringName, s.timeout)
}

// refusal is what a probe found, with its reason.
type refusal struct {
	reason Reason
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// trouble gives an error of the keyring its kind and reason.
func (s *OS) trouble(err error, verb, item string) error {
	if errors.Is(err, keyring.ErrNotFound) {
		return notFound(s.Name(), item)
	}
	reason := reasonOf(err)
	e := Unusable(s.Name(), reason, err, "os store: %s %q in the %s", verb, item, ringName)
	if reason == Locked {
		e = e.WithHint("%s; or %s", unlockHint, failure.HintOf(e))
	}
	return e
}

func reasonOf(err error) Reason {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r.reason
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return TooLarge
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		return Absent
	}
	return systemReason(err)
}

// plain is the operating system's keyring as the library has it.
type plain struct{}

func (plain) Get(service, user string) (string, error) { return keyring.Get(service, user) }
func (plain) Set(service, user, value string) error    { return keyring.Set(service, user, value) }
func (plain) Delete(service, user string) error        { return keyring.Delete(service, user) }
