// Package doctor runs read-only checks and collects what they find.
//
// A check looks at one thing and changes nothing. It knows its dependencies
// itself; the registry only gives it a name, an order and a deadline.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // something does not work
	Warning Severity = "warning" // something will stop working, or works by luck
	Info    Severity = "info"    // worth knowing
)

// Finding is one thing that a check found. The JSON names are frozen.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// Check looks at one thing. An error of Run is a finding too: a check that
// cannot be made is reported, not hidden.
type Check struct {
	Name    string        // a short name in lower case, such as "vms.tls"
	About   string        // what is looked at, one sentence
	Timeout time.Duration // longest wait; zero is ten seconds
	Run     func(ctx context.Context) ([]Finding, error)
}

// Registry is an ordered list of checks. The zero value is empty and ready.
// Add must not be called concurrently.
type Registry struct{ checks []Check }

// Add appends a check. A name that is taken is a fault of the program and panics.
func (r *Registry) Add(c Check) {
	for _, have := range r.checks {
		if have.Name == c.Name {
			panic("doctor: two checks are named " + c.Name)
		}
	}
	r.checks = append(r.checks, c)
}

// Checks returns the checks in order.
func (r *Registry) Checks() []Check { return append([]Check(nil), r.checks...) }

// Run makes the checks one after the other and returns all findings. It ends
// early, with an error, only if ctx itself ends.
func (r *Registry) Run(ctx context.Context) ([]Finding, error) {
	findings := []Finding{}
	for _, c := range r.checks {
		if err := ctx.Err(); err != nil {
			return findings, failure.Wrap(failure.KindOf(err), err, "run the checks")
		}
		findings = append(findings, run(ctx, c)...)
	}
	return findings, nil
}

func run(ctx context.Context, c Check) []Finding {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := c.Run(ctx)
	for i := range found {
		found[i].Check = c.Name
	}
	if err != nil {
		found = append(found, Finding{Check: c.Name, Severity: Error, Message: fmt.Sprintf("the check failed: %v", err), Hint: failure.HintOf(err)})
	}
	return found
}
