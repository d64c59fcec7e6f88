package settings

import (
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Whatever the file holds, parsing ends with a document or with failure.Config,
// and an edit of it keeps the rest or refuses.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "profiles: {default: {team: t}}", "\ufeffdefault_profile: x\nprofiles:\n  x:\n    vms:\n      address: h # c\n",
		"a: &a [*a]", "? {a: b}\n: c", "%YAML 1.1\n---\n", "profiles:\n\t- x", "--- |\n x\n...\n---\n", "profiles: {x: {team: \"\\u2028\"}}",
		"profiles:\n  default:\n    team: |\n      a\n      b\n    job: >-\n      c\n", "profiles: !!map {x: !!str y}", "\xff\xfep\x00", Starter(),
	} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		doc, err := parse("/c.yaml", []byte(text))
		if err != nil {
			if !failure.Is(err, failure.Config) || !strings.HasPrefix(err.Error(), "/c.yaml:") || strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Fatalf("%q: %q", text, err)
			}
			return
		}
		row, _ := Find("team")
		p, err := row.parse(value)
		if err != nil || value == "" {
			return
		}
		keys := []string{"profiles", "default", "team"}
		data, err := edit("/c.yaml", []byte(text), keys, row.node(p))
		if err != nil {
			if !failure.Is(err, failure.Config) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if !changed("/c.yaml", doc, data, keys, row.node(p)) {
			t.Fatalf("%q became %q", text, data)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"1w2d", "-1.5h", "60", "", "9223372036854775807ns"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Fatalf("%q is %v, which reads as %v, %v", text, d, again, err)
		}
	})
}
