package keystore

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// fake is a keyring that does what a test wants.
type fake struct {
	get   func() (string, error)
	probe func(context.Context) error
}

func (f fake) Get(string, string) (string, error) { return f.get() }
func (f fake) Set(_, _, _ string) error           { _, err := f.get(); return err }
func (f fake) Delete(string, string) error        { _, err := f.get(); return err }
func (f fake) Probe(ctx context.Context) error {
	if f.probe == nil {
		return nil
	}
	return f.probe(ctx)
}

func each(s Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"get":    func(ctx context.Context) error { _, err := s.Get(ctx, "i"); return err },
		"put":    func(ctx context.Context) error { return s.Put(ctx, "i", []byte("v")) },
		"delete": func(ctx context.Context) error { return s.Delete(ctx, "i") },
	}
}

// A write whose caller has given up must not happen later.
func TestALateProbeStartsNothing(t *testing.T) {
	probed, started := make(chan struct{}), make(chan struct{}, 1)
	s := NewOS(OSOptions{Timeout: time.Millisecond, Keyring: fake{
		get:   func() (string, error) { started <- struct{}{}; return "", nil },
		probe: func(ctx context.Context) error { <-ctx.Done(); close(probed); return nil },
	}})
	if err := s.Put(t.Context(), "i", nil); ReasonOf(err) != TimedOut {
		t.Error(err)
	}
	<-probed
	select {
	case <-started:
		t.Error("the write started after its deadline")
	case <-time.After(20 * time.Millisecond):
	}
}

// A call waits for its turn, and only then its time begins.
func TestTurns(t *testing.T) {
	ends := 0
	slow := func(context.Context) func() {
		time.Sleep(30 * time.Millisecond)
		return func() { ends++ }
	}
	answer := fake{get: func() (string, error) { return "v", nil }}
	for name, call := range each(NewOS(OSOptions{Timeout: 20 * time.Millisecond, Keyring: answer, Turn: slow})) {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ends != 3 {
		t.Errorf("%d of 3 turns were ended", ends)
	}
	started := false
	late := NewOS(OSOptions{
		Keyring: fake{get: func() (string, error) { started = true; return "", nil }},
		Turn:    func(ctx context.Context) func() { <-ctx.Done(); return func() {} },
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := late.Get(ctx, "i"); ReasonOf(err) != TimedOut || started {
		t.Errorf("a turn that never comes: %v, started %v", err, started)
	}
}

func TestReasonsOutOfNothing(t *testing.T) {
	if ReasonOf(failure.New(failure.Auth, "x")) != "" || ReasonOf(nil) != "" {
		t.Error("a reason out of nothing")
	}
	if NewOS(OSOptions{}).timeout != 3*time.Second {
		t.Error("the deadline of the keyring is not 3 s")
	}
}

// What is named instead can be used on this system.
func TestAlternatives(t *testing.T) {
	for _, store := range []string{"os", "kernel", "file", "vault", "memory"} {
		alt := Alternatives(store)
		if len(alt) == 0 || slices.Contains(alt, store) || slices.Contains(alt, "kernel") != (runtime.GOOS == "linux" && store != "kernel") {
			t.Errorf("%s: %v", store, alt)
		}
	}
}

func TestUnreadable(t *testing.T) {
	err := Unreadable("file", failure.New(failure.Store, "the item is damaged").WithHint("mend it"))
	if ReasonOf(err) != Damaged || failure.DetailsOf(err)["store"] != "file" || failure.HintOf(err) != "mend it" || err.Error() != "file store: the item is damaged" {
		t.Errorf("%v %v", err, failure.DetailsOf(err))
	}
}
