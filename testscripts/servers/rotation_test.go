package servers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// TestRotationUnderLoad rotates keys while SDKs list a bucket with them. No
// request fails, and each SDK gets along with four keys.
func TestRotationUnderLoad(t *testing.T) {
	box := startSandbox(t, "VALETKEY_KEYS_GRACE=1h", "VALETKEY_KEYS_REFRESH=30m")
	goSDK, err := goSDKProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	first := strings.TrimSpace(box.run("keys", "create", "-o", "json", "--jq", ".access_key"))
	stop := filepath.Join(t.TempDir(), "stop")
	clients := []*client{
		box.client("botocore", stop, "/usr/bin/python3", here(t, "clients/load.py")),
		box.client("Go SDK v2", stop, goSDK, "load"),
		box.client("JavaScript SDK v3", stop, "node", filepath.Join(javaScript(t), "load.mjs")),
	}
	settle := func(rounds int) {
		t.Helper()
		for _, c := range clients {
			c.wait(c.count() + rounds)
		}
	}
	keys := []string{first}
	act := func(args ...string) {
		t.Helper()
		box.run(append([]string{"keys"}, args...)...)
		current := strings.TrimSpace(box.run("keys", "create", "--if-missing", "-o", "json", "--jq", ".access_key"))
		keys = append(keys, current)
		settle(3) // one may have ended before, and one begun
		for _, c := range clients {
			if last := c.last(); last != current {
				t.Errorf("after keys %s %s uses %s, not %s", strings.Join(args, " "), c.name, last, current)
			}
		}
	}
	minutes := 0
	travel := func() { // in steps that leave a request under way within the tolerance of S3
		t.Helper()
		for range 10 {
			minutes += 7
			box.setClock(time.Duration(minutes) * time.Minute)
			settle(2)
		}
	}

	settle(2)
	act("rotate")
	act("rotate", "--undo")
	act("rotate", "--undo")
	travel()
	act("reap", "--yes")
	act("rotate")
	travel()
	act("rotate") // deletes what is due itself
	act("rotate", "--undo")
	act("rotate", "--undo")
	if err := os.WriteFile(stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) != 4 {
		t.Errorf("there were %d keys, not 4", len(keys))
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "client\trounds\trequests\tfailed\tprocess runs\tdistinct access keys")
	for _, c := range clients {
		<-c.ended
		if c.failure != "" {
			t.Errorf("%s: %s", c.name, c.failure)
		}
		runs := c.runs()
		if runs < len(c.rounds) {
			t.Errorf("%s ran valetkey %d times in %d rounds: its credentials have not expired in each", c.name, runs, len(c.rounds))
		}
		if seen := c.keys(); len(seen) < 4 {
			t.Errorf("%s has seen the keys %v", c.name, seen)
		}
		failed := 0
		if c.failure != "" {
			failed = 1
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", c.name, len(c.rounds), c.requests, failed, runs, len(c.keys()))
	}
	_ = w.Flush()
	if refused := box.refused("/demo"); len(refused) > 0 {
		t.Errorf("%d requests were refused: %s", len(refused), refused[0])
	}
	report(t, "rotation-under-load", table.String())
}

// client is an SDK that lists a bucket in a loop.
type client struct {
	t       *testing.T
	name    string
	wrapper string
	ended   chan struct{}

	mu       sync.Mutex
	rounds   []string // the access key of each
	requests int
	failure  string
}

// client starts one that finds valetkey through a script that counts its runs,
// in a folder with a space in its name.
func (b *box) client(name, stop string, command ...string) *client {
	b.t.Helper()
	home := filepath.Join(b.t.TempDir(), "a home")
	c := &client{t: b.t, name: name, wrapper: filepath.Join(home, "valetkey"), ended: make(chan struct{})}
	config := filepath.Join(home, "aws config")
	for file, text := range map[string]string{
		c.wrapper: "#!/bin/sh\necho run >>\"$0.runs\"\nexec \"" + b.path + "\" \"$@\"\n",
		config:    "[default]\ncredential_process = \"" + c.wrapper + "\" credential-process\n",
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			b.t.Fatal(err)
		}
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(b.env[:len(b.env):len(b.env)], "HOME="+home, "AWS_CONFIG_FILE="+config, "LOAD_STOP="+stop)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); <-c.ended })
	go func() {
		defer close(c.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.told(lines.Bytes())
		}
		if err := cmd.Wait(); err != nil {
			c.fail(fmt.Sprintf("%v: %s", err, &errs))
		}
	}()
	return c
}

func (c *client) told(line []byte) {
	var round struct {
		Key      string
		Requests int
	}
	if err := json.Unmarshal(line, &round); err != nil || round.Key == "" {
		c.fail(fmt.Sprintf("said %q", line))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rounds, c.requests = append(c.rounds, round.Key), c.requests+round.Requests
}

func (c *client) fail(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == "" {
		c.failure = why
	}
}

func (c *client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.rounds)
}

func (c *client) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rounds[len(c.rounds)-1]
}

func (c *client) keys() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := slices.Clone(c.rounds)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// wait waits until so many rounds are over.
func (c *client) wait(rounds int) {
	c.t.Helper()
	for end := time.Now().Add(patience); c.count() < rounds; time.Sleep(10 * time.Millisecond) {
		select {
		case <-c.ended:
			c.t.Fatalf("%s has ended after %d rounds: %s", c.name, c.count(), c.failure)
		default:
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s is stuck after %d rounds", c.name, c.count())
		}
	}
}

func (c *client) runs() int {
	text, err := os.ReadFile(c.wrapper + ".runs")
	if err != nil {
		c.t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}
