// Package observe carries what the request log of the sandbox wants to know
// from a handler that has identified its caller.
package observe

import (
	"context"
	"sync/atomic"
)

type key struct{}

// Caller is the slot a handler fills with the user it identified. It is safe for concurrent use.
type Caller struct{ name atomic.Pointer[string] }

// User is the identified user, or empty.
func (c *Caller) User() string {
	if p := c.name.Load(); p != nil {
		return *p
	}
	return ""
}

// WithCaller returns a context with an empty slot, and the slot.
func WithCaller(ctx context.Context) (context.Context, *Caller) {
	c := &Caller{}
	return context.WithValue(ctx, key{}, c), c
}

// SetUser fills the slot of ctx. Without a slot it does nothing.
func SetUser(ctx context.Context, name string) {
	if c, ok := ctx.Value(key{}).(*Caller); ok {
		c.name.Store(&name)
	}
}
