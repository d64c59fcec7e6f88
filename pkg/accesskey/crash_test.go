package accesskey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/keystore"
)

// The test binary is one more valetkey when this variable holds a part.
const partVariable = "ACCESSKEY_TEST_PART"

// part is what another process does: ask for a key in the world of a
// directory, and die at the n-th call to VMS or the store.
type part struct {
	Dir   string
	Do    string // "" is to ask for a key
	DieAt int
	Later time.Duration // how much the clocks have moved on
}

const died = 77

func TestMain(m *testing.M) {
	raw := os.Getenv(partVariable)
	if raw == "" {
		os.Exit(m.Run())
	}
	var p part
	if err := json.Unmarshal([]byte(raw), &p); err != nil {
		panic(err)
	}
	os.Exit(p.play())
}

func (p part) play() int {
	w := fileWorld(p.Dir)
	w.later(p.Later)
	n := 0
	die := func(string) error {
		if n++; n == p.DieAt {
			os.Exit(died) // no defer runs, and the locks go with the process
		}
		return nil
	}
	w.vms.hook, w.store.hook = die, die
	key, err := w.act(context.Background(), p.Do)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(key.AccessKey, key.SecretKey.Reveal())
	return 0
}

// act is what a process does; "" is to ask for a key.
func (w *world) act(ctx context.Context, do string) (accesskey.Key, error) {
	s := w.service()
	rotate := func(o accesskey.RotateOptions) (accesskey.Key, error) {
		r, err := s.Rotate(ctx, o)
		return r.New, err
	}
	switch do {
	case "create":
		created, err := s.Create(ctx)
		return created.Key, err
	case "rotate":
		return rotate(accesskey.RotateOptions{})
	case "now":
		return rotate(accesskey.RotateOptions{Now: true})
	case "undo":
		return rotate(accesskey.RotateOptions{Undo: true})
	case "lend":
		return accesskey.Key{}, w.lend(ctx, func(accesskey.Credentials) error { return w.vms.at("run") })
	case "fresh", "verify":
		w.maxAge = 30 * day
		s, get := w.service(), (*accesskey.Service).Fresh
		if do == "verify" {
			get = (*accesskey.Service).Verified
		}
		c, err := get(s, ctx)
		return accesskey.Key{AccessKey: c.AccessKey, SecretKey: c.SecretKey}, err
	case "reap":
		_, err := s.Reap(ctx, accesskey.ReapOptions{})
		return accesskey.Key{}, err
	}
	return s.EnsureKey(ctx)
}

// fileWorld is a world that processes share: a file store with an identity.
func fileWorld(dir string) *world {
	return worldIn(dir, keystore.NewFile(keystore.FileOptions{
		Dir: filepath.Join(dir, "store"), Identity: filepath.Join(dir, "identity"),
	}))
}

func newFileWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "identity"), []byte(id.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return fileWorld(dir)
}

// run starts another process and returns what it said and its exit code.
func (p part) run(t *testing.T) (string, int) {
	t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		t.Error(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), partVariable+"="+string(raw))
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Error(err)
		return "", -1
	}
	return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
}

func TestFiftyProcessesIssueOneKey(t *testing.T) {
	w := newFileWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 50 {
		wg.Go(func() {
			said, code := part{Dir: w.dir}.run(t)
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprint(code, " ", said)]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"0 AK1 " + secretOf("AK1"): 50}, got); diff != "" {
		t.Error(diff)
	}
	if posts := w.vms.state(t).Posts; posts != 1 {
		t.Errorf("%d requests", posts)
	}
	w.invariants(t, "fifty processes")
}

// A process dies at each call it makes. What it leaves is explained, the next
// process gets a key, and no key is lost without a trace.
func TestDeathAtEachStep(t *testing.T) {
	for step := 1; ; step++ {
		w := newFileWorld(t)
		said, code := part{Dir: w.dir, Do: "create", DieAt: step}.run(t)
		if code == 0 {
			if step < 12 {
				t.Errorf("only %d steps: the hooks are not where they should be", step)
			}
			break
		}
		if code != died {
			t.Fatalf("step %d: code %d, %s", step, code, said)
		}
		what := fmt.Sprint("death at step ", step)
		w.invariants(t, what)
		for _, e := range w.pending(t) {
			if e.Alive {
				t.Errorf("%s: an entry of a dead process looks alive", what)
			}
		}
		left := len(w.vms.state(t).Keys)
		said, code = part{Dir: w.dir}.run(t)
		if code != 0 {
			t.Errorf("%s: the next process: %d, %s", what, code, said)
		}
		if now := len(w.vms.state(t).Keys); now > left+1 || now > 2 {
			t.Errorf("%s: %d keys, then %d", what, left, now)
		}
		w.invariants(t, what+", then another")
	}
}

