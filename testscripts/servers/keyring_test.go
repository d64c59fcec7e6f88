package servers

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestStoriesOnAKeyring plays the tests that take any store, with a real Secret
// Service as the store.
func TestStoriesOnAKeyring(t *testing.T) {
	stories, err := storiesProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TestCrowd", "TestKillMatrix"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
			defer cancel()
			home := t.TempDir()
			cmd := exec.CommandContext(ctx, "dbus-run-session", "--", "sh", here(t, "clients/unlocked.sh"),
				stories, "-test.run=^"+name+"$", "-test.v", "-test.count=1")
			cmd.Dir = here(t, "..")
			cmd.Env = append(Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=",
				"VALETKEY_TEST_STORES=os", "GOCACHE="+output(t, "go", "env", "GOCACHE"), "GOMODCACHE="+output(t, "go", "env", "GOMODCACHE"))
			for _, asked := range []string{"VALETKEY_TEST_PROCESSES", "VALETKEY_TEST_KILLS", "VALETKEY_TEST_TABLES"} {
				if value := os.Getenv(asked); value != "" {
					cmd.Env = append(cmd.Env, asked+"="+value)
				}
			}
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			cmd.WaitDelay = 10 * time.Second
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}
