package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

func TestBudgetStandsStillWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, release := newBudget(t.Context(), 10*time.Second)
		defer release()
		time.Sleep(4 * time.Second)
		goOn := b.pause()
		inner := b.pause() // a question within a question
		time.Sleep(time.Hour)
		inner()
		time.Sleep(time.Hour)
		if b.Err() != nil {
			t.Fatalf("ended while paused: %v", b.Err())
		}
		goOn()
		goOn() // once is enough
		time.Sleep(5*time.Second + 900*time.Millisecond)
		if b.Err() != nil {
			t.Fatalf("ended early: %v", b.Err())
		}
		time.Sleep(200 * time.Millisecond)
		if !errors.Is(b.Err(), context.DeadlineExceeded) {
			t.Fatalf("%v after its time", b.Err())
		}
	})
}

// An answer that came late is worth a try.
func TestBudgetLeavesASecondAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, release := newBudget(t.Context(), 100*time.Millisecond)
		defer release()
		time.Sleep(99 * time.Millisecond)
		b.pause()()
		time.Sleep(900 * time.Millisecond)
		if b.Err() != nil {
			t.Errorf("no time left to use the answer: %v", b.Err())
		}
	})
}

func TestBudgetOfChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, release := newBudget(t.Context(), time.Second)
		defer release()
		child, cancel := context.WithCancel(b)
		defer cancel()
		timed, cancelTimed := context.WithTimeout(b, time.Hour)
		defer cancelTimed()
		<-child.Done()
		<-timed.Done()
		for name, ctx := range map[string]context.Context{"child": child, "with a time of its own": timed} {
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) || failure.KindOf(ctx.Err()) != failure.Network {
				t.Errorf("%s: %v", name, ctx.Err())
			}
		}
	})
}

func TestBudgetEndsWithItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		b, release := newBudget(parent, time.Hour)
		defer release()
		defer b.pause()() // a question is no reason to ignore Ctrl-C
		cancel()
		<-b.Done()
		if failure.KindOf(b.Err()) != failure.Cancelled {
			t.Errorf("%v", b.Err())
		}
	})
}
