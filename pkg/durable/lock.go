package durable

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// Waiters ask again after firstPoll, then ever more rarely up to lastPoll: five
// hundred of them must leave the one they wait for something of the machine.
const (
	firstPoll = 5 * time.Millisecond
	lastPoll  = time.Second
)

// Lock takes the exclusive lock on the file at path, creating it with mode
// 0600, and waits for it as long as ctx allows; its error then matches
// [context.Canceled] or [context.DeadlineExceeded]. A ctx without a deadline
// may wait for ever. Two calls exclude each other within one process as well.
//
// The file stays after the release: removing a lock file lets two processes
// hold "the" lock. Only one that nobody will ever wait for again may be removed.
func Lock(ctx context.Context, path string) (*Held, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		held, err := TryLock(path)
		if held != nil || err != nil {
			return held, err
		}
		timer.Reset(pause/2 + rand.N(pause/2)) //nolint:gosec // not all at once
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
}

// Turn takes one of n locks, whichever is free first, so that n processes at a
// time do something. Otherwise it is as [Lock]; the files are path-0.lock and so on.
func Turn(ctx context.Context, path string, n int) (*Held, error) {
	file := func(i int) string { return path + "-" + strconv.Itoa(i%n) + ".lock" }
	first := rand.N(n) //nolint:gosec // spreads load
	for i := range n {
		if held, err := TryLock(file(first + i)); held != nil || err != nil {
			return held, err
		}
	}
	return Lock(ctx, file(first))
}

// TryLock takes the lock if it is free. It returns nil and no error when
// somebody else holds it.
func TryLock(path string) (*Held, error) { return tryLock(path, true) }

// TryShare takes the lock together with others who share it, unless somebody
// holds it alone; then it returns nil and no error. It finds out whether a lock
// is held without looking like a holder to others who do the same.
func TryShare(path string) (*Held, error) { return tryLock(path, false) }

// InPlace reports whether the lock file is still where it was locked. One that
// was removed or replaced, with its directory or alone, keeps nobody out any more.
func (h *Held) InPlace() bool {
	held, err := h.stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(h.Path())
	return err == nil && os.SameFile(held, there)
}
