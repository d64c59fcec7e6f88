// Package secret holds values that must not be seen by accident.
//
// A [Text] formats, prints, logs and marshals as "[redacted]" whatever the verb
// or encoder. The value comes out through [Text.Reveal] or [Text.Bytes] alone,
// so every place that reveals a secret can be found by searching for those names.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Redacted stands where a secret would have been.
const Redacted = "[redacted]"

// Text is a secret string. The zero value is an absent secret.
//
// Copies share their bytes: zeroing one zeroes all. A Text may be read
// concurrently, but not while it is being zeroed.
type Text struct{ b []byte }

// New takes ownership of b, which the caller must not use again.
func New(b []byte) Text { return Text{b: b} }

// FromString copies s. The copy can be zeroed; s itself cannot, since Go
// strings are immutable. Prefer New where the bytes can be had.
func FromString(s string) Text { return Text{b: []byte(s)} }

// Reveal returns the secret as a string. The string is a copy that no call can
// erase from memory.
func (t Text) Reveal() string { return string(t.b) }

// Bytes returns the secret itself, not a copy. The caller must not change it.
func (t Text) Bytes() []byte { return t.b }

// IsEmpty reports whether there is no secret, or an empty one.
func (t Text) IsEmpty() bool { return len(t.b) == 0 }

// Len is the length in bytes.
func (t Text) Len() int { return len(t.b) }

// Equal compares in time that depends on the lengths only.
func (t Text) Equal(other Text) bool { return subtle.ConstantTimeCompare(t.b, other.b) == 1 }

// Zero overwrites the bytes. Copies that Reveal handed out are not reached.
func (t Text) Zero() { clear(t.b) }

// Format implements fmt.Formatter for every verb, %#v and %x among them.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// String implements fmt.Stringer.
func (t Text) String() string { return Redacted }

// MarshalText implements encoding.TextMarshaler, which encoding/json and most other encoders use.
func (t Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalYAML implements the marshaler interface of YAML encoders.
func (t Text) MarshalYAML() (any, error) { return Redacted, nil }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(Redacted) }
