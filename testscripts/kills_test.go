//go:build unix

package testscripts

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

// Processes that issue, lend, rotate and reap are killed at random moments. After each
// the key that is handed out is one that VMS has; after a reaping every key is
// stored, and the journal is empty. VALETKEY_TEST_KILLS sets how many are killed.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	kills := 24
	if n, err := strconv.Atoi(os.Getenv("VALETKEY_TEST_KILLS")); err == nil {
		kills = n
	}
	s, err := sandbox.Start(context.Background(), sandbox.Options{Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	v := killed{t: t, dir: s.Dir(), env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}}
	for _, e := range s.Env(nil) {
		v.env = append(v.env, e.Name+"="+e.Value)
		if e.Name == "VALETKEY_STATE_DIR" {
			v.state = e.Value
		}
	}
	seed := time.Now().UnixNano()
	random := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // which moment is no secret
	v.run("keys", "create")
	whole := v.duration("keys", "rotate", "--now", "--yes")
	lines := [][]string{
		{"keys", "rotate"}, {"keys", "rotate", "--now", "--yes"}, {"keys", "rotate", "--undo"}, {"keys", "reap", "--yes"}, {"keys", "create"},
		{"exec", "--ephemeral", "--", "true"},
	}
	died, hours := 0, 0
	for i := 0; died < kills && i < 20*kills; i++ {
		line := lines[random.IntN(len(lines))]
		what := fmt.Sprintf("seed %d, run %d, %s", seed, i, strings.Join(line, " "))
		if v.kill(time.Duration(random.Int64N(int64(whole))), line...) {
			died++
		}
		current := v.run("keys", "create", "--if-missing", "-o", "json", "--jq", ".access_key")
		if list := v.run("keys", "list", "-o", "json", "--jq", ".[].access_key"); !strings.Contains(list, strings.TrimSpace(current)) {
			t.Fatalf("%s: %s is handed out, VMS has %s", what, current, list)
		}
		if i%4 != 3 {
			continue
		}
		hours += 25 // every grace and every window is over
		if err := os.WriteFile(filepath.Join(v.dir, "clock"), []byte(fmt.Sprintf("+%dh", hours)), 0o600); err != nil {
			t.Fatal(err)
		}
		v.run("keys", "reap", "--yes")
		var keys []struct{ Stored bool }
		if err := json.Unmarshal([]byte(v.run("keys", "list", "-o", "json")), &keys); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if !k.Stored {
				t.Fatalf("%s: after reaping a key is stored nowhere", what)
			}
		}
		if open, _ := filepath.Glob(filepath.Join(v.state, "machines", "*", "journal", "*.json")); len(open) != 0 {
			t.Fatalf("%s: after reaping entries are open: %v", what, open)
		}
		if len(keys) == 2 { // two active keys, of create: make room
			v.run("keys", "delete", "--yes", strings.TrimSpace(v.other(current)))
		}
	}
	if died < kills {
		t.Errorf("only %d of %d processes were killed", died, kills)
	}
}

// killed is a sandbox whose processes die.
type killed struct {
	t          *testing.T
	dir, state string
	env        []string
}

func (v killed) command(ctx context.Context, line ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, line...)
	cmd.Env = append(slices.Clip(v.env), "VALETKEY_NO_INPUT=true")
	return cmd
}

func (v killed) run(line ...string) string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs strings.Builder
	cmd := v.command(ctx, line...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		v.t.Fatalf("%s: %v: %s", strings.Join(line, " "), err, errs.String())
	}
	return string(out)
}

func (v killed) duration(line ...string) time.Duration {
	start := time.Now()
	v.run(line...)
	return time.Since(start)
}

// kill starts a command and reports whether it was still running when it was
// killed after the delay.
func (v killed) kill(delay time.Duration, line ...string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), delay)
	defer cancel()
	_ = v.command(ctx, line...).Run()
	return ctx.Err() != nil
}

// other is the key at VMS that is not this one.
func (v killed) other(current string) string {
	for _, id := range strings.Fields(v.run("keys", "list", "-o", "json", "--jq", ".[].access_key")) {
		if id != strings.TrimSpace(current) {
			return id
		}
	}
	return ""
}
