package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/sandbox"
)

// An item that this release cannot read is an unusable store to scripts, with
// all they are promised of one, and nothing is issued or written over it.
func TestUnreadableItems(t *testing.T) {
	s, err := sandbox.Start(t.Context(), sandbox.Options{Dir: filepath.Join(t.TempDir(), "sandbox")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	env := map[string]string{}
	var process []string
	for _, v := range s.Env(nil) {
		env[v.Name] = v.Value
		process = append(process, v.Name+"="+v.Value)
	}
	address := strings.TrimPrefix(env["VALETKEY_VMS_ADDRESS"], "https://")
	store := keystore.NewFile(keystore.FileOptions{Dir: env["VALETKEY_STORE_DIR"], Identity: env["VALETKEY_STORE_IDENTITY"]})
	identity := `{"vms":"` + address + `","user":"alice"}`
	for what, raw := range map[string]string{
		"newer version":  `{"version":2}`,
		"unknown member": `{"version":1,"identity":` + identity + `,"keys":[],"leases":[]}`,
		"unknown state":  `{"version":1,"identity":` + identity + `,"keys":[{"access_key":"A","secret_key":"CANARY","state":"resting"}]}`,
		"damaged":        `{"version":1,"keys":"CANARY`,
		"swapped":        `{"version":1,"identity":{"vms":"other","user":"alice"},"keys":[]}`,
	} {
		for _, args := range [][]string{{"keys", "create"}, {"keys", "list"}, {"keys", "rotate"}, {"keys", "reap", "--yes"}, {"credential-process"}} {
			if err := store.Put(t.Context(), address+"/-/alice", []byte(raw)); err != nil {
				t.Fatal(err)
			}
			code, out, errs := runLine(t, process, args...)
			if code != 9 || out != "" || strings.Contains(errs, "CANARY") {
				t.Errorf("%s, %v: exit code %d, %q, %s", what, args, code, out, errs)
			}
			if after, err := store.Get(t.Context(), address+"/-/alice"); err != nil || string(after) != raw {
				t.Errorf("%s, %v: the item is %s now, %v", what, args, after, err)
			}
			if args[0] == "credential-process" {
				continue // has no JSON errors
			}
			_, _, errs = runLine(t, process, append([]string{args[0], "-o", "json"}, args[1:]...)...)
			var answer struct {
				Error struct {
					Hint    string
					Details struct {
						Store, Reason string
						Alternatives  []string
					}
				}
			}
			lines := strings.Split(strings.TrimSpace(errs), "\n")
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &answer); err != nil {
				t.Errorf("%s, %v: %v in %s", what, args, err, errs)
			}
			if d := answer.Error.Details; d.Store != "file" || d.Reason != "damaged" || len(d.Alternatives) == 0 || answer.Error.Hint == "" {
				t.Errorf("%s, %v: %+v", what, args, answer)
			}
		}
	}
}

// runLine runs one command line in this process.
func runLine(t *testing.T, env []string, args ...string) (code int, out, errs string) {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name)) //nolint:gosec // a test's own directory
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	stdout, stderr := open("stdout"), open("stderr")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	code = Main(context.WithoutCancel(t.Context()), Process{
		Args: args, Env: env, Stdin: null, Stdout: stdout, Stderr: stderr, Version: "test",
		Executable: func() (string, error) { return "/usr/bin/valetkey", nil },
	})
	for _, f := range []*os.File{null, stdout, stderr} {
		_ = f.Close()
	}
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // a test's own directory
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return code, text("stdout"), text("stderr")
}
