package render_test

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
)

// Every system with a POSIX shell judges by running it.
func TestPosixExportSurvivesTheShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Log("no sh on this system: the vectors below are all there is")
		return
	}
	value := rapid.StringMatching("[a-zA-Z0-9 \\t\\n'\"$`\\\\!*?~#&|;<>(){}\\[\\]äß=%-]{0,40}")
	rapid.Check(t, func(t *rapid.T) {
		want := value.Draw(t, "value")
		out, err := exec.Command(sh, "-c", render.Posix.Export("X", want)+`printf %s. "$X"`).CombinedOutput() //nolint:gosec // that is the test
		if err != nil || string(out) != want+"." {
			t.Fatalf("%q came out as %q, %v", want, out, err)
		}
	})
}

func TestShellVectors(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{render.Posix.Export("A", "it's $1"), `export A='it'"'"'s $1'` + "\n"},
		{render.Fish.Export("A", `it's \n`), `set -gx A 'it\'s \\n'` + "\n"},
		{render.PowerShell.Export("A", "it's ’x"), "$env:A = 'it''s ’’x'\n"},
		{render.Posix.Unset("A"), "unset A\n"},
		{render.Fish.Unset("A"), "set -e A\n"},
		{render.PowerShell.Unset("A"), "Remove-Item Env:A -ErrorAction SilentlyContinue\n"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	if _, err := render.ParseShell("tcsh"); !failure.Is(err, failure.Usage) || !strings.Contains(failure.HintOf(err), "fish") {
		t.Errorf("unknown shell: %v", err)
	}
}
