// Package jobsecrets sets, gets, lists and deletes the secrets of VDK data
// jobs, which lie in Vault at team/job of a KV v2 mount.
//
// The layout is the one of VDK's Control Service, which reads and writes the
// same documents: {"jobName":"team/job","secretsJson":"{\"k\":\"v\"}"}. Every
// write is a read, a change and a check-and-set, so that nobody's work is lost:
// when somebody else changed other secrets meanwhile, both changes stand; when
// the same secret, the write fails with Conflict and names it. Whatever is not
// being changed is written back as it was found, digit by digit.
//
// The package knows no Vault: it is handed [Documents].
package jobsecrets

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// Document is the newest version of what lies at a path.
type Document struct {
	Data    json.RawMessage // a JSON object, or nil when there is none or it is deleted
	Version int             // the newest version's number, deleted or not; 0: never written
}

// Documents is the store. Paths are team/job, not escaped.
type Documents interface {
	// Read returns an empty Document, and no error, for what is not there.
	Read(ctx context.Context, path string) (Document, error)
	// Write stores data as a new version if the newest one is still cas, and
	// returns its number; otherwise it is failure.Conflict.
	Write(ctx context.Context, path string, data json.RawMessage, cas int) (int, error)
	// List returns the names right below a path, folders with a slash at the end.
	List(ctx context.Context, path string) ([]string, error)
}

// Deps are what a Service works with.
type Deps struct {
	Documents Documents
	// Layout is that of a document which has none yet. Empty is VDK.
	Layout Layout
	// LayoutFixed makes a document in another layout a Conflict: the person
	// asked for this one by name.
	LayoutFixed bool
	// Pause waits a random time up to max, or until the context ends. Nil is a
	// timer; tests hand in their own.
	Pause func(ctx context.Context, max time.Duration) error
}

// Service is the use-cases. It is safe for concurrent use if its Documents are.
type Service struct{ Deps }

// New returns a service. An unknown layout is Config.
func New(d Deps) (*Service, error) {
	switch d.Layout {
	case "":
		d.Layout = VDK
	case VDK, Flat:
	default:
		return nil, failure.New(failure.Config, "vault.layout %q is neither vdk nor flat", string(d.Layout))
	}
	if d.Pause == nil {
		d.Pause = pause
	}
	return &Service{Deps: d}, nil
}

// Secret is one secret. Its Value is JSON: see [Display] for how it is printed.
type Secret struct {
	Name    string
	Value   secret.Text
	Version int // of the document
}

// Get returns one secret. One that is not there is NotFound.
func (s *Service) Get(ctx context.Context, job Job, name string) (Secret, error) {
	doc, err := s.read(ctx, job)
	if err != nil {
		return Secret{}, err
	}
	value, ok := doc.secrets.get(name)
	if !ok {
		// Checked only now: what another tool stored under an odd name can be read.
		if err := CheckName(name); err != nil {
			return Secret{}, err
		}
		return Secret{}, failure.New(failure.NotFound, "%s has no secret %s", job, name).
			WithHint("valetkey secrets list shows the names there are")
	}
	return Secret{Name: name, Value: secret.New(value), Version: doc.version}, nil
}

// Listing is what a job has.
type Listing struct {
	Secrets []Secret // in the order of their document
	Version int      // of the document
	Exists  bool     // false: the job has no document, or a deleted one
}

// Names are the names of the secrets. It is never nil.
func (l Listing) Names() []string {
	names := make([]string, 0, len(l.Secrets))
	for _, s := range l.Secrets {
		names = append(names, s.Name)
	}
	return names
}

// List returns all secrets of a job. A job without a document has none.
func (s *Service) List(ctx context.Context, job Job) (Listing, error) {
	doc, err := s.read(ctx, job)
	if err != nil {
		return Listing{}, err
	}
	l := Listing{Version: doc.version, Exists: doc.exists}
	values := doc.secrets.values()
	for _, key := range doc.secrets.keys() {
		l.Secrets = append(l.Secrets, Secret{Name: key, Value: secret.New(values[key]), Version: doc.version})
	}
	return l, nil
}

// read reads and takes apart, and holds the layout to what was asked for.
func (s *Service) read(ctx context.Context, job Job) (document, error) {
	d, err := s.Documents.Read(ctx, job.String())
	if err != nil {
		return document{}, err
	}
	doc, err := take(job, d)
	if err != nil {
		return document{}, err
	}
	if s.LayoutFixed && doc.layout != "" && doc.layout != s.Layout {
		return document{}, failure.New(failure.Conflict, "the document of %s has the layout %s, not %s", job, doc.layout, s.Layout).
			WithHint("without --layout valetkey keeps the layout that it finds").WithDetail("layout", string(doc.layout))
	}
	return doc, nil
}

// pause waits between nothing and max.
func pause(ctx context.Context, longest time.Duration) error {
	t := time.NewTimer(rand.N(longest + 1)) //nolint:gosec // jitter, not a secret
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
