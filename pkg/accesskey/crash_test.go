package accesskey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

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
	Dir    string
	Create bool
	DieAt  int
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
	n := 0
	die := func(string) error {
		if n++; n == p.DieAt {
			os.Exit(died) // no defer runs, and the locks go with the process
		}
		return nil
	}
	w.vms.hook, w.store.hook = die, die
	ask := func(ctx context.Context) (accesskey.Key, error) { return w.service().EnsureKey(ctx) }
	if p.Create {
		ask = func(ctx context.Context) (accesskey.Key, error) {
			created, err := w.service().Create(ctx)
			return created.Key, err
		}
	}
	key, err := ask(context.Background())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(key.AccessKey, key.SecretKey.Reveal())
	return 0
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
		said, code := part{Dir: w.dir, Create: true, DieAt: step}.run(t)
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
