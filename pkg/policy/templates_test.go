package policy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestFieldDocument compares with the policy in VAST Data's field documents,
// "Secure Deployment Pattern": the same grants, whatever the layout.
func TestFieldDocument(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/secure-deployment-pattern.json")
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, data)
	got := parse(t, render(t, "schema-access", map[string][]string{"bucket": {"vastdbsec"}, "schema": {"department_a"}}).Print())
	if diff := cmp.Diff(want.triples(), got.triples()); diff != "" {
		t.Errorf("-field document +ours\n%s", diff)
	}
	if got.Version != want.Version || len(got.Statement) != len(want.Statement) {
		t.Errorf("version %s, %d statements", got.Version, len(got.Statement))
	}
}

// TestTemplates says for each template what it must allow and what it must not.
// A line is "ACTION... on RESOURCE...".
func TestTemplates(t *testing.T) {
	t.Parallel()
	const (
		begin = "TabularBeginTransaction TabularCommitTransaction TabularRollbackTransaction TabularGetTransaction"
		query = "TabularListTables TabularListColumns TabularGetTableStats TabularQueryData TabularListProjections TabularListProjectionColumns TabularGetProjectionStats"
		row   = "TabularInsertRows TabularUpdateRows TabularDeleteRows TabularImportData"
		alter = "TabularAlterTable TabularDropTable TabularAddColumns TabularAlterColumn TabularDropColumns"
		table = "TabularCreateTable " + alter
		never = "TabularCreateSchema TabularAlterSchema TabularDropSchema TabularGetRowColumnSecurity TabularEndUserImpersonation PutBucketPolicy DeleteBucket CreateBucket GetObject PutObject DeleteObject ListBucket"
		multi = "AbortMultipartUpload ListMultipartUploadParts"
		// Neighbors of the bucket dbs and the schema dbs/a whose names begin or end alike.
		others = "dbs/ab dbs/ab/t dbs/b dbs/b/t dbs/A/t dbsx dbsx/a dbsx/a/t xdbs xdbs/a/t DBS DBS/a/t"
	)
	inA, everywhere := "dbs/a dbs/a/ dbs/a/t dbs/a/t/p", "dbs dbs/ dbs/a dbs/a/t "+others
	for _, c := range []struct {
		template      string
		given         map[string][]string
		allow, refuse []string
	}{
		{
			"schema-access", values("bucket", "dbs", "schema", "a"),
			[]string{"HeadBucket TabularListSchemas on dbs", "TabularListTables TabularCreateTable on " + inA, "tabularlisttables on dbs/a"},
			[]string{
				"TabularListTables TabularCreateTable on dbs " + others, "HeadBucket TabularListSchemas on " + inA + " " + others,
				begin + " TabularQueryData TabularListColumns TabularDropTable " + row + " " + never + " on " + everywhere,
			},
		},
		{
			"schema-read", values("bucket", "dbs", "schema", "a"),
			[]string{"HeadBucket TabularListSchemas on dbs", begin + " on dbs dbs/a/t dbs/a/t/p", query + " on " + inA},
			[]string{
				query + " on dbs " + others, begin + " on " + others, row + " " + table + " " + never + " on " + everywhere,
			},
		},
		{
			"schema-readwrite", values("bucket", "dbs", "schema", "a"),
			[]string{"HeadBucket TabularListSchemas on dbs", begin + " on dbs dbs/a/t dbs/a/t/p", query + " " + row + " TabularCreateTable on " + inA},
			[]string{query + " " + row + " " + table + " on dbs " + others, begin + " on " + others, alter + " " + never + " on " + everywhere},
		},
		{
			"bucket-read", values("bucket", "dbs"),
			[]string{"ListBucket HeadBucket GetBucketLocation on dbs", "GetObject on dbs/k dbs/ dbs/a/b"},
			[]string{
				"GetObject on dbs dbsx dbsx/k xdbs/k", "ListBucket HeadBucket on dbs/k dbsx xdbs",
				"PutObject DeleteObject PutBucketPolicy DeleteBucket TabularQueryData ListBucketMultipartUploads " + multi + " on dbs dbs/k dbsx/k",
			},
		},
		{
			"bucket-readwrite", values("bucket", "dbs"),
			[]string{"ListBucket HeadBucket GetBucketLocation ListBucketMultipartUploads on dbs", "GetObject PutObject DeleteObject " + multi + " on dbs/k dbs/a/b"},
			[]string{
				"GetObject PutObject DeleteObject " + multi + " on dbs dbsx dbsx/k xdbs/k DBS/k", "ListBucket HeadBucket on dbsx xdbs",
				"PutBucketPolicy DeleteBucket CreateBucket PutObjectAcl PutBucketAcl TabularQueryData on dbs dbs/k dbsx/k",
			},
		},
		{
			"bucket-write", values("bucket", "dbs"),
			[]string{"HeadBucket ListBucketMultipartUploads on dbs", "PutObject " + multi + " on dbs/k dbs/a/b"},
			[]string{
				"PutObject " + multi + " on dbs dbsx dbsx/k xdbs/k", "HeadBucket on dbsx xdbs",
				"GetObject DeleteObject ListBucket PutBucketPolicy DeleteBucket PutObjectAcl on dbs dbs/k dbsx/k",
			},
		},
		{
			"prefix-upload", values("bucket", "dbs", "prefix", "in/2024"),
			[]string{"PutObject " + multi + " on dbs/in/2024/k dbs/in/2024/a/b dbs/in/2024/"},
			[]string{
				"PutObject " + multi + " on dbs dbs/k dbs/in/k dbs/in/2024 dbs/in/2024x dbs/in/20244/k dbs/IN/2024/k dbsx/in/2024/k xdbs/in/2024/k",
				"GetObject DeleteObject ListBucket HeadBucket ListBucketMultipartUploads PutObjectAcl on dbs dbs/in/2024/k",
			},
		},
	} {
		t.Run(c.template, func(t *testing.T) {
			t.Parallel()
			d := parse(t, render(t, c.template, c.given).Print())
			if d.Version != "2012-10-17" {
				t.Errorf("version %q", d.Version)
			}
			judge := func(lines []string, want bool) {
				for _, line := range lines {
					actions, resources, _ := strings.Cut(line, " on ")
					for _, action := range strings.Fields(actions) {
						for _, resource := range strings.Fields(resources) {
							if got := d.allows("s3:"+action, resource); got != want {
								t.Errorf("%s on %s: allowed %v, want %v", action, resource, got, want)
							}
						}
					}
				}
			}
			judge(c.allow, true)
			judge(c.refuse, false)
		})
	}
}

