package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

var (
	errUnknownToS3 = failure.Wrap(failure.NotFound, accesskey.ErrKeyRefused, "S3 answers InvalidAccessKeyId")
	errDown        = failure.New(failure.Network, "down")
)

// known takes the keys that VMS has, as an S3 service of the same cluster does.
func (w *world) known(t *testing.T) accesskey.Proof {
	return func(_ context.Context, c accesskey.Credentials) error {
		for _, id := range w.vms.state(t).Keys {
			if id == c.AccessKey {
				return nil
			}
		}
		return errUnknownToS3
	}
}

func TestVerified(t *testing.T) {
	for what, c := range map[string]struct {
		gone, off bool  // what has become of the key
		s3        error // what S3 says of it, if it is not there to say
		noS3      bool
		vms       error
		want      string
		kind      failure.Kind
		posts     int
		note      string
	}{
		"it works":                       {want: "AK1", posts: 1},
		"it works by the list":           {noS3: true, want: "AK1", posts: 1},
		"it works, and VMS is away":      {vms: errDown, want: "AK1", posts: 1},
		"deleted":                        {gone: true, want: "AK2", posts: 2, note: "AK1 was deleted"},
		"deleted, by the list":           {gone: true, noS3: true, want: "AK2", posts: 2, note: "AK1 was deleted"},
		"deleted, S3 is away":            {gone: true, s3: errDown, want: "AK2", posts: 2},
		"deleted, VMS does not list":     {gone: true, vms: errDown, want: "AK2", posts: 2, note: "S3 does not know"},
		"disabled":                       {off: true, noS3: true, kind: failure.Forbidden, posts: 1},
		"disabled, S3 does not know it":  {off: true, s3: errUnknownToS3, kind: failure.Forbidden, posts: 1},
		"both away":                      {s3: errDown, vms: errDown, want: "AK1", posts: 1, note: "not known"},
		"no S3, VMS away":                {gone: true, noS3: true, vms: errDown, want: "AK1", posts: 1, note: "not known"},
		"S3 of another cluster":          {s3: errUnknownToS3, want: "AK1", posts: 1},
		"another signature":              {s3: failure.Wrap(failure.Auth, accesskey.ErrKeyRefused, "SignatureDoesNotMatch"), want: "AK1", posts: 1},
		"another cluster's, and no list": {s3: errUnknownToS3, vms: errDown, want: "AK1", posts: 2, note: "could not be replaced"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.act(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			w.later(time.Hour)
			if c.gone {
				if err := w.vms.DeleteKey(t.Context(), "AK1"); err != nil {
					t.Fatal(err)
				}
			}
			deleted := 0
			w.vms.hook = func(call string) error {
				switch call {
				case "list":
					return c.vms
				case "delete":
					deleted++
				}
				return nil
			}
			w.prove = w.known(t)
			switch {
			case c.noS3:
				w.prove = nil
			case c.s3 != nil:
				w.prove = func(context.Context, accesskey.Credentials) error { return c.s3 }
			}
			w.patience = 5
			vms := accesskey.VMSKeys(w.vms)
			if c.off {
				vms = offAt{w.vms}
			}
			s := w.serviceWith(func(d *accesskey.Deps) {
				d.VMS = func(context.Context) (accesskey.VMSKeys, error) { return vms, nil }
			})
			got, err := s.Verified(t.Context())
			if c.kind != 0 && (!failure.Is(err, c.kind) || failure.HintOf(err) == "") || c.kind == 0 && err != nil {
				t.Errorf("%v", err)
			}
			notes := strings.Join(w.notes, "\n")
			if got.AccessKey != c.want || !strings.Contains(notes, c.note) || c.note == "" && what != "deleted, S3 is away" && notes != "" {
				t.Errorf("%s; notes %q", got.AccessKey, w.notes)
			}
			if posts := w.vms.state(t).Posts; posts != c.posts {
				t.Errorf("%d requests", posts)
			}
			if deleted > c.posts-1 || strings.HasPrefix(what, "deleted") && deleted > 0 {
				t.Errorf("%d keys were deleted at VMS", deleted)
			}
			if c.gone && c.want == "AK2" && !strings.Contains(what, "VMS") {
				w.invariants(t, what)
			}
		})
	}
}

