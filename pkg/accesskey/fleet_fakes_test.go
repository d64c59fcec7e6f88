package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/secret"
)

// fate is what becomes of a call.
type fate int

const (
	fine        fate = iota
	refused          // for certain
	lostBefore       // the answer is lost, and nothing was done
	lostAfter        // the answer is lost, and it was done
	onItsWay         // the answer is lost, and it will be done
	neverAgain       // the process dies before it
	neverReturn      // the process dies after it
)

// fleetWorld is one document, one VMS and one time, which machines share.
type fleetWorld struct {
	mu       sync.Mutex
	dir      string
	now      time.Time
	versions [][]byte // the first is version 1
	purged   int      // versions before this one are destroyed
	keys     []accesskey.Remote
	posts    int
	late     []func() // what is still on its way
	// decide is asked at every call of a machine, and may take its time.
	decide func(machine, call string) fate
}

func newFleetWorld(t *testing.T) *fleetWorld {
	t.Helper()
	return &fleetWorld{dir: t.TempDir(), now: at, decide: func(string, string) fate { return fine }}
}

func (w *fleetWorld) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *fleetWorld) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// arrive does what was on its way.
func (w *fleetWorld) arrive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, do := range w.late {
		do()
	}
	w.late = nil
}

// member is a machine of the fleet: its Service, its copy, and its way to Vault and VMS.
type member struct {
	w      *fleetWorld
	name   string
	copy   *shop
	notes  []string
	waited []string
	fleet  *accesskey.Fleet
	*accesskey.Service
}

var errGone = failure.New(failure.Network, "connection reset by vault")

func (w *fleetWorld) member(name string) *member {
	m := &member{w: w, name: name, copy: &shop{Store: keystore.NewMemory()}}
	sleep := func(ctx context.Context, d time.Duration) error {
		w.later(d)
		_ = m.w.decide(m.name, "sleep")
		return ctx.Err()
	}
	note := func(format string, args ...any) { m.notes = append(m.notes, fmt.Sprintf(format, args...)) }
	m.fleet = accesskey.NewFleet(accesskey.FleetOptions{
		Identity: alice, Document: document{m}, Copy: m.copy, Now: w.clock, Refresh: time.Hour, Sleep: sleep, Note: note,
		Waiting: func(what string) { m.waited = append(m.waited, what) }, Wait: 2 * time.Minute,
		Places: func() (accesskey.Places, error) {
			return accesskey.PlacesIn(filepath.Join(w.dir, name), name, "", alice), nil
		},
	})
	m.Service = accesskey.New(accesskey.Deps{
		Identity: alice, Coordinator: m.fleet, Refresh: time.Hour, Now: w.clock, Note: note, Sleep: sleep,
		VMS:     func(context.Context) (accesskey.VMSKeys, error) { return cloud{m}, nil },
		Machine: func() (string, error) { return name, nil },
	})
	return m
}

// call does something that others see, or not, as is decided.
func (m *member) call(name string, lost error, do func() error) error {
	switch m.w.decide(m.name, name) {
	case refused:
		return errGone
	case lostBefore:
		return lost
	case lostAfter:
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		_ = do()
		return lost
	case onItsWay:
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		m.w.late = append(m.w.late, func() { _ = do() })
		return lost
	default:
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		return do()
	}
}

// document is the shared document as a machine reaches it.
type document struct{ m *member }

func (document) Name() string { return "vault" }

func (d document) Read(context.Context) (v accesskey.Version, err error) {
	w := d.m.w
	err = d.m.call("read", errGone, func() error {
		v = accesskey.Version{Number: len(w.versions), At: w.now.Truncate(time.Second)}
		if v.Number > 0 {
			v.Raw = slices.Clone(w.versions[v.Number-1])
		}
		return nil
	})
	if err != nil {
		return accesskey.Version{}, err
	}
	return v, nil
}

func (d document) Write(_ context.Context, raw []byte, base int) (v accesskey.Version, err error) {
	w := d.m.w
	err = d.m.call("write", fmt.Errorf("%w: %w", accesskey.ErrWriteLost, errGone), func() error {
		if base != len(w.versions) {
			return failure.New(failure.Conflict, "check-and-set")
		}
		w.versions = append(w.versions, slices.Clone(raw))
		v = accesskey.Version{Number: len(w.versions), At: w.now.Truncate(time.Second)}
		return nil
	})
	if err != nil {
		return accesskey.Version{}, err
	}
	return v, nil
}

