package policy_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/policy"
)

// The tests judge documents by this small evaluator, from the printed bytes alone.

type oneOrMany []string

func (l *oneOrMany) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		*l = make(oneOrMany, 1)
		return json.Unmarshal(data, &(*l)[0])
	}
	return json.Unmarshal(data, (*[]string)(l))
}

type parsed struct {
	Version   string
	Statement []struct {
		Sid, Effect      string
		Action, Resource oneOrMany
	}
}

func parse(t testing.TB, data []byte) parsed {
	t.Helper()
	var p parsed
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	return p
}

// glob matches as a regular expression: * is any run, ? one character.
func glob(pattern, text string, flags string) bool {
	expression := regexp.QuoteMeta(pattern)
	expression = strings.ReplaceAll(strings.ReplaceAll(expression, `\*`, `.*`), `\?`, `.`)
	return regexp.MustCompile(`^(?s` + flags + `:` + expression + `)$`).MatchString(text)
}

func (p parsed) allows(action, resource string) bool {
	for _, s := range p.Statement {
		for _, a := range s.Action {
			for _, r := range s.Resource {
				if s.Effect == "Allow" && glob(a, action, "i") && glob(r, resource, "") {
					return true
				}
			}
		}
	}
	return false
}

// triples are what a document says, whatever its statements look like.
func (p parsed) triples() map[string]bool {
	set := map[string]bool{}
	for _, s := range p.Statement {
		for _, a := range s.Action {
			for _, r := range s.Resource {
				set[s.Effect+" "+a+" "+r] = true
			}
		}
	}
	return set
}

func render(t testing.TB, template string, given map[string][]string) policy.Document {
	t.Helper()
	d, warnings, err := policy.Render(template, given, policy.Options{})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%s: %v, warnings %q", template, err, warnings)
	}
	return d
}
