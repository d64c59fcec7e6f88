//go:build unix

package testscripts

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

// What follows is small in `make test` and large where somebody asks for it:
//
//	VALETKEY_TEST_STORES     the stores, e.g. "file kernel"; os wants a keyring that is unlocked
//	VALETKEY_TEST_PROCESSES  how many processes ask for a key at once
//	VALETKEY_TEST_KILLS      how many processes are killed
//	VALETKEY_TEST_TABLES     a folder that the tables are written to

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number of things", variable, text)
	}
	return n
}

func stores() []string {
	if asked := strings.Fields(os.Getenv("VALETKEY_TEST_STORES")); len(asked) > 0 {
		return asked
	}
	return []string{"file", "kernel"}
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

// inSandbox starts a sandbox whose keys are kept in the store.
func inSandbox(t *testing.T, store string) (*sandbox.Sandbox, killed) {
	t.Helper()
	s, err := sandbox.Start(context.Background(), sandbox.Options{Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	v := killed{t: t, dir: s.Dir(), env: s.ChildEnv(os.Environ())}
	v = v.with("HOME="+t.TempDir(), "VALETKEY_STORE="+store)
	return s, v
}

// with returns v with more in its environment, where the last one counts.
func (v killed) with(env ...string) killed {
	v.env = append(v.env[:len(v.env):len(v.env)], env...)
	for _, e := range v.env {
		if dir, found := strings.CutPrefix(e, "VALETKEY_STATE_DIR="); found {
			v.state = dir
		}
	}
	return v
}

// clear deletes all keys of the user, so that no keyring keeps any.
func (v killed) clear() {
	v.t.Helper()
	for _, id := range v.keys() {
		v.run("keys", "delete", "--yes", id)
	}
}

// keys are the user's keys at VMS.
func (v killed) keys() []string {
	v.t.Helper()
	return strings.Fields(v.run("keys", "list", "-o", "json", "--jq", ".[].access_key"))
}
