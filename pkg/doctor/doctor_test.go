package doctor_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/doctor"
	"github.com/valetkey/valetkey/pkg/failure"
)

func TestRun(t *testing.T) {
	var r doctor.Registry
	if got, err := r.Run(context.Background()); err != nil || len(got) != 0 || got == nil {
		t.Errorf("an empty registry: %v, %v", got, err)
	}
	r.Add(doctor.Check{Name: "fine", Run: func(context.Context) ([]doctor.Finding, error) { return nil, nil }})
	r.Add(doctor.Check{Name: "finds", Run: func(context.Context) ([]doctor.Finding, error) {
		return []doctor.Finding{{Severity: doctor.Warning, Message: "m"}}, failure.New(failure.Network, "x").WithHint("h")
	}})
	r.Add(doctor.Check{Name: "hangs", Timeout: time.Millisecond, Run: func(ctx context.Context) ([]doctor.Finding, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	got, err := r.Run(context.Background())
	want := []doctor.Finding{
		{Check: "finds", Severity: doctor.Warning, Message: "m"},
		{Check: "finds", Severity: doctor.Error, Message: "the check failed: x", Hint: "h"},
		{Check: "hangs", Severity: doctor.Error, Message: "the check failed: context deadline exceeded"},
	}
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v %s", err, cmp.Diff(want, got))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Run(ctx); !failure.Is(err, failure.Cancelled) {
		t.Errorf("cancelled: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second check of the name was taken")
		}
	}()
	r.Add(doctor.Check{Name: "fine"})
}
