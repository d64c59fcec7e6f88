package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/policy"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		template string
		given    map[string][]string
		want     failure.Kind
		says     string
	}{
		{"schema-acces", nil, failure.NotFound, "did you mean schema-access?"},
		{"Schema-Access", nil, failure.NotFound, "did you mean schema-access?"},
		{"bucketread", nil, failure.NotFound, "did you mean bucket-read?"},
		{"SCHEMA_ACCESS", nil, failure.NotFound, "did you mean schema-access?"},
		{"administrator", nil, failure.NotFound, "prefix-upload"},
		{"", nil, failure.NotFound, "prefix-upload"},
		{strings.Repeat("x\n", 1<<20), nil, failure.NotFound, "prefix-upload"},
		{"schema-access", nil, failure.Usage, "bucket is missing"},
		{"schema-access", values("schema", "a"), failure.Usage, "the template takes bucket and schema"},
		{"schema-access", values("bucket", "vastdb", strings.Repeat("x\n", 1<<16), "y"), failure.Usage, "it takes bucket and schema"},
		{"schema-access", values("bucket", "vastdb"), failure.Usage, "schema is missing"},
		{"schema-access", values("bucket", "vastdb", "schema", "a", "x", "y"), failure.Usage, `no parameter "x"`},
		{"schema-access", values("bucket", "vastdb", "schema", "a", "Schema", "y"), failure.Usage, `no parameter "Schema"`},
		{"bucket-read", values("bucket", "demo", "prefix", "a"), failure.Usage, `no parameter "prefix"`},
		{"schema-access", values("bucket", "one", "bucket", "two", "schema", "a"), failure.Usage, "takes one value, not 2"},
		{"schema-access", values("bucket", "one,two", "schema", "a"), failure.Usage, "','"},
		{"schema-access", values("bucket", "vastdb", "schema", "a,"), failure.Usage, "schema is empty"},
		{"schema-access", values("bucket", "vastdb", "schema", ","), failure.Usage, "schema is empty"},
		{"prefix-upload", values("bucket", "demo", "prefix", "a", "prefix", ""), failure.Usage, "prefix is empty"},
		{"prefix-upload", values("bucket", "one", "bucket", "two", "prefix", "a"), failure.Usage, "takes one value"},
		{"schema-read", values("bucket", "vastdb", "schema", manySchemas(2000)), failure.TooLarge, "65536 are allowed"},
	} {
		_, _, err := policy.Render(c.template, c.given, policy.Options{})
		name := fmt.Sprintf("%.30q %.90v", c.template, c.given)
		if !failure.Is(err, c.want) {
			t.Errorf("%s: %v (%v), want %v", name, err, failure.KindOf(err), c.want)
			continue
		}
		text := err.Error() + "; " + failure.HintOf(err)
		if !strings.Contains(text, c.says) || strings.Contains(text, "\n") || len(text) > 700 {
			t.Errorf("%s: %s; want %q, on one line", name, text, c.says)
		}
	}
}

func manySchemas(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",schema_%d", i)
	}
	return b.String()[1:]
}

