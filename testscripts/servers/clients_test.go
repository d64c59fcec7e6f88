package servers

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The SDKs and tools that people have, on `valetkey dev`: none is given a
// credential, each finds credential_process by itself. All of them must end with
// the word ok.

func TestAWSCLI(t *testing.T) { sandboxed(t, "sh", here(t, "clients/aws.sh"), t.TempDir()) }

func TestRclone(t *testing.T) { sandboxed(t, "sh", here(t, "clients/rclone.sh"), t.TempDir()) }

func TestBoto3(t *testing.T) { sandboxed(t, "/usr/bin/python3", here(t, "clients/boto.py")) }

func TestJavaScriptSDK(t *testing.T) {
	sandboxed(t, "node", filepath.Join(javaScript(t), "s3.mjs"))
}

// TestKeyring keeps keys in a real Secret Service.
func TestKeyring(t *testing.T) {
	valetkey, err := valetkeyProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	for play, want := range map[string]string{
		"stores": "ok\n",
		"locked": "locked",
		"absent": "absent",
	} {
		t.Run(play, func(t *testing.T) {
			out := sandboxed(t, "env", "VALETKEY_STORE=os", "dbus-run-session", "--", "sh", here(t, "clients/keyring.sh"), valetkey, play)
			if !strings.Contains(out, want) {
				t.Errorf("the reason %q is not told:\n%s", want, out)
			}
		})
	}
}

// sandboxed runs a command inside `valetkey dev`, with a home of its own.
func sandboxed(t *testing.T, command ...string) string {
	t.Helper()
	valetkey, err := valetkeyProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, valetkey, append([]string{"dev", "--"}, command...)...)
	cmd.Env = append(Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.HasSuffix(out, []byte("ok\n")) {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

// javaScript installs the pinned SDK below bin/, once for each lock file, and
// returns the folder.
func javaScript(t *testing.T) string {
	t.Helper()
	dir := here(t, "../../bin/js")
	lock, err := os.ReadFile(here(t, "clients/js/package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "package-lock.json", "s3.mjs", "load.mjs"} {
		data, err := os.ReadFile(here(t, "clients/js/"+name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mark := filepath.Join(dir, "installed.json")
	if have, err := os.ReadFile(mark); err == nil && bytes.Equal(have, lock) {
		return dir
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(mark, lock, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func here(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
