package accesskey

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Lent is a key for one run. It is in no store: its secret is in memory alone,
// and it lives as long as the run. It is used by one goroutine.
type Lent struct {
	Credentials // which never expire

	s    *Service
	vms  VMSKeys
	loan *Loan
}

// LendOptions say how [Service.Lend] is to go about it.
type LendOptions struct {
	Wait time.Duration // how long to wait for room; 0 does not
	// Storeless says that the store in use holds nothing, and so cannot tell
	// whose a key is: nothing is deleted to make room but what was lent.
	Storeless bool
}

// Lend issues a key that is stored nowhere, for one run, which must end with
// [Lent.Return]. The journal names the key as long as it is lent: what a death
// leaves is deleted by reaping, and by the next loan. A run that goes on is
// never reaped.
//
// With both places taken what is due is deleted, as by reaping; if that makes no
// room the error is failure.KeyLimit, at once or after the wait.
func (s *Service) Lend(ctx context.Context, o LendOptions) (*Lent, error) {
	vms, err := s.d.VMS(ctx)
	if err != nil {
		return nil, err
	}
	start := s.d.Now()
	var told sync.Once
	for {
		if err := s.clearLoans(ctx, vms); err != nil {
			return nil, err
		}
		lent, err := s.lend(ctx, vms)
		if !failure.Is(err, failure.KeyLimit) {
			return lent, err
		}
		if !o.Storeless {
			room, err := s.reapNow(ctx, vms, wanted{retired: true, orphans: true})
			switch {
			case room:
				continue
			case err != nil && !failure.Is(err, failure.Store): // the key is not for the store
				return nil, err
			}
		}
		free, limit := s.explainFull(ctx, err, "--wait DURATION waits for room", "")
		if err := s.awaitRoom(ctx, limit, free, start.Add(o.Wait), &told); err != nil {
			return nil, err
		}
	}
}

// lend issues the key.
func (s *Service) lend(ctx context.Context, vms VMSKeys) (*Lent, error) {
	loan, err := s.d.Coordinator.Lend(ctx, Request{
		Intent: Ephemeral, Timeout: s.d.PostTimeout,
		Observe: func(ctx context.Context) (Observation, error) { return s.observe(ctx, vms) },
	})
	if err != nil {
		return nil, err
	}
	end := func(o Outcome) error { return loan.Return(ctx, o) }
	if err := loan.Ready(ctx); err != nil {
		_ = end(Outcome{})
		return nil, failure.Annotate(err, "issue an access key for %s (none was)", s.d.Identity)
	}
	g, err := s.ask(ctx, vms, loan.Entry, loan.timeout(s.d.PostTimeout), end)
	if err != nil {
		return nil, err
	}
	lent := &Lent{Credentials{AccessKey: g.AccessKey, SecretKey: g.SecretKey, Soft: true}, s, vms, loan}
	if err := loan.Name(ctx, g.AccessKey); err != nil {
		if left := lent.Return(ctx); left != nil {
			return nil, failure.Annotate(fmt.Errorf("%w; %w", err, left), "journal the access key just issued; %s is left over at VMS", g.AccessKey)
		}
		return nil, failure.Annotate(err, "journal the access key just issued (it was deleted again)")
	}
	return lent, nil
}

// Inherit is [Loan.Inherit].
func (l *Lent) Inherit() (stop func()) { return l.loan.Inherit() }

// Return deletes the key at VMS, with a few seconds of its own after the context
// has ended. When that fails the journal keeps the key's name, and reaping
// deletes it.
func (l *Lent) Return(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	err := l.vms.DeleteKey(ctx, l.AccessKey)
	if err != nil && !failure.Is(err, failure.NotFound) {
		_ = l.loan.Return(ctx, Outcome{LeftOver: l.AccessKey}) // it is named already, or could not be
		return failure.Annotate(err, "delete access key %s of the run that has ended", l.AccessKey)
	}
	// An entry that cannot be removed does no harm: VMS does not have its key.
	_ = l.loan.Return(ctx, Outcome{})
	return nil
}

// clearLoans deletes what dead processes had lent: such keys are in no store, and
// VMS said whose they were. Others are told at the request what goes wrong here.
func (s *Service) clearLoans(ctx context.Context, vms VMSKeys) error {
	open, err := s.d.Coordinator.Pending(ctx)
	if err != nil {
		return nil //nolint:nilerr // the journal is written, and its trouble told, before a key is issued
	}
	here := s.machine()
	for _, e := range open {
		if !dead(e) || e.Intent != Ephemeral || e.AccessKey == "" || e.Machine != here {
			continue
		}
		st := step{Reaped: Reaped{AccessKey: e.AccessKey, Action: ActionDeleted, Reason: abandoned(e)}}
		if err := s.take(ctx, vms, &st); err != nil {
			if ctx.Err() != nil || failure.Is(err, failure.Auth) {
				return err
			}
			continue
		}
		s.tell(plan{steps: []step{st}})
		e.Closed = true
		_ = s.d.Coordinator.Settle(ctx, e) // the next one does it, too
	}
	return nil
}

// abandoned says what a key was lent for.
func abandoned(e Entry) string {
	return "issued at " + stamp(e.Started) + " for the run of a command, whose valetkey ended without deleting it"
}

func dead(e Entry) bool { return !e.Alive && !e.Closed }

// running counts the processes of this machine that work on the keys, or with
// one that is lent.
func (s *Service) running(ctx context.Context) int {
	open, err := s.d.Coordinator.Pending(ctx)
	if err != nil {
		return 0
	}
	return len(slices.DeleteFunc(open, dead))
}