func values(pairs ...string) map[string][]string {
	m := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = append(m[pairs[i]], pairs[i+1])
	}
	return m
}

// TestWiderTemplates: who may write may do what who may read may.
func TestWiderTemplates(t *testing.T) {
	t.Parallel()
	given := values("bucket", "vastdb", "schema", "a")
	bucket := values("bucket", "demo")
	for _, c := range []struct {
		narrow, wide string
		given        map[string][]string
	}{
		{"schema-access", "schema-readwrite", given}, {"schema-read", "schema-readwrite", given},
		{"bucket-read", "bucket-readwrite", bucket}, {"bucket-write", "bucket-readwrite", bucket},
	} {
		narrow, wide := parse(t, render(t, c.narrow, c.given).Print()).triples(), parse(t, render(t, c.wide, c.given).Print()).triples()
		for grant := range narrow {
			if !wide[grant] {
				t.Errorf("%s grants %s, %s does not", c.narrow, grant, c.wide)
			}
		}
	}
}

// TestManyValues: one document for several schemas grants what one for each does.
func TestManyValues(t *testing.T) {
	t.Parallel()
	for _, template := range []string{"schema-access", "schema-read", "schema-readwrite"} {
		want := map[string]bool{}
		for _, s := range []string{"a", "b", "c"} {
			for grant := range parse(t, render(t, template, values("bucket", "vastdb", "schema", s)).Print()).triples() {
				want[grant] = true
			}
		}
		for _, given := range [][]string{{"a,b,c"}, {"a", "b", "c"}, {"a,b", "c"}, {"a,a", "b,c", "a"}} {
			got := parse(t, render(t, template, map[string][]string{"bucket": {"vastdb"}, "schema": given}).Print())
			if diff := cmp.Diff(want, got.triples()); diff != "" {
				t.Errorf("%s %q\n%s", template, given, diff)
			}
			if last := got.Statement[len(got.Statement)-1]; len(last.Resource)%3 != 0 {
				t.Errorf("%s %q: a repeated value stands there twice: %q", template, given, last.Resource)
			}
		}
	}
	prefixes := parse(t, render(t, "prefix-upload", values("bucket", "demo", "prefix", "in", "prefix", "in/", "prefix", "out/x")).Print())
	if diff := cmp.Diff(oneOrMany{"demo/in/*", "demo/out/x/*"}, prefixes.Statement[0].Resource); diff != "" {
		t.Errorf("prefixes\n%s", diff)
	}
	two := parse(t, render(t, "bucket-read", values("bucket", "one,two")).Print())
	if !two.allows("s3:GetObject", "one/k") || !two.allows("s3:ListBucket", "two") || two.allows("s3:GetObject", "three/k") {
		t.Errorf("%v", two)
	}
}

