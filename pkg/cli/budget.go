package cli

import (
	"context"
	"sync"
	"time"
)

// budget is a context with a deadline that stands still while a person is asked
// something. It bounds the waiting of a whole command, retries included.
type budget struct {
	parent context.Context
	done   chan struct{}

	mu     sync.Mutex
	err    error
	timer  *time.Timer
	left   time.Duration
	since  time.Time
	paused int
}

// newBudget starts the deadline. The cancel function releases its resources.
func newBudget(parent context.Context, limit time.Duration) (*budget, context.CancelFunc) {
	b := &budget{parent: parent, done: make(chan struct{}), left: limit, since: time.Now()}
	b.mu.Lock() // a short limit may pass before the timer is noted
	b.timer = time.AfterFunc(limit, func() { b.end(context.DeadlineExceeded) })
	b.mu.Unlock()
	stop := context.AfterFunc(parent, func() { b.end(parent.Err()) })
	return b, func() {
		stop()
		b.end(context.Canceled)
	}
}

func (b *budget) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return
	}
	if err == context.DeadlineExceeded && b.paused > 0 { //nolint:errorlint // the sentinel itself
		return
	}
	b.err = err
	b.timer.Stop()
	close(b.done)
}

// pause stops the clock until the function it returns is called.
func (b *budget) pause() func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused == 0 && b.timer.Stop() {
		b.left -= time.Since(b.since)
	}
	b.paused++
	var once sync.Once
	return func() {
		once.Do(func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.paused--
			if b.paused == 0 && b.err == nil {
				b.since = time.Now()
				b.left = max(b.left, time.Second) // an answer is worth a try
				b.timer.Reset(b.left)
			}
		})
	}
}

// remaining is how much longer may be waited.
func (b *budget) remaining() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused > 0 {
		return b.left
	}
	return max(0, b.left-time.Since(b.since))
}

// Deadline implements context.Context. There is none that stands: a prompt moves it.
func (b *budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (b *budget) Done() <-chan struct{} { return b.done }

// Err implements context.Context.
func (b *budget) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Value implements context.Context. Cancellation is the budget's own, so a value
// is looked up without the parent's hidden ones.
func (b *budget) Value(any) any { return nil }