// Ten processes rotate at once: one request makes a key, all end with it.
func TestTenProcessesRotateOnce(t *testing.T) {
	w := newFileWorld(t)
	if _, err := w.service().EnsureKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	// They begin while the lock is held, so all of them saw the old key.
	claim, err := w.coordinator().Begin(t.Context(), accesskey.Request{Intent: accesskey.Issue})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 10 {
		wg.Go(func() {
			said, code := part{Dir: w.dir, Do: "rotate"}.run(t)
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprint(code, " ", said)]++
		})
	}
	for w.vms.state(t).Times < 10 { // each has read the item before it asks VMS the time
		time.Sleep(5 * time.Millisecond)
	}
	if err := w.coordinator().Abort(t.Context(), claim, accesskey.Outcome{}); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"0 AK2 " + secretOf("AK2"): 10}, got); diff != "" {
		t.Error(diff)
	}
	if posts := w.vms.state(t).Posts; posts != 2 {
		t.Errorf("%d requests", posts)
	}
	w.invariants(t, "ten rotations")
}

// A rotation, an undo or a reaping dies at each call it makes. At every moment
// the key that is handed out works, and what was begun can be ended.
func TestDeathAtEachStepOfARotation(t *testing.T) {
	for _, c := range []struct {
		do    string
		after []string // what was done before it
		later time.Duration
		least int
	}{
		{do: "rotate", least: 14},
		{do: "now", least: 16},
		{do: "undo", after: []string{"rotate"}, least: 6},
		{do: "fresh", later: 31 * day, least: 16},
		{do: "reap", after: []string{"rotate"}, later: 25 * time.Hour, least: 6},
	} {
		for step := 1; ; step++ {
			w := newFileWorld(t)
			for _, do := range append([]string{""}, c.after...) {
				if _, err := w.act(t.Context(), do); err != nil {
					t.Fatal(err)
				}
			}
			said, code := part{Dir: w.dir, Do: c.do, DieAt: step, Later: c.later}.run(t)
			if code == 0 {
				if step < c.least {
					t.Errorf("%s: only %d steps: the hooks are not where they should be", c.do, step)
				}
				break
			}
			if code != died {
				t.Fatalf("%s, step %d: code %d, %s", c.do, step, code, said)
			}
			what := fmt.Sprint(c.do, ": death at step ", step)
			w.working(t, what)
			w.invariants(t, what, w.condemned(t)...)
			// The same again ends what was begun.
			next := c.do
			if next == "undo" {
				next = "reap"
			}
			w.later(c.later)
			if _, err := w.act(t.Context(), next); err != nil && !strings.Contains(err.Error(), "a place becomes free") {
				t.Errorf("%s: the next one: %v", what, err)
			}
			w.working(t, what+", then again")
			// And after the grace everything is as if nothing had happened.
			w.later(25 * time.Hour)
			if _, err := w.act(t.Context(), "reap"); err != nil {
				t.Errorf("%s: reap: %v", what, err)
			}
			w.working(t, what+", then reaped")
			w.invariants(t, what+", then reaped")
			if open := w.pending(t); len(open) != 0 {
				t.Errorf("%s: entries after reaping: %+v", what, open)
			}
			for _, id := range w.vms.state(t).Keys {
				if _, stored := w.item(t).Find(id); !stored {
					t.Errorf("%s: %s is at VMS and in no store", what, id)
				}
			}
		}
	}
}

// working says that the key that is handed out is one that VMS has.
func (w *world) working(t *testing.T, what string) {
	t.Helper()
	g, ok := w.item(t).Current()
	if !ok || !slices.Contains(w.vms.state(t).Keys, g.AccessKey) {
		t.Errorf("%s: %q is handed out, VMS has %v", what, g.AccessKey, w.vms.state(t).Keys)
	}
}

// condemned are stored keys that may be gone at VMS already.
func (w *world) condemned(t *testing.T) (list []string) {
	t.Helper()
	for _, g := range w.item(t).Live() {
		if g.State == accesskey.Retiring && !g.DeleteAfter.After(g.Retired) && !g.DeleteAfter.IsZero() {
			list = append(list, g.AccessKey)
		}
	}
	return list
}
