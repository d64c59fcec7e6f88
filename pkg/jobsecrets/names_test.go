package jobsecrets_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/secret"
)

func TestNewJob(t *testing.T) {
	for _, ok := range [][2]string{{"team", "job"}, {"test !@$%^&*() Team", "a-b_c.d"}, {"équipe", "...x"}, {"team-oauth-credentials", "job"}, {"a\\b", "%2f"}} {
		j, err := jobsecrets.NewJob(ok[0], ok[1])
		if err != nil || j.String() != ok[0]+"/"+ok[1] {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range [][2]string{
		{"", "job"}, {"team", ""}, {"a/b", "job"}, {"team", "a/b"}, {"team", "a#b"}, {"team", "a?b"}, {"te{am", "job"}, {"team", "a}"},
		{".", "job"}, {"team", ".."}, {"team", "a\x00"}, {"team", "a\nb"}, {"team", "a\u202e"}, {"te\xffam", "job"}, {"team", "\u00a0"},
		{"team", "team-oauth-credentials"}, {"team", "\ufffd"},
	} {
		_, err := jobsecrets.NewJob(bad[0], bad[1])
		if !failure.Is(err, failure.Usage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestVDKOptions(t *testing.T) {
	for name, want := range map[string]bool{
		"DB_DEFAULT_TYPE": true, "db-default.type": true, "vdk_team": true, "log_config": true, "db-password": false, "": false, "TEAMS": false,
	} {
		if got := jobsecrets.IsVDKOption(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if !slices.IsSorted(jobsecrets.VDKOptions()) {
		t.Error("the published list is not sorted")
	}
}

func TestInputValue(t *testing.T) {
	o := jobsecrets.InputOptions{Source: "stdin"}
	raw, empty := o, o
	raw.Raw, empty.AllowEmpty = true, true
	for _, c := range []struct {
		in   string
		o    jobsecrets.InputOptions
		want string
		bad  bool
	}{
		{"pw", o, "pw", false}, {"pw\n", o, "pw", false}, {"pw\r\n", o, "pw", false}, {"pw\r", o, "pw\r", false}, {" pw \n", o, " pw ", false},
		{"a\nb", o, "a\nb", false}, {"a\nb\n", o, "a\nb\n", false}, {"a\r\nb\r\n", o, "a\r\nb\r\n", false}, {"\n\n", o, "\n\n", false}, {"\na", o, "\na", false},
		{"pw\n", raw, "pw\n", false}, {"\n", raw, "\n", false}, {"a\x00b\n", o, "a\x00b", false}, {"\ufeffx\n", o, "\ufeffx", false},
		{"", o, "", true}, {"\n", o, "", true}, {"\r\n", o, "", true}, {"", raw, "", true}, {"", empty, "", false}, {"\n", empty, "", false},
		{"\xff\n", o, "", true}, {"\xff", raw, "", true}, {"\xed\xa0\x80", o, "", true},
	} {
		got, err := jobsecrets.InputValue([]byte(c.in), c.o)
		if got.Reveal() != c.want || failure.Is(err, failure.Usage) != c.bad || (err != nil) != c.bad {
			t.Errorf("%q: %q %v", c.in, got.Reveal(), err)
		}
	}
	_, err := jobsecrets.InputValue([]byte("\xffcanary"), o)
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(failure.HintOf(err), "base64") {
		t.Errorf("%v, hint %q", err, failure.HintOf(err))
	}
}

func TestValues(t *testing.T) {
	for in, want := range map[string]string{` { "a" : 1.0 } `: `{"a":1.0}`, "12345678901234567890": "12345678901234567890", `"x"`: `"x"`, "null": "null", "\n[1,\n2]": "[1,2]"} {
		got, err := jobsecrets.JSONValue(secret.FromString(in))
		if err != nil || got.Reveal() != want {
			t.Errorf("%s: %s %v", in, got.Reveal(), err)
		}
	}
	for _, in := range []string{"", "canary", "{", "1 2", "'x'", "\"\xff\"", strings.Repeat("[", 20000)} {
		_, err := jobsecrets.JSONValue(secret.FromString(in))
		if !failure.Is(err, failure.Usage) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%.20q: %v", in, err)
		}
	}
	_, err := jobsecrets.TextValue(secret.FromString("\xff"))
	wantKind(t, err, failure.Usage)
	for in, want := range map[string]string{`"a\u0000\n\/"`: "a\x00\n/", `"\ud83d\ude00"`: "😀", "[1, 2]": "[1,2]", "1e3": "1e3", `""`: "", "null": "null"} {
		got, err := jobsecrets.Display(secret.FromString(in))
		if err != nil || got.Reveal() != want {
			t.Errorf("%s: %q %v", in, got.Reveal(), err)
		}
	}
	for _, in := range []string{`"\ud800"`, `"x\udc00y"`, `"\ud800\ud800"`, `"\ud800\n"`} {
		_, err := jobsecrets.Display(secret.FromString(in))
		wantKind(t, err, failure.Usage)
	}
}