// TestLayout holds the printed form of each template, byte for byte.
func TestLayout(t *testing.T) {
	t.Parallel()
	all := map[string]string{"bucket": "vastdb", "schema": "department_a", "prefix": "in/2024"}
	for _, tmpl := range policy.Templates() {
		given := map[string][]string{}
		for _, p := range tmpl.Parameters {
			given[p.Name] = []string{all[p.Name]}
			if p.Purpose == "" || strings.Contains(p.Purpose, "\n") {
				t.Errorf("%s %s: %q", tmpl.Name, p.Name, p.Purpose)
			}
		}
		if tmpl.Purpose == "" || strings.Contains(tmpl.Purpose, "\n") {
			t.Errorf("%s: %q", tmpl.Name, tmpl.Purpose)
		}
		got := render(t, tmpl.Name, given).Print()
		file := filepath.Join("testdata", tmpl.Name+".json")
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: -golden +now\n%s", tmpl.Name, diff)
		}
	}
}

// TestNamesOfTemplates: scripts name them, so none goes away.
func TestNamesOfTemplates(t *testing.T) {
	t.Parallel()
	var got []string
	for _, tmpl := range policy.Templates() {
		line := tmpl.Name
		for _, p := range tmpl.Parameters {
			line += " " + p.Name
		}
		got = append(got, line)
	}
	want := []string{
		"schema-access bucket schema", "schema-read bucket schema", "schema-readwrite bucket schema",
		"bucket-read bucket", "bucket-readwrite bucket", "bucket-write bucket", "prefix-upload bucket prefix",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// What a caller does to the list stays with the caller.
	policy.Templates()[0].Parameters[0].Name = "x"
	policy.Templates()[0].Name = "x"
	for _, tmpl := range []string{"schema-readwrite", "bucket-readwrite"} {
		given := values("bucket", "vastdb")
		if tmpl == "schema-readwrite" {
			given = values("bucket", "vastdb", "schema", "a")
		}
		for _, s := range render(t, tmpl, given).Statements {
			s.Action[0], s.Resource[0] = "s3:Evil", "*"
		}
		if again := parse(t, render(t, tmpl, given).Print()); again.allows("s3:Evil", "x") {
			t.Errorf("%s: a document shares its lists with the template", tmpl)
		}
	}
}
