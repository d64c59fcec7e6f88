package vmstest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The evaluator of identity policies. It is the sandbox's own judge, small on
// purpose: it shares nothing with the policy package that it is a witness for.

// decision is the outcome over all policies of a user.
type decision int

const (
	noMatch decision = iota // nothing speaks about it
	allowed
	denied
)

// document is a parsed identity policy.
type document []statement

type statement struct {
	deny                    bool
	actions, notActions     []string
	resources, notResources []string
	conditional             bool
}

// denyAll stands for a policy that cannot be read.
var denyAll = document{{deny: true, actions: []string{"*"}, resources: []string{"*"}}}

// strings reads one string or a list of them.
type stringList []string

func (l *stringList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

type rawStatement struct {
	Effect      string
	Action      stringList
	NotAction   stringList
	Resource    stringList
	NotResource stringList
	Condition   json.RawMessage
}

// statements reads one statement or a list of them.
type statements []rawStatement

func (s *statements) UnmarshalJSON(data []byte) error {
	var one rawStatement
	if json.Unmarshal(data, &one) == nil {
		*s = statements{one}
		return nil
	}
	return json.Unmarshal(data, (*[]rawStatement)(s))
}

// parse reads a policy document.
func parse(text string) (document, error) {
	var raw struct{ Statement statements }
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, err
	}
	if len(raw.Statement) == 0 {
		return nil, fmt.Errorf("no statement")
	}
	doc := make(document, 0, len(raw.Statement))
	for i, s := range raw.Statement {
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return nil, fmt.Errorf("statement %d: effect %q", i+1, s.Effect)
		case (len(s.Action) == 0) == (len(s.NotAction) == 0):
			return nil, fmt.Errorf("statement %d: needs one of Action and NotAction", i+1)
		case (len(s.Resource) == 0) == (len(s.NotResource) == 0):
			return nil, fmt.Errorf("statement %d: needs one of Resource and NotResource", i+1)
		}
		doc = append(doc, statement{
			deny: s.Effect == "Deny", conditional: len(s.Condition) > 0,
			actions: s.Action, notActions: s.NotAction, resources: s.Resource, notResources: s.NotResource,
		})
	}
	return doc, nil
}

// decide judges one action on one resource: a denial anywhere wins, then one
// grant anywhere suffices.
func decide(docs []document, action, resource string) decision {
	outcome := noMatch
	for _, doc := range docs {
		for _, s := range doc {
			switch {
			case !s.covers(action, resource):
			case s.deny:
				return denied
			case !s.conditional: // a condition is not evaluated, so it never widens access
				outcome = allowed
			}
		}
	}
	return outcome
}

func (s statement) covers(action, resource string) bool {
	sameAction := func(pattern string) bool {
		return glob(strings.ToLower(pattern), strings.ToLower(action))
	}
	sameResource := func(pattern string) bool { return glob(bare(pattern), bare(resource)) }
	return in(s.actions, s.notActions, sameAction) && in(s.resources, s.notResources, sameResource)
}

// in reports whether one of list matches or, with no list, none of but does.
func in(list, but []string, match func(string) bool) bool {
	patterns, want := list, true
	if len(list) == 0 {
		patterns, want = but, false
	}
	for _, p := range patterns {
		if match(p) {
			return want
		}
	}
	return !want
}

// bare takes the prefix off: "bucket" and "arn:aws:s3:::bucket" are the same.
func bare(resource string) string { return strings.TrimPrefix(resource, "arn:aws:s3:::") }

// glob matches text as a whole; * is any run of characters, ? exactly one.
func glob(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	star, mark := -1, 0 // the last * and how far it reaches
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
