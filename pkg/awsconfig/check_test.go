package awsconfig_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/awsconfig"
	"github.com/valetkey/valetkey/pkg/failure"
)

func TestPlace(t *testing.T) {
	for _, c := range []struct{ file, profile, want, refusal string }{
		{"", "vk", "profile vk", ""},
		{"[profile vk] # mine\n", "vk", "profile vk", ""},
		{"[vk]\n[profile vk2]\n[Profile vk]\n", "vk", "profile vk", ""},
		{"", "default", "default", ""},
		{"[default]\n", "default", "default", ""},
		{"[profile default]\r\n", "default", "profile default", ""},
		{"[default]\n\n[profile default]\n", "default", "", "lines 1 and 3 both"},
		{"[profile vk]\na = b\n[x]\n[profile vk]\n", "vk", "", "lines 1 and 4 both"},
		{"[profile  vk]\n", "vk", "", "line 1, "},
		{"\n[ profile vk ]\n", "vk", "", "line 2, "},
		{"[profile\tvk]\n", "vk", "", "line 1, "},
		{"[profile \"vk\"]\n", "vk", "", "line 1, "},
		{"[profile 'vk']\n", "vk", "", "line 1, "},
		{"[x]\na =\n  [profile vk]\n", "vk", "", "line 3, "},
		{"[profile vk] [b]\n", "vk", "", "line 1, "},
		{"[ profile other ]\n[ profile other ]\n", "vk", "profile vk", ""},
		{"\xef\xbb\xbf[profile vk]\n", "vk", "", "byte order mark"},
		{"[a]\n# caf\xe9\n", "vk", "", "line 2 is not UTF-8"},
		{"[\x00a\x00]\x00\n", "vk", "", "line 1 has a zero byte"},
		{"[a]\rb = c\r", "vk", "", "line 1 has a carriage return"},
		{"[a]\r\nb = c\r\n# ö\r\n", "vk", "profile vk", ""},
	} {
		got, err := awsconfig.Place([]byte(c.file), c.profile)
		switch {
		case c.refusal == "" && (err != nil || got != c.want):
			t.Errorf("%q: %q, %v", c.file, got, err)
		case c.refusal != "" && (!failure.Is(err, failure.Config) || !strings.Contains(err.Error(), c.refusal) || failure.HintOf(err) == ""):
			t.Errorf("%q: %q, %v; want %q", c.file, got, err, c.refusal)
		}
	}
}

func TestCheckEntry(t *testing.T) {
	for _, good := range []string{"us-east-1", "https://h:9000", "/a b/ca.pem", "/a#b;c/ca.pem", `C:\a\ca.pem`} {
		if err := awsconfig.CheckEntry(awsconfig.Entry{Name: "n", Value: good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", " a", "a ", `"a"`, "'a", "a #b", "a ;b", "a\nb = c", "a\tb", "\xff"} {
		if err := awsconfig.CheckEntry(awsconfig.Entry{Name: "n", Value: bad}); !failure.Is(err, failure.Config) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Whatever the file is: every line outside the section comes back byte for byte,
// within it the comments and what else it says, and a second edit changes nothing.
func TestEditKeepsEveryOtherByte(t *testing.T) {
	line := rapid.SampledFrom([]string{
		"", " ", "\t", "# region = c", "; c", "  # deep", "[default]", "[profile vk2]", "[sso-session s]", "[profile vk]", "[broken", "junk", "=x",
		"a = b", "ä=ö # c", "s3 =", "  nested = 1", "  region = nested", "\tregion = tab", "region=us-east-1", "Region = x", "region : us-east-1",
		"region = old", "region =", "credential_process = /bin/vk credential-process", "credential_process = x",
	})
	rapid.Check(t, func(t *rapid.T) {
		var before strings.Builder
		for range rapid.IntRange(0, 14).Draw(t, "n") {
			before.WriteString(line.Draw(t, "line"))
			before.WriteString(rapid.SampledFrom([]string{"\n", "\n", "\r\n"}).Draw(t, "end"))
		}
		file := before.String()
		if rapid.Bool().Draw(t, "cut") {
			file = strings.TrimRight(file, "\r\n")
		}
		section, err := awsconfig.Place([]byte(file), "vk")
		if err != nil {
			return // two of a name
		}
		after := string(awsconfig.Edit([]byte(file), section, entries))
		if again := string(awsconfig.Edit([]byte(after), section, entries)); again != after {
			t.Fatalf("%q becomes %q, and then %q", file, after, again)
		}
		got, _ := awsconfig.Get([]byte(after), section)
		if got["region"] != "us-east-1" || got["credential_process"] != "/bin/vk credential-process" {
			t.Fatalf("%q: %v", after, got)
		}
		outside, inside := apart(file)
		outsideAfter, insideAfter := apart(after)
		if ended := strings.TrimRight(outside, "\r\n"); !strings.HasPrefix(outsideAfter, ended) || inside != "" && outsideAfter != outside {
			t.Fatalf("outside %q became %q", outside, outsideAfter)
		}
		if was, is := others(inside), others(insideAfter); inside != "" && !slices.Equal(was, is) {
			t.Fatalf("inside %q became %q", was, is)
		}
	})
}

// apart returns what is outside the section and its own lines.
func apart(file string) (outside, inside string) {
	within := false
	for _, l := range strings.SplitAfter(file, "\n") {
		if strings.HasPrefix(l, "[") && strings.Contains(l, "]") {
			within = strings.HasPrefix(l, "[profile vk]")
		}
		if within {
			inside += l
		} else {
			outside += l
		}
	}
	return outside, inside
}

// others are the lines of a section that are neither of the entries nor below one.
func others(section string) (lines []string) {
	ours, depth := false, -1
	for _, l := range strings.Split(section, "\n") {
		l = strings.TrimRight(l, "\r")
		bare := strings.ToLower(strings.TrimSpace(l))
		if bare == "" || bare[0] == '#' || bare[0] == ';' {
			if bare != "" {
				lines = append(lines, l)
			}
			continue
		}
		if in := len(l) - len(strings.TrimLeft(l, " \t")); depth < 0 || in <= depth {
			ours = strings.HasPrefix(bare, "region") || strings.HasPrefix(bare, "credential_process")
			if bare[0] != '[' {
				depth = in
			}
		}
		if !ours {
			lines = append(lines, l)
		}
	}
	return lines
}
