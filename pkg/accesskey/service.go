package accesskey

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// Remote is a key as VMS lists it.
type Remote struct {
	AccessKey string
	Enabled   bool
	Created   time.Time // zero is unknown
	User      string    // empty where the list does not say
	Tenant    string
}

// VMSKeys is what is asked of VMS, for one user.
type VMSKeys interface {
	// CreateKey asks once, and never again by itself. Every error counts as an
	// answer that was lost, after which VMS may have made a key, unless it
	// matches [ErrNotIssued].
	CreateKey(ctx context.Context) (id string, sec secret.Text, err error)
	// Keys lists the user's keys. A list that is not positively understood is
	// an error, never an empty list.
	Keys(ctx context.Context) ([]Remote, error)
	// DeleteKey deletes a key; failure.NotFound if VMS does not know it.
	DeleteKey(ctx context.Context, id string) error
	// ServerTime is the time by the clock of VMS.
	ServerTime(ctx context.Context) (time.Time, error)
}

// ErrNotIssued marks errors of a request that positively made no key: it never
// left, or VMS refused it. Mark with [NotIssued], match with errors.Is.
var ErrNotIssued = errors.New("no key was issued")

// NotIssued marks an error; what it says and its kind stay.
func NotIssued(err error) error { return failure.Mark(err, ErrNotIssued) }

// Deps are the parts of a [Service].
type Deps struct {
	Identity    Identity
	Coordinator Coordinator
	// VMS connects, and asks for what is missing: it is called before a lock
	// is waited for, so that nobody waits for a person. Not on the warm path.
	VMS func(context.Context) (VMSKeys, error)
	// Machine returns the id of this machine. Not on the warm path.
	Machine func() (string, error)
	Now     func() time.Time
	// Refresh is the soft expiry that is handed out; below [MinRefresh] counts
	// as MinRefresh.
	Refresh time.Duration
	// PostTimeout bounds the request that issues a key; 0 is 30 s.
	PostTimeout time.Duration
	// Left is how much longer the caller will wait, of which a look at VMS takes a
	// part; nil is PostTimeout.
	Left func() time.Duration
	// LostHint is the next step after a lost answer; empty has a default.
	LostHint string

	// Grace is how long a key works on after it was rotated; 0 is 24 h.
	Grace time.Duration
	// MaxAge is the age above which [Service.Fresh] rotates a key; 0 is none.
	MaxAge time.Duration
	// Prover returns what tries credentials at the service that they are for;
	// nil, or a nil Proof, asks VMS whether it lists the key. Not on the warm path.
	Prover func() (Proof, error)
	// Note is told what was done beside what was asked for; may be nil.
	Note func(format string, args ...any)
	// Sleep waits; nil is a timer. Its error is the context's.
	Sleep func(context.Context, time.Duration) error
}

// Proof tries credentials at the service that they are for. failure.Config and
// failure.Usage end the tries; any other error may be a key that has not yet
// spread. An error that matches [ErrKeyRefused] is the service's own word against
// the key; of those, failure.NotFound says that there is no such key.
type Proof func(context.Context, Credentials) error

// ErrKeyRefused marks what a service says that does not take a key. Match with
// errors.Is.
var ErrKeyRefused = errors.New("the key is refused")

// prover asks for the proof; nil is none.
func (s *Service) prover() (Proof, error) {
	if s.d.Prover == nil {
		return nil, nil
	}
	return s.d.Prover()
}

// sleep waits on a timer.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// MinRefresh is the shortest soft expiry. Clients renew a quarter of an hour
// ahead, so less would send them here before every request.
const MinRefresh = 30 * time.Minute

// Service is the use-cases over one identity's keys. It is safe for concurrent
// use, and holds no state of its own.
type Service struct{ d Deps }

// New returns a service. It does no I/O.
func New(d Deps) *Service {
	d.Refresh = max(d.Refresh, MinRefresh)
	if d.PostTimeout <= 0 {
		d.PostTimeout = 30 * time.Second
	}
	if d.Left == nil {
		d.Left = func() time.Duration { return d.PostTimeout }
	}
	if d.LostHint == "" {
		d.LostHint = "valetkey keys reap removes it"
	}
	if d.Grace <= 0 {
		d.Grace = 24 * time.Hour
	}
	if d.Note == nil {
		d.Note = func(string, ...any) {}
	}
	if d.Sleep == nil {
		d.Sleep = sleep
	}
	return &Service{d}
}

// Current returns the stored key that is handed out: one read of the store, no
// lock and no network. failure.NotFound if nothing is stored.
func (s *Service) Current(ctx context.Context) (Key, error) {
	it, err := s.d.Coordinator.Read(ctx)
	if err != nil {
		return Key{}, err
	}
	g, ok := it.Current()
	if !ok {
		return Key{}, failure.New(failure.NotFound, "no access key of %s is stored", s.d.Identity).
			WithHint("valetkey keys create issues one")
	}
	return s.stored(g, ""), nil
}

// EnsureKey returns the stored key, or issues one. However many processes call
// it at once, one issues and all get the same key.
func (s *Service) EnsureKey(ctx context.Context) (Key, error) {
	key, _, err := s.CreateIfMissing(ctx)
	return key, err
}

