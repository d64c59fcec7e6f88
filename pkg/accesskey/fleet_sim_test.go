package accesskey_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

// simulation runs the real code of several machines, one call at a time, in an
// order and with faults that a seed decides.
type simulation struct {
	w      *fleetWorld
	rnd    *rand.Rand
	asked  chan turn
	stood  []turn // machines that stand before a call
	faults int    // that are left
	doubt  bool   // a request reached VMS late, or VMS did not tell what proofs need
	dying  map[string]bool
	log    []string
}

type turn struct {
	machine, call string
	answer        chan fate
	ended         bool
}

// start runs a machine until its first call.
func (s *simulation) start(name string, do func()) {
	go func() {
		defer func() { s.asked <- turn{machine: name, ended: true} }()
		do()
	}()
	s.wait()
}

// decide stands before a call until it is this machine's turn.
func (s *simulation) decide(machine, call string) fate {
	a := turn{machine: machine, call: call, answer: make(chan fate)}
	s.asked <- a
	f := <-a.answer
	if f == neverAgain {
		runtime.Goexit() // as a process that is killed: it does nothing more
	}
	return f
}

// wait waits for the one machine that runs.
func (s *simulation) wait() {
	if a := <-s.asked; !a.ended {
		s.stood = append(s.stood, a)
	}
}

// step lets one machine make its call, or time pass.
func (s *simulation) step() {
	if s.rnd.IntN(40) == 0 {
		d := []time.Duration{3, 12, 30, 120}[s.rnd.IntN(4)] * time.Second
		s.log = append(s.log, fmt.Sprint(d, " pass"))
		s.w.later(d)
		for _, a := range s.stood { // nothing can be done against a stop right before the request
			s.doubt = s.doubt || a.call == "post"
		}
		return
	}
	if s.rnd.IntN(20) == 0 {
		s.w.arrive()
	}
	i := s.rnd.IntN(len(s.stood))
	a := s.stood[i]
	s.stood = slices.Delete(s.stood, i, i+1)
	f := s.fate(a)
	s.log = append(s.log, fmt.Sprintf("%s: %s %d", a.machine, a.call, f))
	a.answer <- f
	s.wait()
}

func (s *simulation) fate(a turn) fate {
	if s.dying[a.machine] {
		return neverAgain
	}
	if s.faults == 0 || s.rnd.IntN(12) > 0 || a.call == "sleep" {
		return fine
	}
	s.faults--
	s.doubt = s.doubt || a.call == "time" || a.call == "list"
	switch f := []fate{refused, lostBefore, lostAfter, onItsWay, neverAgain, neverReturn}[s.rnd.IntN(6)]; {
	case f == neverReturn:
		s.dying[a.machine] = true
		return lostAfter
	case f == onItsWay && a.call == "post":
		s.doubt = true
		return f
	case f == onItsWay && a.call != "write", f == refused && a.call == "post":
		return lostBefore
	default:
		return f
	}
}

// run plays one seed and returns what went wrong.
func run(t *testing.T, seed uint64) error {
	t.Helper()
	w := newFleetWorld(t)
	s := &simulation{w: w, rnd: rand.New(rand.NewPCG(seed, 1)), asked: make(chan turn), dying: map[string]bool{}} //nolint:gosec // a seed
	s.faults = s.rnd.IntN(5)
	w.decide = s.decide
	errs := map[string]error{}
	machines := 2 + s.rnd.IntN(4)
	for i := range machines {
		name := fmt.Sprint("m", i)
		m := w.member(name)
		kind := s.rnd.IntN(8)
		s.start(name, func() {
			var err error
			switch kind {
			case 0:
				_, err = m.Rotate(context.Background(), accesskey.RotateOptions{})
			case 1:
				_, err = m.Reap(context.Background(), accesskey.ReapOptions{})
			case 2:
				var lent *accesskey.Lent
				if lent, err = m.Lend(context.Background(), accesskey.LendOptions{}); err == nil {
					_ = m.w.decide(m.name, "sleep") // the run
					err = lent.Return(context.Background())
				}
			default:
				_, err = m.EnsureKey(context.Background())
			}
			errs[name] = err
		})
	}
	for steps := 0; len(s.stood) > 0; steps++ {
		if steps == 5000 {
			return fmt.Errorf("somebody waits for ever\n%s", strings.Join(s.log[len(s.log)-50:], "\n"))
		}
		s.step()
		if err := w.sound("underway"); err != nil {
			return fmt.Errorf("%w\n%s", err, strings.Join(s.log, "\n"))
		}
	}
	for name, err := range errs {
		if err != nil && failure.Is(err, failure.Internal) {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	w.decide = func(string, string) fate { return fine }
	w.arrive()
	for i := range machines { // what was lent, its machine alone takes back
		name := fmt.Sprint("m", i)
		if _, err := w.member(name).Reap(t.Context(), accesskey.ReapOptions{}); err != nil && !failure.Is(err, failure.Finding) {
			return fmt.Errorf("%s reaps: %w\n%s", name, err, strings.Join(s.log, "\n"))
		}
	}
	for _, e := range w.doc(t).Journal { // of a machine that is gone a person deletes it
		if _, ended := errs[e.Machine]; e.Intent == accesskey.Ephemeral && e.AccessKey != "" && !ended {
			if _, err := w.member("person").Delete(t.Context(), e.AccessKey); err != nil && !failure.Is(err, failure.NotFound) {
				return err
			}
		}
	}
	return s.aftermath(t)
}

// aftermath is what holds when all is quiet again.
func (s *simulation) aftermath(t *testing.T) error {
	t.Helper()
	w := s.w
	w.decide = func(string, string) fate { return fine }
	w.arrive()
	w.later(2 * time.Minute)
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.log, "\n"))
	}
	cleaner := w.member("cleaner")
	for _, later := range []time.Duration{0, 25 * time.Hour} {
		w.later(later)
		if _, err := cleaner.Reap(t.Context(), accesskey.ReapOptions{}); err != nil && (!s.doubt || !failure.Is(err, failure.Finding)) {
			return fail("reap: %v", err)
		} else if err != nil {
			return w.sound("named")
		}
		if err := w.sound("reaped"); err != nil {
			return fail("%v", err)
		}
	}
	d := w.doc(t)
	if len(d.Journal) > 0 {
		return fail("left over: %+v", d)
	}
	for _, id := range w.atVMS() {
		if _, stored := d.Item.Find(id); !stored {
			return fail("%s fills a place", id)
		}
	}
	if _, err := cleaner.EnsureKey(t.Context()); err != nil {
		return fail("the next one: %v", err)
	}
	if _, err := cleaner.Rotate(t.Context(), accesskey.RotateOptions{}); err != nil {
		return fail("the next rotation: %v", err)
	}
	return nil
}

var (
	seeds    = flag.Uint64("fleet.seeds", 0, "how many schedules of a fleet are tried")
	fromSeed = flag.Uint64("fleet.from", 0, "the first of them")
)

func TestFleetAtRandom(t *testing.T) {
	n := *seeds
	switch {
	case n > 0:
	case testing.Short():
		n = 50
	default:
		n = 200
	}
	began := time.Now()
	for seed := *fromSeed; seed < *fromSeed+n; seed++ {
		if err := run(t, seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	t.Logf("%d schedules in %v", n, time.Since(began).Round(time.Millisecond))
}