// TestNames goes through the values that each parameter takes and refuses.
func TestNames(t *testing.T) {
	t.Parallel()
	const taken, warned = failure.Kind(-1), failure.Kind(-2)
	long := strings.Repeat
	for parameter, table := range map[string]map[string]failure.Kind{
		"bucket": {
			"abc": taken, "my-bucket.2": taken, long("b", 63): taken, "0ab": taken,
			"my_bucket": warned, "MyBucket": warned,
			"": failure.Usage, "ab": failure.Usage, long("b", 64): failure.TooLarge, long("*", 64): failure.TooLarge,
			".abc": failure.Usage, "abc.": failure.Usage, "-abc": failure.Usage, "abc-": failure.Usage,
			"a/b": failure.Usage, "a b": failure.Usage, "a:b": failure.Usage, "arn:aws:s3:::abc": failure.Usage,
			"bücket": failure.Usage, "abc\n": failure.Usage, "abc\x00": failure.Usage, "ab\xff": failure.Usage,
		},
		"schema": {
			"a": taken, "Department_A-1": taken, long("s", 128): taken, "-": taken,
			"": failure.Usage, long("s", 129): failure.TooLarge, "a/b": failure.Usage, "a.b": failure.Usage, "..": failure.Usage,
			"a b": failure.Usage, "ä": failure.Usage, "a\n": failure.Usage, "а": failure.Usage, // a Cyrillic one
		},
		"prefix": {
			"in": taken, "in/2024": taken, "in/2024/": taken, "a b/ü/日本": taken, "a,b": warned, "$x": taken, "a//b": taken,
			"...": taken, long("p", 1022): taken,
			"": failure.Usage, "/": failure.Usage, "//": failure.Usage, "/in": failure.Usage, "in//": failure.Usage,
			long("p", 1023): failure.TooLarge, ".": failure.Usage, "a/../b": failure.Usage, "a/./b": failure.Usage, "a/..": failure.Usage,
			" a": failure.Usage, "a ": failure.Usage, "a\tb": failure.Usage, "a\u00a0b": failure.Usage, "a\u200bb": failure.Usage,
			"a\u202eb": failure.Usage, "a\u2028b": failure.Usage, "a\xff": failure.Usage, "\ufeffa": failure.Usage, `a\b`: failure.Usage,
		},
	} {
		for _, evil := range []string{"*", "a*b", "a?b", "${aws:username}", "a${x}", "a$" + "{", `a"b`, "a'b", "a`b", "a\u0000b", "a\nb", "a\u0085b"} {
			table[evil] = failure.Usage
		}
		for value, want := range table {
			template, given := "prefix-upload", values("bucket", "demo", "prefix", "in")
			if parameter == "schema" {
				template, given = "schema-access", values("bucket", "demo", "schema", "a")
			}
			given[parameter] = []string{value}
			_, warnings, err := policy.Render(template, given, policy.Options{})
			switch got := failure.KindOf(err); {
			case (want == taken || want == warned) && err != nil:
				t.Errorf("%s %.40q: %v", parameter, value, err)
			case (want == warned) != (len(warnings) > 0):
				t.Errorf("%s %.40q: warnings %q", parameter, value, warnings)
			case want >= 0 && (err == nil || got != want):
				t.Errorf("%s %.40q: %v (%v), want %v", parameter, value, err, got, want)
			case want >= 0 && (!strings.Contains(err.Error(), parameter) || strings.ContainsAny(err.Error()+failure.HintOf(err), "\n\x00")):
				t.Errorf("%s %.40q: %q does not name it on one line", parameter, value, err)
			}
		}
	}
}

func TestPrefixEndsWithASlash(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"in/2024", "in/2024/"} {
		d := render(t, "prefix-upload", values("bucket", "demo", "prefix", prefix))
		if len(d.Statements) != 1 || cmp.Diff([]string{"demo/in/2024/*"}, d.Statements[0].Resource) != "" {
			t.Errorf("%q: %v", prefix, d.Statements)
		}
	}
}

// TestAllowWildcard: * and ? and a warning, and nothing else.
func TestAllowWildcard(t *testing.T) {
	t.Parallel()
	o := policy.Options{AllowWildcard: true}
	d, warnings, err := policy.Render("schema-access", values("bucket", "team-*", "schema", "dep?_*"), o)
	if err != nil || len(warnings) != 2 || !strings.Contains(strings.Join(warnings, " "), "wildcard") {
		t.Fatalf("%v %q", err, warnings)
	}
	p := parse(t, d.Print())
	if !p.allows("s3:TabularListTables", "team-x/depA_y") || p.allows("s3:TabularListTables", "team-x/dep_y") {
		t.Error("the wildcards are not in the document")
	}
	if _, warnings, err := policy.Render("bucket-read", values("bucket", "*"), o); err != nil || len(warnings) != 1 {
		t.Errorf("every bucket: %v %q", err, warnings)
	}
	for parameter, evil := range map[string][]string{
		"schema": {"${x}", `a*"`, "a*/b", "a*'", "a*\n", "*," + `"`, strings.Repeat("*", 129)},
		"bucket": {"${x}", `a*"`, "a*/b", "*${", strings.Repeat("*", 64)},
	} {
		for _, value := range evil {
			given := values("bucket", "demo", "schema", "a")
			given[parameter] = []string{value}
			if _, _, err := policy.Render("schema-access", given, o); err == nil {
				t.Errorf("%s %q was taken", parameter, value)
			}
		}
	}
	for _, value := range []string{"${x}", `*"`, "*\\", "*\n", "/*", "*/../x"} {
		if _, _, err := policy.Render("prefix-upload", values("bucket", "demo", "prefix", value), o); err == nil {
			t.Errorf("prefix %q was taken", value)
		}
	}
}

