//go:build unix

package awsconfig_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/awsconfig"
	"github.com/valetkey/valetkey/pkg/failure"
)

// reader gets the value of credential_process as it stands in the file, and
// returns the words that a program is started with.
type reader func(t require, value string) []string

// How the SDKs do that, from their sources and the guides to them.
var (
	// Those that hand the value to a shell. Java 2 (ProcessCredentialsProvider) and
	// .NET (ProcessAWSCredentials): sh -c, on Windows cmd /c. Rust (aws-config's
	// credential_process): sh -c. Go 2 (processcreds): sh -c. JavaScript 3:
	// child_process.exec, which is /bin/sh -c. Kotlin: the shell of the platform.
	shells = map[string]reader{
		"sh -c": shell,
		// Go 1, which s5cmd and older versions of rclone are built with, does the
		// same, but its reader of the file ends a value that starts with a quote at
		// the closing one.
		"Go 1": func(t require, value string) []string {
			if strings.HasPrefix(value, `"`) {
				value, _, _ = strings.Cut(value[1:], `"`)
			}
			return shell(t, value)
		},
	}
	// Those that split it themselves. botocore and with it the AWS CLI:
	// compat_shell_split, which is Python's shlex.split on Unix; no shell, so ~ and
	// $ stay as they are. Ruby hands an array on that was split the same way.
	splits = map[string]reader{
		"shlex": func(_ require, value string) []string { return shlex(value) },
		// Some readers of the file take what follows white space and a # or ; for a
		// comment, within quotes, too.
		"comments": func(_ require, value string) []string {
			for _, mark := range []string{" #", " ;"} {
				value, _, _ = strings.Cut(value, mark)
			}
			return shlex(value)
		},
	}
)

// require is the part of testing that both *testing.T and *rapid.T have.
type require interface {
	Helper()
	Fatalf(format string, args ...any)
}

// The SDKs that no test can start are played by their rules.
func TestEverySDKReadsTheLineAlike(t *testing.T) {
	arguments := []string{"credential-process", "--profile", "lab"}
	for _, path := range []string{
		"/usr/bin/valetkey", "/opt/my tools/valetkey", "/Users/a b/c  d/valetkey", "/a/b-c_d.e+f,g=h@i/valetkey",
		"/a (b)/valetkey", "/a;b/v", "/a#b/v", "/ö/v", "/a&b/v", "/a*/v", "/~/v",
	} {
		readAlike(t, shells, path, arguments)
		readAlike(t, shells, path, append(arguments[:2:2], "my lab"))
	}
	rapid.Check(t, func(t *rapid.T) {
		readAlike(t, splits, "/"+rapid.StringMatching(`[a-zA-Z0-9 ._()#;&|<>*?{}~^=+,@:-]{1,12}`).Draw(t, "path"), arguments)
	})
	for _, bad := range []string{"/a #b/v", "/a ;b/v", "/a\t#/v"} {
		if line, err := awsconfig.CommandLine(bad, arguments...); !failure.Is(err, failure.Config) {
			t.Errorf("%q: %q, %v; some readers would cut it", bad, line, err)
		}
	}
}

func readAlike(t require, readers map[string]reader, path string, args []string) {
	t.Helper()
	line, err := awsconfig.CommandLine(path, args...)
	if failure.Is(err, failure.Config) && strings.ContainsAny(path, "#;") {
		return // refused, see below
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	file := awsconfig.Edit(nil, "profile x", []awsconfig.Entry{{Name: "credential_process", Value: line}})
	entries, _ := awsconfig.Get(file, "profile x")
	for sdk, read := range readers {
		words := read(t, entries["credential_process"])
		if len(words) > 0 && words[0] == awsconfig.Env {
			words = words[1:]
		}
		if want := append([]string{path}, args...); !slices.Equal(words, want) {
			t.Fatalf("%s reads %q as %q, want %q", sdk, line, words, want)
		}
	}
}

// shell lets sh say what it starts. Nothing is run: the words are printed.
func shell(t require, value string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `eval "set -- $1"; printf '%s\0' "$@"`, "sh", value).Output() //nolint:noctx // at once
	if err != nil {
		t.Fatalf("sh -c %q: %v", value, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// shlex splits as Python's shlex.split does in its POSIX mode.
func shlex(value string) (words []string) {
	var (
		word  strings.Builder
		open  rune
		begun bool
		plain bool // the character before was a backslash
	)
	for _, c := range value {
		switch {
		case plain:
			if open == '"' && c != '"' && c != '\\' {
				word.WriteByte('\\')
			}
			word.WriteRune(c)
			plain = false
		case c == '\\' && open != '\'':
			plain, begun = true, true
		case open != 0 && c == open:
			open = 0
		case open != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			open, begun = c, true
		case strings.ContainsRune(" \t\r\n", c):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}
