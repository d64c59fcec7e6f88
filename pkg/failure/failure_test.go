package failure_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
)

// The numbers and codes are what scripts rely on: this table is the promise.
func TestKindsAreFrozen(t *testing.T) {
	got := map[int]string{}
	for _, k := range failure.Kinds() {
		got[k.Exit] = k.Code
		if k.Kind.Exit() != k.Exit || k.Kind.String() != k.Code || k.Meaning == "" {
			t.Errorf("kind %d: %+v", k.Kind, k)
		}
	}
	want := map[int]string{
		1: "internal", 2: "usage", 3: "config", 4: "auth", 5: "forbidden", 6: "not_found", 7: "conflict",
		8: "key_limit", 9: "store", 10: "network", 11: "partial", 12: "finding", 13: "too_large", 130: "cancelled",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExitCode(t *testing.T) {
	cases := map[string]struct {
		err  error
		want int
	}{
		"nil":          {nil, 0},
		"plain":        {errors.New("x"), 1},
		"classified":   {failure.New(failure.KeyLimit, "full"), 8},
		"wrapped":      {fmt.Errorf("outer: %w", failure.New(failure.Store, "locked")), 9},
		"annotated":    {failure.Annotate(failure.New(failure.Auth, "refused"), "log in"), 4},
		"reclassified": {failure.Wrap(failure.Conflict, failure.New(failure.NotFound, "gone"), "write"), 7},
		"cancelled":    {fmt.Errorf("get: %w", context.Canceled), 130},
		"deadline":     {fmt.Errorf("get: %w", context.DeadlineExceeded), 10},
		"child":        {failure.Exit(42), 42},
		"out of range": {failure.New(failure.Kind(99), "?"), 1},
	}
	for name, c := range cases {
		if got := failure.ExitCode(c.err); got != c.want {
			t.Errorf("%s: exit %d, want %d", name, got, c.want)
		}
	}
}

func TestHintsAndDetailsComeFromTheWholeChain(t *testing.T) {
	inner := failure.New(failure.Store, "locked").WithHint("unlock it").WithDetail("store", "os").WithDetail("reason", "locked")
	err := failure.Wrap(failure.Store, fmt.Errorf("read: %w", inner), "get key").WithDetail("reason", "denied")
	if got := failure.HintOf(err); got != "unlock it" {
		t.Errorf("hint %q", got)
	}
	want := map[string]any{"store": "os", "reason": "denied"}
	if diff := cmp.Diff(want, failure.DetailsOf(err)); diff != "" {
		t.Error(diff)
	}
	if got, want := err.Error(), "get key: read: locked"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if failure.DetailsOf(errors.New("x")) == nil {
		t.Error("details of a plain error are nil")
	}
}

func ExampleWrap() {
	err := failure.Wrap(failure.NotFound, errors.New("404"), "delete access key %s", "AK1").
		WithHint("valetkey keys list shows the keys there are")
	fmt.Println(err, failure.ExitCode(err))
	// Output: delete access key AK1: 404 6
}

// A mark is seen by errors.Is alone.
func TestMark(t *testing.T) {
	sentinel := errors.New("sentinel")
	err := failure.Mark(failure.New(failure.KeyLimit, "full").WithHint("wait"), sentinel)
	if !errors.Is(err, sentinel) || err.Error() != "full" || !failure.Is(err, failure.KeyLimit) || failure.HintOf(err) != "wait" {
		t.Errorf("%v", err)
	}
	if !errors.Is(failure.Annotate(err, "around"), sentinel) || failure.Mark(nil, sentinel) != nil {
		t.Error("a mark is lost, or made of nothing")
	}
}
