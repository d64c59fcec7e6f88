package vmstest

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	const (
		readDemo  = `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"demo/*"}}`
		denyTop   = `{"Statement":[{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::demo/top/*"}]}`
		notWrite  = `{"Statement":[{"Effect":"Allow","NotAction":["s3:Put*","s3:Delete*"],"NotResource":["demo/secret/*"]}]}`
		wild      = `{"Statement":[{"Effect":"Allow","Action":"S3:GET*","Resource":["d?mo/a*c"]}]}`
		condition = `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"x":"true"}}}]}`
		denyIf    = `{"Statement":[{"Effect":"Deny","Action":"s3:GetObject","Resource":"*","Condition":{"Bool":{"x":"true"}}}]}`
	)
	cases := []struct {
		policies         string
		action, resource string
		want             decision
	}{
		{readDemo, "s3:GetObject", "demo/a", allowed},
		{readDemo, "S3:getobject", "demo/a", allowed},
		{readDemo, "s3:GetObject", "arn:aws:s3:::demo/a/b", allowed},
		{readDemo, "s3:GetObject", "demo", noMatch},
		{readDemo, "s3:GetObject", "demo2/a", noMatch},
		{readDemo, "s3:GetObject", "Demo/a", noMatch},
		{readDemo, "s3:PutObject", "demo/a", noMatch},
		{"", "s3:GetObject", "demo/a", noMatch},
		{readDemo + "\n" + denyTop, "s3:GetObject", "demo/top/x", denied},
		{denyTop + "\n" + readDemo, "s3:GetObject", "demo/top/x", denied},
		{readDemo + "\n" + denyTop, "s3:GetObject", "demo/x", allowed},
		{notWrite, "s3:GetObject", "demo/a", allowed},
		{notWrite, "s3:PutObject", "demo/a", noMatch},
		{notWrite, "s3:GetObject", "demo/secret/a", noMatch},
		{wild, "s3:GetObject", "demo/abc", allowed},
		{wild, "s3:GetObject", "demo/ac", allowed},
		{wild, "s3:GetObject", "demo/abd", noMatch},
		{wild, "s3:GetObject", "dmo/abc", noMatch},
		{wild, "s3:GetObject", "dümo/abc", allowed}, // ? is a character, not a byte
		{condition, "s3:GetObject", "demo/a", noMatch},
		{readDemo + "\n" + denyIf, "s3:GetObject", "demo/a", denied},
	}
	for _, c := range cases {
		var docs []document
		for text := range strings.SplitSeq(c.policies, "\n") {
			if text == "" {
				continue
			}
			doc, err := parse(text)
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, doc)
		}
		if got := decide(docs, c.action, c.resource); got != c.want {
			t.Errorf("%s\n%s on %s: %d, want %d", c.policies, c.action, c.resource, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		``, `{`, `[]`, `{}`, `{"Statement":[]}`,
		`{"Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}`,
		`{"Statement":[{"Effect":"Allow","Resource":"*"}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"*"}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}]}`,
		`{"Statement":[{"Effect":"Allow","Action":[1],"Resource":"*"}]}`,
	} {
		if doc, err := parse(text); err == nil {
			t.Errorf("%s: %+v", text, doc)
		}
	}
}

func TestGlobIsLinear(t *testing.T) {
	if glob(strings.Repeat("a*", 200)+"b", strings.Repeat("a", 20000)) {
		t.Error("matched")
	}
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{{"*", "", true}, {"", "", true}, {"", "a", false}, {"**", "x", true}, {"?", "", false}, {"a*b*c", "aXbXbXc", true}} {
		if glob(c.pattern, c.text) != c.want {
			t.Errorf("%q %q", c.pattern, c.text)
		}
	}
}

func TestRightsOfTheResidents(t *testing.T) {
	s := New(Options{Users: Residents(func(string) string { return "x" })})
	cases := []struct {
		action, resource string
		who              string // those who may
	}{
		{"s3:ListAllMyBuckets", "*", "alice"},
		{"s3:ListBucket", "demo", "alice bob"},
		{"s3:ListBucket", "vastdb", ""},
		{"s3:GetObject", "demo/a/b", "alice bob"},
		{"s3:PutObject", "demo/a", "alice"},
		{"s3:DeleteObject", "demo/a", "alice"},
		{"s3:AbortMultipartUpload", "demo/a", "alice"},
		{"s3:DeleteBucket", "demo", ""},
		{"s3:CreateBucket", "new", ""},
		{"s3:GetObject", "demo2/a", ""},
	}
	for _, c := range cases {
		for _, who := range []string{"alice", "bob", "carol", "dora", "admin", "nobody"} {
			want := strings.Contains(" "+c.who+" ", " "+who+" ")
			if got := s.Allowed(who, c.action, c.resource); got != want {
				t.Errorf("%s %s on %s: %v", who, c.action, c.resource, got)
			}
		}
	}
}

func TestAnUnreadablePolicyGrantsNothing(t *testing.T) {
	s := New(Options{Users: []User{{Name: "u", Policies: []Policy{{"broken", "{"}, {"all", `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}}}}})
	if s.Allowed("u", "s3:GetObject", "b/k") {
		t.Error("granted")
	}
}

func TestGlobAgreesWithARegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab/*?]{0,8}`).Draw(t, "pattern")
		text := rapid.StringMatching(`[ab/ü]{0,10}`).Draw(t, "text")
		expression := strings.NewReplacer("*", ".*", "?", ".").Replace(pattern)
		if want := regexp.MustCompile("^" + expression + "$").MatchString(text); glob(pattern, text) != want {
			t.Fatalf("%q on %q: want %v", pattern, text, want)
		}
	})
}
