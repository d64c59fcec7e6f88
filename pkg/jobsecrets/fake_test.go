package jobsecrets_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/secret"
)

// shelf is the smallest store with check-and-set.
type shelf struct {
	mu     sync.Mutex
	docs   map[string]jobsecrets.Document
	writes int
	before func() // runs before each write, unlocked: what somebody else does meanwhile
	refuse error
}

func (s *shelf) Read(ctx context.Context, path string) (jobsecrets.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.docs[path], ctx.Err()
}

func (s *shelf) Write(_ context.Context, path string, data json.RawMessage, cas int) (int, error) {
	if f := s.before; f != nil {
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.refuse != nil {
		return 0, s.refuse
	}
	d := s.docs[path]
	if d.Version != cas {
		return 0, failure.New(failure.Conflict, "changed")
	}
	s.docs[path] = jobsecrets.Document{Data: data, Version: cas + 1}
	return cas + 1, nil
}

func (s *shelf) List(_ context.Context, path string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for p := range s.docs {
		if rest, ok := strings.CutPrefix(p, path+"/"); ok {
			names = append(names, rest)
		}
	}
	return names, nil
}

// put replaces a document as somebody else would.
func (s *shelf) put(path, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := jobsecrets.Document{Version: s.docs[path].Version + 1}
	if data != "" {
		d.Data = json.RawMessage(data)
	}
	s.docs[path] = d
}

func (s *shelf) text(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.docs[path].Data)
}

var job = jobsecrets.Job{Team: "team", Name: "job"}

const path = "team/job"

// service returns a service over an own shelf that holds data, if any.
func service(t *testing.T, data string, change ...func(*jobsecrets.Deps)) (*jobsecrets.Service, *shelf) {
	t.Helper()
	s := &shelf{docs: map[string]jobsecrets.Document{}}
	if data != "" {
		s.put(path, data)
	}
	d := jobsecrets.Deps{Documents: s, Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	for _, f := range change {
		f(&d)
	}
	svc, err := jobsecrets.New(d)
	if err != nil {
		t.Fatal(err)
	}
	return svc, s
}

func flat(d *jobsecrets.Deps)  { d.Layout = jobsecrets.Flat }
func fixed(d *jobsecrets.Deps) { d.LayoutFixed = true }

// jsonOf makes a change to a JSON value, textOf to a string.
func jsonOf(name, value string) jobsecrets.Change {
	return jobsecrets.Change{Name: name, Value: secret.FromString(value)}
}

func textOf(t *testing.T, name, value string) jobsecrets.Change {
	t.Helper()
	v, err := jobsecrets.TextValue(secret.FromString(value))
	if err != nil {
		t.Fatal(err)
	}
	return jobsecrets.Change{Name: name, Value: v}
}

func set(t *testing.T, s *jobsecrets.Service, changes ...jobsecrets.Change) jobsecrets.Written {
	t.Helper()
	w, err := s.Set(t.Context(), job, changes, false)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func wantKind(t *testing.T, err error, want failure.Kind) {
	t.Helper()
	if err == nil || failure.KindOf(err) != want {
		t.Errorf("error %v is %v, want %v", err, failure.KindOf(err), want)
	}
}

// vdk wraps secrets in the Control Service's document.
func vdk(secrets string) string {
	inner, _ := json.Marshal(secrets)
	return `{"jobName":"team/job","secretsJson":` + string(inner) + `}`
}