// TestNothingIsSmuggled renders with any values. What is taken grants the
// template's actions on resources that hold the value once, and no wildcard but
// the template's own at the end.
func TestNothingIsSmuggled(t *testing.T) {
	t.Parallel()
	tricky := rapid.SampledFrom([]string{"*", "?", "${", "}", `"`, "'", "\\", ",", "/", "..", "\n", "\x00", "\u202e", " ", "a", "Z", "0", "_", "-", "ü"})
	text := rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "plain") {
			return rapid.StringMatching(`[a-z0-9]{3,12}(/[a-z0-9]{1,5})?`).Draw(t, "name")
		}
		return strings.Join(rapid.SliceOfN(tricky, 0, 8).Draw(t, "pieces"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		tmpl := rapid.SampledFrom(policy.Templates()).Draw(t, "template")
		given := map[string][]string{}
		for _, p := range tmpl.Parameters {
			given[p.Name] = []string{text.Draw(t, p.Name)}
		}
		d, _, err := policy.Render(tmpl.Name, given, policy.Options{})
		if err != nil {
			if k := failure.KindOf(err); k != failure.Usage && k != failure.TooLarge {
				t.Fatalf("%v: %v", k, err)
			}
			return
		}
		var back parsed
		if err := json.Unmarshal(d.Print(), &back); err != nil {
			t.Fatal(err)
		}
		for i, s := range back.Statement {
			if s.Effect != "Allow" || cmp.Diff([]string(s.Action), d.Statements[i].Action) != "" || cmp.Diff([]string(s.Resource), d.Statements[i].Resource) != "" {
				t.Fatalf("reads back as %v", s)
			}
			for _, a := range s.Action {
				if strings.ContainsAny(a, "*?") {
					t.Fatalf("action %q", a)
				}
			}
			for _, r := range s.Resource {
				if strings.ContainsAny(strings.TrimSuffix(r, "/*"), "*?\"'\\\n\x00\u202e") || strings.Contains(r, "${") || strings.Contains(r, "/../") {
					t.Fatalf("resource %q", r)
				}
			}
		}
	})
}

func TestPrint(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40)
	d := policy.Document{
		Version: policy.Version, ID: `a "quoted" <name> & more`,
		Statements: []policy.Statement{
			{Effect: policy.Deny, Action: []string{"*"}, Resource: []string{long, long, long}},
		},
	}
	want := `{
  "Version": "2012-10-17",
  "Id": "a \"quoted\" <name> & more",
  "Statement": [
    {
      "Effect": "Deny",
      "Action": ["*"],
      "Resource": [
        "` + long + `",
        "` + long + `",
        "` + long + `"
      ]
    }
  ]
}
`
	if diff := cmp.Diff(want, string(d.Print())); diff != "" {
		t.Error(diff)
	}
	empty := policy.Document{Version: policy.Version}
	if got := string(empty.Print()); got != "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": []\n}\n" {
		t.Errorf("%q", got)
	}
	// As a value in a larger answer it is the same JSON.
	data, err := json.Marshal(map[string]any{"policy": d})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Policy parsed }
	if err := json.Unmarshal(data, &answer); err != nil || cmp.Diff(parse(t, d.Print()), answer.Policy) != "" {
		t.Errorf("%v: %s", err, data)
	}
	for _, line := range strings.Split(string(render(t, "schema-readwrite", values("bucket", strings.Repeat("b", 63), "schema", "a,b,c")).Print()), "\n") {
		if strings.Contains(line, ", ") && len(line) > 100 {
			t.Errorf("a long line: %s", line)
		}
	}
}
