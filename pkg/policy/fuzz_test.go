package policy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/policy"
)

// FuzzRender gives every template hostile values. None may panic, and a document
// that comes of them is the one of harmless values with the names replaced in its
// resources: same statements, same actions, nothing beside it.
func FuzzRender(f *testing.F) {
	for _, s := range [][2]string{
		{"demo", "in/2024"}, {"vastdbsec", "department_a"}, {"*", "?"}, {`a"]}`, `b","*`}, {"${aws:username}", "${"},
		{"demo/*", "../x"}, {"arn:aws:s3:::demo", "\xff\x00"}, {"abc\n", "\u202e"}, {"a,b,c", ",,"}, {"", ""}, {"...", "/"},
		{strings.Repeat("b", 64), strings.Repeat("p/", 600)},
	} {
		f.Add("schema-access", s[0], s[1], false)
		f.Add("schema-xaccess", s[0], s[1], true)
	}
	f.Fuzz(func(t *testing.T, other, bucket, below string, wild bool) {
		if _, _, err := policy.Render(other, values(other, bucket), policy.Options{}); err == nil {
			t.Fatalf("%q took itself as a parameter", other)
		}
		for _, tmpl := range policy.Templates() {
			plain, given := values("bucket", "BUCKET"), values("bucket", bucket)
			if len(tmpl.Parameters) > 1 {
				name := tmpl.Parameters[1].Name
				plain[name], given[name] = []string{"BELOW"}, []string{below}
			}
			d, _, err := policy.Render(tmpl.Name, given, policy.Options{AllowWildcard: wild})
			if err != nil {
				if text := err.Error() + failure.HintOf(err); strings.ContainsAny(text, "\n\r\x00\x1b\u202e") || !utf8.ValidString(text) {
					t.Fatalf("%s: %q", tmpl.Name, text)
				}
				continue
			}
			if strings.Contains(bucket, ",") || tmpl.Name != "prefix-upload" && strings.Contains(below, ",") {
				continue // several values, which TestManyValues is about
			}
			template, _, err := policy.Render(tmpl.Name, plain, policy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(below, "/")
			for _, s := range template.Statements {
				for i, r := range s.Resource {
					root, rest, _ := strings.Cut(r, "/")
					s.Resource[i] = strings.TrimSuffix(strings.Replace(root, "BUCKET", bucket, 1)+"/"+strings.Replace(rest, "BELOW", name, 1), "/")
				}
			}
			if diff := cmp.Diff(template, d); diff != "" {
				t.Fatalf("%s -template +rendered\n%s", tmpl.Name, diff)
			}
			var back, want parsed
			compact, err := json.Marshal(d)
			if err != nil || json.Unmarshal(compact, &back) != nil || json.Unmarshal(d.Print(), &want) != nil {
				t.Fatalf("%v: %s", err, d.Print())
			}
			if diff := cmp.Diff(want, back); diff != "" {
				t.Fatal(diff)
			}
			for i, s := range back.Statement {
				if s.Effect != "Allow" || cmp.Diff(d.Statements[i].Resource, []string(s.Resource)) != "" {
					t.Fatalf("%s reads back as %v", tmpl.Name, s)
				}
			}
		}
	})
}
