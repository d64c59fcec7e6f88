package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// A fleet is machines, each with its own state and its own copy, that run as one
// user of a sandbox's VMS and share a document in a real Vault. They have a token
// that may do no more than what doctor prints as enough.
type fleet struct {
	t        *testing.T
	vault    *Vault
	env      []string // of the sandbox, with the real Vault in place of its own
	sandbox  string   // its directory
	binary   string
	document string // its path below the mount
}

func newFleet(t *testing.T, faults ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, vault: StartVault(t)}
	box := startFaultySandbox(t, faults)
	// Of two values for a name the last one counts.
	f.env = append(box.env, "VALETKEY_VAULT_ADDRESS="+f.vault.Address, "VALETKEY_VAULT_CA_FILE="+f.vault.CAFile, "VALETKEY_VAULT_TOKEN="+f.vault.Token,
		"VALETKEY_STORE=vault", "VALETKEY_TOKENS_STORE=file", "AWS_CONFIG_FILE="+filepath.Join(t.TempDir(), "none"))
	f.sandbox, f.binary = box.dir, box.path
	f.limit()
	return f
}

// limit replaces root's token by one with the policy that doctor prints.
func (f *fleet) limit() {
	f.t.Helper()
	stdout, stderr, code := f.machine("doctor").output("doctor", "-o", "json", "--jq", `.[] | select(.check == "store") | .hint`)
	_, policy, found := strings.Cut(stdout, "this policy is enough: ")
	if code != 12 || !found {
		f.t.Fatalf("doctor prints no policy: exit %d: %s%s", code, stdout, stderr)
	}
	f.document = regexp.MustCompile(`"valetkey/data/([^"]+)"`).FindStringSubmatch(policy)[1]
	root := f.vault.client(f.t)
	if err := root.Sys().PutPolicyWithContext(f.t.Context(), "fleet", policy); err != nil {
		f.t.Fatal(err)
	}
	token, err := root.Auth().Token().CreateWithContext(f.t.Context(), &api.TokenCreateRequest{Policies: []string{"fleet"}, TTL: "1h"})
	if err != nil {
		f.t.Fatal(err)
	}
	f.env = append(f.env, "VALETKEY_VAULT_TOKEN="+token.Auth.ClientToken)
}

// machine runs valetkey on a machine of the name.
func (f *fleet) machine(name string) valetkey {
	dir := filepath.Join(f.sandbox, "machines", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.t.Fatal(err)
	}
	return valetkey{t: f.t, path: f.binary, env: append(slices.Clip(f.env),
		"VALETKEY_STATE_DIR="+filepath.Join(dir, "state"), "VALETKEY_STORE_DIR="+filepath.Join(dir, "store"))}
}

// everywhere runs one command in many processes at once, on so many machines, and
// returns the access keys that they answer with.
func (f *fleet) everywhere(machines, processes int, args ...string) (keys map[string]int) {
	f.t.Helper()
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	keys = map[string]int{}
	for m := range machines {
		vk := f.machine(fmt.Sprint("m", m))
		for range processes {
			wg.Go(func() {
				stdout, stderr, code := vk.output(args...)
				var answer struct{ AccessKeyID string }
				if err := json.Unmarshal([]byte(stdout), &answer); err != nil || code != 0 {
					f.t.Errorf("machine %d: exit %d: %s", m, code, stderr)
				}
				mu.Lock()
				defer mu.Unlock()
				keys[answer.AccessKeyID]++
			})
		}
	}
	wg.Wait()
	return keys
}

// posts counts the requests that make a key.
func (f *fleet) posts() (n int) {
	f.t.Helper()
	log, err := os.ReadFile(filepath.Join(f.sandbox, "requests.jsonl"))
	if err != nil {
		f.t.Fatal(err)
	}
	return bytes.Count(log, []byte(`"method":"POST","path":"/api/s3keys/"`))
}

// versions tells which versions of the document still have their data.
func (f *fleet) versions() (kept []int, newest int) {
	f.t.Helper()
	all, err := f.vault.client(f.t).KVv2("valetkey").GetMetadata(f.t.Context(), f.document)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, v := range all.Versions {
		if !v.Destroyed {
			kept = append(kept, v.Version)
		}
	}
	return kept, all.CurrentVersion
}

