package servers

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// valetkey runs the real binary with a home and an environment of its own.
type valetkey struct {
	t     *testing.T
	path  string
	env   []string
	input string
}

func newValetkey(t *testing.T, env ...string) valetkey {
	t.Helper()
	path, err := valetkeyProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	return valetkey{t: t, path: path, env: append(append(Environ(), "HOME="+home, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME="), env...)}
}

// in returns valetkey with something to read.
func (v valetkey) in(input string) valetkey {
	v.input = input
	return v
}

func (v valetkey) output(args ...string) (stdout, stderr string, code int) {
	v.t.Helper()
	var out, say bytes.Buffer
	cmd := exec.CommandContext(v.t.Context(), v.path, args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = v.env, strings.NewReader(v.input), &out, &say
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out.String(), say.String(), exit.ExitCode()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return out.String(), say.String(), 0
}

// run runs a command that must succeed and returns its answer.
func (v valetkey) run(args ...string) string {
	v.t.Helper()
	stdout, stderr, code := v.output(args...)
	if code != 0 {
		v.t.Fatalf("valetkey %s: exit %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// want runs a command that must succeed with one answer.
func (v valetkey) want(answer string, args ...string) {
	v.t.Helper()
	if got := v.run(args...); got != answer {
		v.t.Errorf("valetkey %s: %q, want %q", strings.Join(args, " "), got, answer)
	}
}

// wantCode runs a command that must fail with one exit code and an empty stdout.
func (v valetkey) wantCode(want int, args ...string) {
	v.t.Helper()
	stdout, stderr, code := v.output(args...)
	if code != want || stdout != "" {
		v.t.Errorf("valetkey %s: exit %d, want %d; stdout %q, stderr %s", strings.Join(args, " "), code, want, stdout, stderr)
	}
}
