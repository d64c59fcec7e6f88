package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/typo"
)

// Options change what Render takes.
type Options struct {
	// AllowWildcard lets values hold * and ?, and nothing else that is refused
	// without it. A wildcard also covers slashes.
	AllowWildcard bool
}

// Render makes a document from a built-in template and values by parameter. A
// comma separates several buckets or schemas too; a prefix may hold one. The
// warnings say what is unusual in values that were taken.
//
// An unknown template is NotFound. A parameter that is missing, unknown or given
// too often, and a value that is no proper name, are Usage. A name that is too
// long, and a document over MaxBytes, are TooLarge.
func Render(template string, given map[string][]string, o Options) (Document, []string, error) {
	i := slices.IndexFunc(templates, func(t Template) bool { return t.Name == template })
	if i < 0 {
		return Document{}, nil, unknownTemplate(template)
	}
	t := templates[i]
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(t.Parameters, func(p Parameter) bool { return p.Name == name }) {
			return Document{}, nil, failure.New(failure.Usage, "template %s has no parameter %q", t.Name, shorten(name)).WithHint("it takes %s", t.takes())
		}
	}
	v, warnings := values{}, []string(nil)
	for _, p := range t.Parameters {
		list, more, err := p.take(given[p.Name], t.takes(), o)
		if err != nil {
			return Document{}, nil, failure.Annotate(err, "render policy %s", t.Name)
		}
		v[p.Name], warnings = list, append(warnings, more...)
	}
	d := Document{Version: Version, Statements: t.build(v)}
	if n := len(d.Print()); n > MaxBytes {
		return Document{}, nil, failure.New(failure.TooLarge, "render policy %s: the document has %d bytes; %d are allowed", t.Name, n, MaxBytes).
			WithHint("spread the values over several policies")
	}
	return d, warnings, nil
}

// takes lists the parameters in a sentence.
func (t Template) takes() string {
	var list []string
	for _, p := range t.Parameters {
		list = append(list, p.Name)
	}
	return strings.Join(list, " and ")
}

// take checks the values of a parameter and drops repeated ones. Its hints name all
// the parameters of the template.
func (p Parameter) take(given []string, all string, o Options) (list, warnings []string, err error) {
	if p.commas {
		var split []string
		for _, g := range given {
			split = append(split, strings.Split(g, ",")...)
		}
		given = split
	}
	switch {
	case len(given) == 0:
		return nil, nil, failure.New(failure.Usage, "parameter %s is missing", p.Name).
			WithHint("--set %s=VALUE gives the %s; the template takes %s", p.Name, p.Purpose, all)
	case len(given) > 1 && !p.Many:
		return nil, nil, failure.New(failure.Usage, "parameter %s takes one value, not %d", p.Name, len(given)).
			WithHint("render one policy for each")
	}
	seen := map[string]bool{}
	for _, value := range given {
		checked, err := p.check(value, o)
		if err != nil {
			return nil, nil, err
		}
		if seen[checked[0]] {
			continue
		}
		seen[checked[0]] = true
		list, warnings = append(list, checked[0]), append(warnings, checked[1:]...)
	}
	return list, warnings, nil
}

func unknownTemplate(name string) error {
	err := failure.New(failure.NotFound, "there is no policy template %q", shorten(name))
	var known []string
	for _, t := range templates {
		known = append(known, t.Name)
	}
	if near := typo.Nearest(name, known); near != "" {
		return err.WithHint("did you mean %s?", near)
	}
	return err.WithHint("there are %s", strings.Join(known, ", "))
}

// shorten keeps a message readable.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
