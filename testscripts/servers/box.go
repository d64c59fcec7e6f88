package servers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// box is `valetkey dev` as a person starts it, and valetkey in its environment.
type box struct {
	valetkey
	dir string
}

// startSandbox starts a sandbox that ends with the test.
func startSandbox(t *testing.T, env ...string) *box {
	t.Helper()
	return startFaultySandbox(t, nil, env...)
}

// startFaultySandbox starts one whose servers fail as the --fault flags say.
func startFaultySandbox(t *testing.T, faults []string, env ...string) *box {
	t.Helper()
	vk := newValetkey(t)
	args := []string{"dev"}
	for _, f := range faults {
		args = append(args, "--fault", f)
	}
	said := filepath.Join(t.TempDir(), "environment")
	cmd := exec.Command(vk.path, append(args, "--", "sh", "-c", `env -0 >"$0.part" && mv "$0.part" "$0" && exec cat`, said)...)
	cmd.Env = vk.env
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	noise := start(t, cmd)
	t.Cleanup(func() { _ = stdin.Close() })
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(said)
		if err == nil {
			vk.env = append(strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), env...)
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the sandbox did not start: %s", noise)
		}
	}
	b := &box{valetkey: vk}
	for _, pair := range vk.env {
		if dir, found := strings.CutPrefix(pair, "VALETKEY_SANDBOX_DIR="); found {
			b.dir = dir
		}
	}
	return b
}

// setClock moves the clock of the sandbox and of every valetkey in it.
func (b *box) setClock(by time.Duration) {
	b.t.Helper()
	part := filepath.Join(b.dir, "clock.part")
	if err := os.WriteFile(part, fmt.Appendf(nil, "+%ds", int(by.Seconds())), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(part, filepath.Join(b.dir, "clock")); err != nil {
		b.t.Fatal(err)
	}
}

// refused are the lines of the request log of S3 below a path that did not end well.
func (b *box) refused(path string) (lines []string) {
	b.t.Helper()
	log, err := os.ReadFile(filepath.Join(b.dir, "requests.jsonl"))
	if err != nil {
		b.t.Fatal(err)
	}
	seen := 0
	for line := range bytes.Lines(log) {
		var r struct {
			Server, Path string
			Status       int
		}
		if err := json.Unmarshal(line, &r); err != nil {
			b.t.Fatal(err)
		}
		if r.Server != "s3" || !strings.HasPrefix(r.Path, path) {
			continue
		}
		if seen++; r.Status/100 != 2 {
			lines = append(lines, string(line))
		}
	}
	if seen == 0 {
		b.t.Errorf("nothing below %s was asked for", path)
	}
	return lines
}

// report shows a table, and writes it to the folder of VALETKEY_TEST_TABLES.
func report(t *testing.T, name, table string) {
	t.Helper()
	t.Logf("%s\n%s", name, table)
	dir := os.Getenv("VALETKEY_TEST_TABLES")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(table), 0o600); err != nil {
		t.Error(err)
	}
}
