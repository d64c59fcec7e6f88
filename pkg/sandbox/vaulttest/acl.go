package vaulttest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// rules are a policy: what may be done at which paths.
type rules map[string][]string

// builtIn are the policies that a server starts with; root needs no rules.
func builtIn() map[string]rules {
	own := func(may ...string) rules { return rules{"secret/*": may, "valetkey/*": may} }
	return map[string]rules{
		"default": {
			"auth/token/lookup-self": {"read"}, "auth/token/renew-self": {"update"}, "auth/token/revoke-self": {"update"},
			"sys/capabilities-self": {"update"},
		},
		"valetkey":   own("create", "read", "update", "patch", "delete", "list"),
		readerPolicy: own("read", "list"),
	}
}

// capabilities are what the token may do at a path, sorted; "root" is
// everything, "deny" nothing.
func (s *Server) capabilities(t *token, path string) []string {
	if slices.Contains(t.policies, rootPolicy) {
		return []string{rootPolicy}
	}
	best, found := "", map[string]bool{}
	for _, name := range t.policies {
		for pattern, may := range s.policies[name] {
			if !covers(pattern, path) || best != "" && pattern != best && !closer(pattern, best) {
				continue
			}
			if pattern != best {
				best = pattern
				clear(found) // only the closest pattern counts
			}
			for _, c := range may {
				found[c] = true
			}
		}
	}
	if len(found) == 0 || found["deny"] {
		return []string{"deny"}
	}
	return slices.Sorted(maps.Keys(found))
}

// covers says whether a pattern of a policy takes the path: + is one whole
// segment, * at the end is anything.
func covers(pattern, path string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	want, have := strings.Split(prefix, "/"), strings.Split(path, "/")
	if len(have) < len(want) || !open && len(have) != len(want) {
		return false
	}
	for i, segment := range want {
		last := open && i == len(want)-1
		switch {
		case last && strings.HasPrefix(strings.Join(have[i:], "/"), segment):
		case !last && (segment == "+" || segment == have[i]):
		default:
			return false
		}
	}
	return true
}

// closer says whether the first of two patterns is the closer one, by Vault's
// order of precedence.
func closer(a, b string) bool {
	wild := func(p string) int {
		if i := strings.IndexAny(p, "+*"); i >= 0 {
			return i
		}
		return len(p) + 1<<20
	}
	globs := func(p string) bool { return strings.HasSuffix(p, "*") }
	pluses := func(p string) int { return strings.Count(p, "+") }
	switch {
	case wild(a) != wild(b):
		return wild(a) > wild(b)
	case globs(a) != globs(b):
		return globs(b)
	case pluses(a) != pluses(b):
		return pluses(a) < pluses(b)
	case len(a) != len(b):
		return len(a) > len(b)
	}
	return a > b
}

// may says whether the token's policies allow the request.
func (s *Server) may(t *token, q *request) bool {
	need := map[string]string{
		http.MethodGet: "read", http.MethodHead: "read", http.MethodDelete: "delete", "LIST": "list", http.MethodPatch: "patch",
	}[q.method]
	if q.method == http.MethodPost {
		need = "update"
		if s.creates(q.path) {
			need = "create"
		}
	}
	paths := []string{q.path}
	if q.method == "LIST" {
		paths = append(paths, strings.TrimSuffix(q.path, "/")) // a rule may leave the slash out
	}
	for _, path := range paths {
		if have := s.capabilities(t, path); have[0] == rootPolicy || slices.Contains(have, need) {
			return true
		}
	}
	return false
}

// creates says whether a write makes something new, for which another
// capability is needed. KV tells it of its secrets.
func (s *Server) creates(path string) bool {
	for name, m := range s.mounts {
		rest, ok := strings.CutPrefix(path, name+"/")
		if !ok {
			continue
		}
		if m.version == 1 {
			return m.one[rest] == nil
		}
		for _, area := range []string{"data/", "metadata/"} {
			if secret, ok := strings.CutPrefix(rest, area); ok {
				k := m.keys[secret]
				return k == nil || area == "data/" && k.versions[k.current] == nil
			}
		}
	}
	return false
}

// reaches says whether the token has any right in the mount.
func (s *Server) reaches(t *token, mount string) bool {
	for _, name := range t.policies {
		if name == rootPolicy {
			return true
		}
		for pattern, may := range s.policies[name] {
			prefix, open := strings.CutSuffix(pattern, "*")
			within := strings.HasPrefix(pattern, mount+"/") || open && strings.HasPrefix(mount+"/", prefix)
			if within && !slices.Contains(may, "deny") {
				return true
			}
		}
	}
	return false
}

func (s *Server) capabilitiesSelf(_ context.Context, q *request) reply {
	var paths []string
	for _, member := range []string{"paths", "path"} {
		switch v := q.body[member].(type) {
		case []any:
			for _, p := range v {
				paths = append(paths, fmt.Sprint(p))
			}
		case string:
			paths = append(paths, strings.Split(v, ",")...)
		}
	}
	if len(paths) == 0 {
		return fail(http.StatusBadRequest, "paths must be supplied")
	}
	data := map[string]any{}
	for _, p := range paths {
		data[p] = s.capabilities(q.caller, strings.TrimPrefix(p, "/"))
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	return reply{data: data, top: true, mountType: "system"}
}

func (s *Server) writePolicy(_ context.Context, q *request) reply {
	name := strings.ToLower(q.rest)
	if name == rootPolicy {
		return fail(http.StatusBadRequest, `cannot update "root" policy`)
	}
	text := q.text("policy")
	if text == "" {
		return fail(http.StatusBadRequest, `'policy' parameter not supplied or empty`)
	}
	policy, err := parsePolicy(text)
	if err != nil {
		return fail(http.StatusBadRequest, "failed to parse policy: "+err.Error())
	}
	s.policies[name] = policy
	return done()
}

var (
	policyComment = regexp.MustCompile(`(?m)^\s*(#|//).*$`)
	policyRule    = regexp.MustCompile(`^\s*path\s+"([^"\\]+)"\s*\{\s*capabilities\s*=\s*\[([^\]]*)\]\s*\}`)
	policyWord    = regexp.MustCompile(`^"(create|read|update|patch|delete|list|sudo|deny)"$`)
)

// parsePolicy reads what the sandbox plays of Vault's policy language: paths
// and their capabilities.
func parsePolicy(text string) (rules, error) {
	policy := rules{}
	rest := policyComment.ReplaceAllString(text, "")
	for strings.TrimSpace(rest) != "" {
		m := policyRule.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("the sandbox plays path and capabilities alone, not %.40q", strings.TrimSpace(rest))
		}
		path := strings.TrimPrefix(m[1], "/")
		if strings.Contains(path, "+*") {
			return nil, fmt.Errorf("path %q: invalid use of wildcards ('+*' is forbidden)", path)
		}
		if strings.Contains(path, "{{") {
			return nil, fmt.Errorf("the sandbox does not play templated policies")
		}
		for word := range strings.SplitSeq(m[2], ",") {
			word = strings.TrimSpace(word)
			if !policyWord.MatchString(word) {
				return nil, fmt.Errorf("path %q: invalid capability %s", path, word)
			}
			policy[path] = append(policy[path], strings.Trim(word, `"`))
		}
		rest = rest[len(m[0]):]
	}
	return policy, nil
}