func (f *fleet) onlyNewest() {
	f.t.Helper()
	if kept, newest := f.versions(); !slices.Equal(kept, []int{newest}) {
		f.t.Errorf("of %d versions %v are not destroyed", newest, kept)
	}
}

// healthy wants doctor to find no problem of the keys, on a machine whose copy is
// up to date.
func (f *fleet) healthy() {
	f.t.Helper()
	found, _, _ := f.machine("m1").output("doctor", "-o", "json", "--jq", `[.[] | select(.severity != "info" and (.check == "store" or .check == "journal" or .check == "vms.keys")) | .message] | join("; ")`)
	if found != "\n" && found != "" {
		f.t.Errorf("doctor: %s", found)
	}
}

// TestFleet: four machines, 25 processes on each, nothing stored.
func TestFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	keys := f.everywhere(4, 25, "credential-process", "--timeout", "2m")
	if len(keys) != 1 || f.posts() != 1 {
		t.Errorf("%d keys, %d requests for one: %v", len(keys), f.posts(), keys)
	}
	f.onlyNewest()
	f.healthy()

	// Warm, nobody asks anybody.
	away := f.machine("m3")
	away.env = append(slices.Clip(away.env), "VALETKEY_VAULT_ADDRESS=https://127.0.0.1:1", "VALETKEY_VMS_PASSWORD=none")
	away.run("credential-process")

	// Ten that always want a new key: VMS allows two, and both are stored.
	var wg sync.WaitGroup
	for m := range 10 {
		vk := f.machine(fmt.Sprint("m", m%4))
		wg.Go(func() {
			if _, stderr, code := vk.output("keys", "create", "--timeout", "2m"); code != 0 && code != 8 {
				t.Errorf("keys create: exit %d: %s", code, stderr)
			}
		})
	}
	wg.Wait()
	m1 := f.machine("m1")
	m1.want("2\n", "keys", "list", "-o", "json", "--jq", "[.[] | select(.stored)] | length")
	for _, key := range strings.Fields(m1.run("keys", "list", "-o", "json", "--jq", "[.[].access_key] | join(\" \")")) {
		m1.run("keys", "delete", "--yes", strings.Trim(key, `"`))
	}
	f.machine("m2").want("[]\n", "keys", "list", "-o", "json")
	f.onlyNewest()
	f.healthy()
}

// TestFleetTakesOver kills, or stops for longer than its lease, the process that
// has just asked VMS for a key. The others go on by themselves.
func TestFleetTakesOver(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, "vms.post_s3keys=slow*1")
			winner := f.machine("winner")
			cmd := exec.Command(winner.path, "credential-process", "--timeout", "2m")
			cmd.Env = winner.env
			var out, say bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &say
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			f.waitForJournal()
			time.Sleep(300 * time.Millisecond) // the request leaves right after; its answer takes two seconds
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if signal == syscall.SIGKILL {
				_ = cmd.Wait()
			}
			began := time.Now()
			keys := f.everywhere(3, 5, "credential-process", "--timeout", "2m")
			t.Logf("the others had a key after %v", time.Since(began).Round(time.Second))
			if len(keys) != 1 {
				t.Errorf("%d keys: %v", len(keys), keys)
			}
			if signal == syscall.SIGSTOP {
				if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				var exit *exec.ExitError
				if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				for key := range keys { // it gets the key that the others have
					if code := cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(out.String(), key) {
						t.Errorf("the one that was stopped ended with %d, without %s: %s", code, key, say.String())
					}
				}
			}
			vk := f.machine("m1")
			vk.run("keys", "reap", "--yes", "-o", "json")
			for key := range keys {
				vk.want(fmt.Sprintf("[%q,true]\n", key), "keys", "list", "-o", "json", "--jq", "[.[] | .access_key, .stored] | tojson")
			}
			if f.posts() != 2 {
				t.Errorf("%d requests for a key, want that of the winner and one more", f.posts())
			}
			f.onlyNewest()
			f.healthy()
		})
	}
}

// waitForJournal waits until the document says that a key is about to be asked for.
func (f *fleet) waitForJournal() {
	f.t.Helper()
	kv := f.vault.client(f.t).KVv2("valetkey")
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for {
		if got, err := kv.Get(ctx, f.document); err == nil {
			if text, _ := got.Data["document"].(string); strings.Contains(text, `"journal":[{`) {
				return
			}
		}
		select {
		case <-ctx.Done():
			f.t.Fatal("nobody asks for a key")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