// offAt is a VMS where all keys are disabled.
type offAt struct{ *cluster }

func (o offAt) Keys(ctx context.Context) ([]accesskey.Remote, error) {
	list, err := o.cluster.Keys(ctx)
	for i := range list {
		list[i].Enabled = false
	}
	return list, err
}

// A rotation was interrupted, and the old key is dead: the staged one serves.
func TestVerifiedTakesTheStagedKey(t *testing.T) {
	w := interrupted(t)
	if err := w.vms.DeleteKey(t.Context(), "AK1"); err != nil {
		t.Fatal(err)
	}
	c, err := w.service().Verified(t.Context())
	if err != nil || c.AccessKey != "AK2" || w.vms.state(t).Posts != 2 {
		t.Errorf("%s, %v", c.AccessKey, err)
	}
	w.invariants(t, "staged")
}

// Below a dead key may lie one that works.
func TestVerifiedTakesTheKeyBefore(t *testing.T) {
	w := newWorld(t)
	for _, do := range []string{"create", "create"} {
		if _, err := w.act(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.vms.DeleteKey(t.Context(), "AK2"); err != nil {
		t.Fatal(err)
	}
	c, err := w.service().Verified(t.Context())
	if err != nil || c.AccessKey != "AK1" || w.vms.state(t).Posts != 2 {
		t.Errorf("%s, %v", c.AccessKey, err)
	}
}

// A key that S3 has not heard of yet is not replaced, nor one that could not be
// replaced a moment ago; an interrupt ends it.
func TestVerifiedIsPatient(t *testing.T) {
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.prove = func(context.Context, accesskey.Credentials) error { return errUnknownToS3 }
	w.vms.hook = func(call string) error {
		if call == "list" {
			return errDown
		}
		return nil
	}
	w.patience = 3
	for range 5 {
		if c, err := w.service().Verified(t.Context()); err != nil || c.AccessKey != "AK1" || w.vms.state(t).Posts != 1 {
			t.Errorf("%s, %v", c.AccessKey, err)
		}
	}
	w.later(time.Hour)
	for range 5 {
		if c, err := w.service().Verified(t.Context()); err != nil || c.AccessKey != "AK1" || w.vms.state(t).Posts != 2 {
			t.Errorf("%s, %v after %d requests", c.AccessKey, err, w.vms.state(t).Posts)
		}
	}
	w.atVMS(t, "AK1")
	ctx, cancel := context.WithCancel(t.Context())
	w.prove = func(context.Context, accesskey.Credentials) error { cancel(); return context.Canceled }
	if _, err := w.service().Verified(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A dead key that nobody can replace is an error, and not handed out.
func TestVerifiedWithoutAPlace(t *testing.T) {
	w := newWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := w.vms.DeleteKey(t.Context(), "AK1"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // other machines'
		if _, _, err := w.vms.CreateKey(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := w.service().Verified(t.Context()); !failure.Is(err, failure.KeyLimit) {
		t.Errorf("%s, %v", c.AccessKey, err)
	}
	w.atVMS(t, "AK2", "AK3")
}

// Many processes find the key dead: one request makes a key, and all get it.
func TestVerifiedInManyProcesses(t *testing.T) {
	w := newFileWorld(t)
	if _, err := w.act(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := w.vms.DeleteKey(t.Context(), "AK1"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 30 {
		wg.Go(func() {
			said, code := part{Dir: w.dir, Do: "verify"}.run(t)
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprint(code, " ", said)]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"0 AK2 " + secretOf("AK2"): 30}, got); diff != "" {
		t.Error(diff)
	}
	if posts := w.vms.state(t).Posts; posts != 2 {
		t.Errorf("%d requests", posts)
	}
	w.invariants(t, "thirty processes")
}
