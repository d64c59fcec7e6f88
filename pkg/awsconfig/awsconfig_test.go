package awsconfig_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/awsconfig"
	"github.com/valetkey/valetkey/pkg/failure"
)

var entries = []awsconfig.Entry{{Name: "credential_process", Value: "/bin/vk credential-process"}, {Name: "region", Value: "us-east-1"}}

func TestEdit(t *testing.T) {
	const block = "[profile vk]\ncredential_process = /bin/vk credential-process\nregion = us-east-1\n"
	cases := map[string]struct{ before, want string }{
		"empty file":        {"", block},
		"after others":      {"[default]\nregion = x\n", "[default]\nregion = x\n\n" + block},
		"no newline at end": {"[default]\nregion = x", "[default]\nregion = x\n\n" + block},
		"already there":     {"# c\n" + block + "\n[z]\n", "# c\n" + block + "\n[z]\n"},
		"spacing is kept":   {"[profile vk]\ncredential_process=/bin/vk credential-process\nregion=us-east-1\n", "[profile vk]\ncredential_process=/bin/vk credential-process\nregion=us-east-1\n"},
		"replaced in place": {
			"[profile vk]\n# mine\nregion = old\noutput = json\n\n[profile z]\nregion = z\n",
			"[profile vk]\n# mine\nregion = us-east-1\noutput = json\ncredential_process = /bin/vk credential-process\n\n[profile z]\nregion = z\n",
		},
		"nested lines stay": {
			"[profile vk]\ns3 =\n  region = nested\n  addressing_style = path\nregion = old\n",
			"[profile vk]\ns3 =\n  region = nested\n  addressing_style = path\nregion = us-east-1\ncredential_process = /bin/vk credential-process\n",
		},
		"a second line of the name goes": {
			"[profile vk]\nregion = a\nregion = b\n",
			"[profile vk]\nregion = us-east-1\ncredential_process = /bin/vk credential-process\n",
		},
		"windows line ends": {
			"[profile vk]\r\nregion = a\r\n",
			"[profile vk]\r\nregion = us-east-1\r\ncredential_process = /bin/vk credential-process\r\n",
		},
		"comments of the next section stay with it": {
			"[profile vk]\nregion = old\n\n# the lab\n[profile lab]\n",
			"[profile vk]\nregion = us-east-1\ncredential_process = /bin/vk credential-process\n\n# the lab\n[profile lab]\n",
		},
		"comments below a replaced entry": {
			"[profile vk]\nregion = old\n  # deep\noutput = json\n",
			"[profile vk]\nregion = us-east-1\n  # deep\noutput = json\ncredential_process = /bin/vk credential-process\n",
		},
		"a second line of the name goes with what is below it": {
			"[profile vk]\nregion = us-east-1\nregion =\n  x\noutput = json\n",
			"[profile vk]\nregion = us-east-1\noutput = json\ncredential_process = /bin/vk credential-process\n",
		},
		"spelled as botocore alone reads it": {
			"[profile vk]\nRegion: us-east-1\n",
			"[profile vk]\nregion = us-east-1\ncredential_process = /bin/vk credential-process\n",
		},
		"mixed line ends": {
			"[a]\r\nb = c\r\n[profile vk]\nregion = old\r\n",
			"[a]\r\nb = c\r\n[profile vk]\nregion = us-east-1\r\ncredential_process = /bin/vk credential-process\n",
		},
		"quoted header": {
			"[profile \"vk\"]\nregion = a",
			"[profile \"vk\"]\nregion = us-east-1\ncredential_process = /bin/vk credential-process\n",
		},
	}
	for name, c := range cases {
		got := string(awsconfig.Edit([]byte(c.before), "profile vk", entries))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if again := string(awsconfig.Edit([]byte(got), "profile vk", entries)); again != got {
			t.Errorf("%s: a second edit changes it again: %q", name, again)
		}
	}
}

// Other sections survive byte for byte, and the entries are there afterwards.
func TestEditKeepsTheRest(t *testing.T) {
	line := rapid.SampledFrom([]string{"", "# c", "; c", "[other]", "[profile vk2]", "a = b", "  nested = 1", "junk", "[broken", "\t", "=x"})
	rapid.Check(t, func(t *rapid.T) {
		before := strings.Join(rapid.SliceOf(line).Draw(t, "lines"), "\n")
		after := string(awsconfig.Edit([]byte(before), "profile vk", entries))
		if !strings.HasPrefix(after, before) {
			t.Fatalf("%q lost something: %q", before, after)
		}
		got, found := awsconfig.Get([]byte(after), "profile vk")
		if !found || got["region"] != "us-east-1" || got["credential_process"] != "/bin/vk credential-process" {
			t.Fatalf("%q: %v", after, got)
		}
	})
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		path string
		args []string
		want string
	}{
		{"/usr/bin/valetkey", []string{"credential-process"}, `/usr/bin/valetkey credential-process`},
		{"/opt/my tools/valetkey", []string{"credential-process", "--profile", "lab"}, `/usr/bin/env "/opt/my tools/valetkey" credential-process --profile lab`},
		{"/opt/v /valetkey ", []string{"credential-process"}, `/usr/bin/env "/opt/v /valetkey " credential-process`},
		{`C:\Program Files\valetkey.exe`, []string{"credential-process"}, `"C:\Program Files\valetkey.exe" credential-process`},
	} {
		got, err := awsconfig.CommandLine(c.path, c.args...)
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.path, got, err, c.want)
		}
	}
	for _, bad := range []string{"/a/$HOME/v", "/a/'v", `/a/"v`, "/a\nb", "", `/a\b/v`, "/a`b", "/a%b", "/a\x01b", "/a\x7fb", "/a\xffb", "/a !b", `C:\Program Files (x86)\v.exe`, `C:\a&b\v.exe`, `C:\a,b\v.exe`} {
		if line, err := awsconfig.CommandLine(bad, "x"); !failure.Is(err, failure.Config) {
			t.Errorf("%q: %q, %v", bad, line, err)
		}
	}
}

func TestCheckProfile(t *testing.T) {
	for _, good := range []string{"default", "lab-1", "a.b"} {
		if err := awsconfig.CheckProfile(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a]", "a\nb", " a", "a#b", "a b", "a\u00a0b"} {
		if err := awsconfig.CheckProfile(bad); !failure.Is(err, failure.Usage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Python's configparser, on which botocore rests, takes these for entries.
func TestGetReadsWhatBotocoreReads(t *testing.T) {
	file := []byte("[a]\n  aws_access_key_id: AK\n  s3 =\n    region = nested\n  Region=eu\n")
	values, found := awsconfig.Get(file, "a")
	want := map[string]string{"aws_access_key_id": "AK", "s3": "", "region": "eu"}
	if !found || !cmp.Equal(values, want) {
		t.Errorf("%v, want %v", values, want)
	}
	edited := string(awsconfig.Edit(file, "a", []awsconfig.Entry{{Name: "region", Value: "us"}}))
	if want := "[a]\n  aws_access_key_id: AK\n  s3 =\n    region = nested\n  region = us\n"; edited != want {
		t.Errorf("got %q, want %q", edited, want)
	}
}