// CreateIfMissing is EnsureKey, telling whether this call issued the key.
func (s *Service) CreateIfMissing(ctx context.Context) (key Key, isNew bool, err error) {
	g, isNew, err := s.ensure(ctx)
	if err != nil {
		return Key{}, false, err
	}
	return s.stored(g, s.machine()), isNew, nil
}

func (s *Service) ensure(ctx context.Context) (g Generation, isNew bool, err error) {
	it, err := s.d.Coordinator.Read(ctx)
	if err != nil {
		return Generation{}, false, err
	}
	if g, ok := it.Current(); ok {
		return g, false, nil
	}
	return s.issueMissing(ctx)
}

// issueMissing issues a key unless another process has by then.
func (s *Service) issueMissing(ctx context.Context) (g Generation, isNew bool, err error) {
	if _, err := s.reapOrphans(ctx); err != nil {
		return Generation{}, false, err
	}
	missing := active(func(it Item) bool { _, ok := it.Current(); return ok })
	done, err := s.issue(ctx, missing)
	if failure.Is(err, failure.KeyLimit) {
		// One that we waited for may have died and left a key in the last place.
		if room, _ := s.reapOrphans(ctx); room {
			done, err = s.issue(ctx, missing)
		}
	}
	if errors.Is(err, errTakenOver) {
		// We were stopped for so long that another machine did it meanwhile.
		if it, latest := s.d.Coordinator.Latest(ctx); latest == nil {
			if g, ok := it.Current(); ok {
				return g, false, nil
			}
		}
	}
	if err != nil {
		return Generation{}, false, err
	}
	g, _ = done.item.Current()
	return g, done.isNew, nil
}

// Created is a key that was just issued, and the stored ones that still work
// beside it.
type Created struct {
	Key    Key
	Others []Key
}

// Create always issues a new key, which becomes the one handed out. It deletes
// nothing. At the limit the error is failure.KeyLimit with the keys there are
// in its details.
func (s *Service) Create(ctx context.Context) (Created, error) {
	done, err := s.issue(ctx, active(nil))
	if err != nil {
		return Created{}, err
	}
	g, _ := done.item.Current()
	here := s.machine()
	created := Created{Key: s.stored(g, here)}
	for _, other := range done.item.Live() {
		gone := done.before.Known && !slices.Contains(done.before.List, other.AccessKey)
		if other.AccessKey != g.AccessKey && !gone && !other.Disabled {
			created.Others = append(created.Others, s.stored(other, here))
		}
	}
	return created, nil
}

// Credentials implements [Source] with the stored key, issuing one if there is
// none. Expires is soft: the configured refresh from now on.
//
// A refresh longer than any before is first recorded with the key, which
// writes the store once; where that fails, the longest recorded is handed out
// instead, so that a key is never in use longer than its item says.
func (s *Service) Credentials(ctx context.Context) (Credentials, error) {
	g, _, err := s.ensure(ctx)
	if err != nil {
		return Credentials{}, err
	}
	return s.handOut(ctx, g), nil
}

// handOut promises the key for the refresh.
func (s *Service) handOut(ctx context.Context, g Generation) Credentials {
	refresh := s.d.Refresh
	if lag := s.d.Coordinator.Lag(); refresh+lag > g.LongestRefresh {
		refresh = s.recordRefresh(ctx, g, refresh+lag) - lag
	}
	refresh = max(refresh, MinRefresh)
	return Credentials{AccessKey: g.AccessKey, SecretKey: g.SecretKey, Expires: s.d.Now().Add(refresh), Soft: true}
}

// recordRefresh returns how long the key may be handed out for.
func (s *Service) recordRefresh(ctx context.Context, g Generation, refresh time.Duration) time.Duration {
	short, cancel := context.WithTimeout(ctx, time.Second) // the key is at hand: nobody should wait long
	defer cancel()
	it, err := s.d.Coordinator.Update(short, func(it Item) (Item, error) {
		return it.RecordRefresh(g.AccessKey, refresh), nil
	})
	if err == nil {
		if now, ok := it.Find(g.AccessKey); ok {
			return min(refresh, max(now.LongestRefresh, MinRefresh))
		}
	}
	// Every key is promised MinRefresh, recorded or not.
	return max(g.LongestRefresh, MinRefresh)
}

// stored is a stored generation as a key, as far as the store knows it. An
// empty machine leaves open who issued it.
func (s *Service) stored(g Generation, machine string) Key {
	return storedKey(g, s.d.Identity, machine, s.d.Now())
}

func storedKey(g Generation, id Identity, machine string, now time.Time) Key {
	return Key{
		AccessKey: g.AccessKey, SecretKey: g.SecretKey, User: id.User, Tenant: id.Tenant,
		Enabled: !g.Disabled, Created: g.Created, Age: age(g.Created, now),
		Stored: true, IssuedHere: machine != "" && g.IssuedBy == machine, State: g.State,
	}
}

func (s *Service) age(created time.Time) time.Duration { return age(created, s.d.Now()) }

func age(created, now time.Time) time.Duration {
	if created.IsZero() {
		return 0
	}
	return max(0, now.Sub(created)) // the clock of VMS may be ahead
}

// machine is the id of this machine, or "" where it has none to be told by.
func (s *Service) machine() string {
	id, err := s.d.Machine()
	if err != nil {
		return ""
	}
	return id
}
