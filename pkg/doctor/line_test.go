package doctor_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/doctor"
)

func TestReadLine(t *testing.T) {
	for _, c := range []struct {
		line    string
		windows bool
		words   []string
		says    []string // a part of each finding, in order
	}{
		{"/usr/bin/valetkey credential-process", false, []string{"/usr/bin/valetkey", "credential-process"}, nil},
		{"  /bin/v \t a  ", false, []string{"/bin/v", "a"}, nil},
		{`"/opt/my tools/valetkey" credential-process`, false, []string{"/opt/my tools/valetkey", "credential-process"}, []string{"info: older SDKs"}},
		{`/bin/v --profile "my lab"`, false, []string{"/bin/v", "--profile", "my lab"}, nil},
		{`/bin/v ""`, false, []string{"/bin/v", ""}, nil},
		{`/bin/v a"b c"d`, false, []string{"/bin/v", "ab cd"}, nil},
		{"~/bin/valetkey x", false, []string{"~/bin/valetkey", "x"}, []string{"warning: a shell replaces ~"}},
		{"/a~b/v", false, []string{"/a~b/v"}, nil},
		{"$HOME/bin/v $X", false, []string{"$HOME/bin/v", "$X"}, []string{"warning: a shell replaces $"}},
		{`"$HOME/v"`, false, []string{"$HOME/v"}, []string{"warning: a shell replaces $"}},
		{`'$HOME/v'`, false, []string{"$HOME/v"}, []string{"warning: single quotes"}},
		{"/bin/`v`", false, []string{"/bin/`v`"}, []string{"warning: a shell replaces `"}},
		{"/bin/v 2>/dev/null", false, []string{"/bin/v", "2>/dev/null"}, []string{"warning: > is an order"}},
		{"/bin/v && /bin/w", false, []string{"/bin/v", "&&", "/bin/w"}, []string{"warning: & is an order"}},
		{"/bin/v # mine", false, []string{"/bin/v", "#", "mine"}, []string{"warning: what follows # is a comment"}},
		{"/bin/v a#b", false, []string{"/bin/v", "a#b"}, nil},
		{`/bin/my\ v`, false, []string{"/bin/my v"}, []string{"warning: a backslash"}},
		{`C:\v.exe x`, false, []string{"C:v.exe", "x"}, []string{"warning: a backslash"}},
		{`C:\v.exe x`, true, []string{`C:\v.exe`, "x"}, nil},
		{`"C:\Program Files\v.exe" x`, true, []string{`C:\Program Files\v.exe`, "x"}, []string{"info: older SDKs"}},
		{`/bin/v "a\b\"c\\"`, false, []string{"/bin/v", `a\b"c\`}, nil},
		{`%USERPROFILE%\v.exe`, true, []string{`%USERPROFILE%\v.exe`}, []string{"warning: cmd.exe replaces %"}},
		{`'C:\a b\v.exe'`, true, []string{`'C:\a`, `b\v.exe'`}, []string{"warning: single quotes"}},
		{`"/opt/my tools/v x`, false, nil, []string{`error: a " quote is not closed`}},
		{`/bin/v 'x`, false, nil, []string{"error: a ' quote is not closed"}},
		{`/bin/v x\`, false, nil, []string{"error: the line ends in a backslash"}},
		{"  ", false, nil, []string{"error: the line names no program"}},
	} {
		words, findings := doctor.ReadLine(c.line, c.windows)
		if diff := cmp.Diff(c.words, words); diff != "" {
			t.Errorf("%s: %s", c.line, diff)
		}
		if len(findings) != len(c.says) {
			t.Errorf("%s: %+v, want %q", c.line, findings, c.says)
			continue
		}
		for i, f := range findings {
			if got := string(f.Severity) + ": " + f.Message; !strings.HasPrefix(got, c.says[i]) {
				t.Errorf("%s: %s, want %s", c.line, got, c.says[i])
			}
		}
	}
}

// A line of which nothing is found means the same to a plain split, double
// quotes aside.
func TestReadLineWithoutFindings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringMatching(`[a~$\\'#;*/ |%.-]{0,12}`).Draw(t, "line")
		windows := rapid.Bool().Draw(t, "windows")
		words, findings := doctor.ReadLine(line, windows)
		if len(findings) == 0 && cmp.Diff(strings.Fields(line), words) != "" {
			t.Fatalf("%q: %q", line, words)
		}
	})
}