func (d document) Purge(_ context.Context, before int) error {
	return d.m.call("purge", errGone, func() error {
		d.m.w.purged = max(d.m.w.purged, before)
		return nil
	})
}

// cloud is VMS as a machine reaches it.
type cloud struct{ m *member }

func (c cloud) CreateKey(context.Context) (id string, sec secret.Text, err error) {
	w := c.m.w
	err = c.m.call("post", errGone, func() error {
		if len(w.keys) >= 2 {
			return accesskey.NotIssued(failure.New(failure.KeyLimit, "A user cannot have more than two access keys"))
		}
		w.posts++
		id = fmt.Sprintf("AK%d", w.posts)
		w.keys = append(w.keys, accesskey.Remote{AccessKey: id, Enabled: true, Created: w.now})
		return nil
	})
	if err != nil {
		return "", secret.Text{}, err
	}
	if c.m.w.decide(c.m.name, "posted") == lostAfter {
		return "", secret.Text{}, errGone
	}
	return id, secret.FromString(secretOf(id)), nil
}

func (c cloud) Keys(context.Context) (list []accesskey.Remote, err error) {
	err = c.m.call("list", errGone, func() error { list = slices.Clone(c.m.w.keys); return nil })
	return list, err
}

func (c cloud) DeleteKey(_ context.Context, id string) error {
	w := c.m.w
	return c.m.call("delete", errGone, func() error {
		n := len(w.keys)
		w.keys = slices.DeleteFunc(w.keys, func(k accesskey.Remote) bool { return k.AccessKey == id })
		if n == len(w.keys) {
			return failure.New(failure.NotFound, "no key %s", id)
		}
		return nil
	})
}

func (c cloud) ServerTime(context.Context) (at time.Time, err error) {
	err = c.m.call("time", errGone, func() error { at = c.m.w.now.Truncate(time.Second); return nil })
	return at, err
}

// doc is what the document says now.
func (w *fleetWorld) doc(t *testing.T) accesskey.FleetDoc {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var raw []byte
	if n := len(w.versions); n > 0 {
		raw = w.versions[n-1]
	}
	d, err := accesskey.DecodeFleetDoc(alice, raw)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *fleetWorld) atVMS() (ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.keys {
		ids = append(ids, k.AccessKey)
	}
	return ids
}

// sound are the invariants of every moment.
func (w *fleetWorld) sound(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var raw []byte
	if n := len(w.versions); n > 0 {
		raw = w.versions[n-1]
	}
	d, err := accesskey.DecodeFleetDoc(alice, raw)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var errs []error
	active := 0
	for _, g := range d.Item.Live() {
		if g.State == accesskey.Active {
			active++
		}
		if g.SecretKey.Reveal() != secretOf(g.AccessKey) {
			errs = append(errs, fmt.Errorf("%s: the stored secret of %s is wrong", what, g.AccessKey))
		}
		condemned := g.State == accesskey.Retiring && !g.DeleteAfter.IsZero() && !g.DeleteAfter.After(g.Retired)
		if !condemned && !slices.ContainsFunc(w.keys, func(k accesskey.Remote) bool { return k.AccessKey == g.AccessKey }) {
			errs = append(errs, fmt.Errorf("%s: %s is stored and dead", what, g.AccessKey))
		}
	}
	if active > 1 {
		errs = append(errs, fmt.Errorf("%s: %d keys are handed out", what, active))
	}
	for _, k := range w.keys {
		if _, stored := d.Item.Find(k.AccessKey); stored {
			continue
		}
		explained := slices.ContainsFunc(d.Journal, func(e accesskey.Entry) bool {
			e.Stray = time.Hour
			return e.AccessKey == k.AccessKey || e.AccessKey == "" && (e.MayHaveMade(k) || e.MayBeLate(k))
		})
		if !explained {
			errs = append(errs, fmt.Errorf("%s: %s is at VMS, in no store and in no journal: %s", what, k.AccessKey, raw))
		}
	}
	return errors.Join(errs...)
}

func (w *fleetWorld) check(t *testing.T, what string) {
	t.Helper()
	if err := w.sound(what); err != nil {
		t.Error(err)
	}
}
