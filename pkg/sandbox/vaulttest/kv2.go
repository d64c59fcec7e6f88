package vaulttest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// meta is the metadata of one version, as reads and writes answer it.
func (k *key) meta(n int) map[string]any {
	e := k.versions[n]
	return map[string]any{
		"version": n, "created_time": stamp(e.created), "deletion_time": stamp(e.deleted),
		"destroyed": e.destroyed, "custom_metadata": k.custom,
	}
}

func (s *Server) kvRead(_ context.Context, q *request) reply {
	k := q.mount.keys[q.rest]
	n := 0
	if v := q.header("version"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			return fail(http.StatusBadRequest, fmt.Sprintf("Field validation failed: error converting input for field \"version\": "+
				"cannot parse '' as int: strconv.ParseInt: parsing %q: invalid syntax", v))
		}
	}
	if k == nil {
		return absent()
	}
	if n <= 0 {
		n = k.current
	}
	e := k.versions[n]
	if e == nil {
		return absent()
	}
	answer := reply{data: map[string]any{"data": nil, "metadata": k.meta(n)}, mountType: "kv"}
	if e.gone() {
		answer.status, answer.mountType = http.StatusNotFound, ""
		return answer
	}
	// The real engine reads what it stored into floats: a number beyond 2^53
	// comes back rounded.
	var data map[string]any
	if err := json.Unmarshal(e.data, &data); err != nil {
		return fail(http.StatusInternalServerError, "1 error occurred:\n\t* "+err.Error()+"\n\n")
	}
	answer.data = map[string]any{"data": data, "metadata": k.meta(n)}
	return answer
}

func (s *Server) kvWrite(_ context.Context, q *request) reply {
	raw, ok := q.body["data"]
	if !ok {
		return fail(http.StatusBadRequest, "no data provided")
	}
	members, ok := raw.(map[string]any)
	if !ok && raw != nil {
		return fail(http.StatusBadRequest, `error converting input for field "data": '' expected a map, got 'string'`)
	}
	data, err := json.Marshal(members)
	if err != nil {
		return fail(http.StatusInternalServerError, "1 error occurred:\n\t* "+err.Error()+"\n\n")
	}
	k := q.mount.keys[q.rest]
	if k == nil {
		k = &key{versions: map[int]*entry{}}
	}
	if message := k.check(q.body["options"]); message != "" {
		return fail(http.StatusBadRequest, message)
	}
	weight := len(data) + overhead
	if s.total+weight+len(q.rest) > s.limit {
		return fail(http.StatusInternalServerError, fmt.Sprintf(
			"1 error occurred:\n\t* put failed due to value being too large; got %d bytes, max: %d bytes\n\n", weight, max(0, s.limit-s.total)))
	}
	if q.mount.keys[q.rest] == nil {
		q.mount.keys[q.rest] = k
		s.total += len(q.rest)
	}
	operation := "update"
	if k.current == 0 {
		operation = "create"
	}
	s.total += weight - k.add(data, s.now(), q.caller.did(operation))
	return reply{data: k.meta(k.current), mountType: "kv"}
}

// check compares the cas option with the current version. It returns what
// Vault says when they differ, or nothing.
func (k *key) check(options any) string {
	members, _ := options.(map[string]any)
	cas, given := members["cas"]
	if !given {
		if k.casRequired {
			return "check-and-set parameter required for this call"
		}
		return ""
	}
	var text string
	switch v := cas.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	case nil:
		text = "0"
	case bool:
		text = map[bool]string{true: "1", false: "0"}[v]
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return "error parsing check-and-set parameter"
	}
	if n != k.current {
		return "check-and-set parameter did not match the current version"
	}
	return ""
}

func (s *Server) kvDelete(_ context.Context, q *request) reply {
	if k := q.mount.keys[q.rest]; k != nil {
		if e := k.versions[k.current]; e != nil && !e.gone() {
			e.deleted, e.deletedBy = s.now(), q.caller.did("delete")
			k.updatedBy = e.deletedBy
		}
	}
	return done()
}

func (s *Server) kvDeleteVersions(_ context.Context, q *request) reply {
	return s.each(q, "No version number provided", func(e *entry) {
		if !e.gone() {
			e.deleted, e.deletedBy = s.now(), q.caller.did("update")
		}
	})
}

func (s *Server) kvUndelete(_ context.Context, q *request) reply {
	return s.each(q, "No version number provided", func(e *entry) { e.deleted, e.deletedBy = time.Time{}, nil })
}

func (s *Server) kvDestroy(_ context.Context, q *request) reply {
	return s.each(q, "no version number provided", func(e *entry) {
		s.total -= len(e.data)
		e.destroyed, e.data = true, nil
	})
}

// each calls do for every named version that is there and not destroyed.
func (s *Server) each(q *request, none string, do func(*entry)) reply {
	numbers, err := versions(q.body["versions"])
	if err != nil {
		return fail(http.StatusBadRequest, `Field validation failed: error converting input for field "versions": `+err.Error())
	}
	if len(numbers) == 0 {
		return fail(http.StatusBadRequest, none)
	}
	if k := q.mount.keys[q.rest]; k != nil {
		for _, n := range numbers {
			if e := k.versions[n]; e != nil && !e.destroyed {
				do(e)
			}
		}
	}
	return done()
}

// versions reads a list of numbers as Vault takes it: [1,2], "1,2" or 1.
func versions(v any) ([]int, error) {
	var parts []string
	switch v := v.(type) {
	case nil:
	case json.Number:
		parts = []string{v.String()}
	case string:
		parts = strings.Split(v, ",")
	case []any:
		for _, item := range v {
			parts = append(parts, fmt.Sprint(item))
		}
	default:
		return nil, fmt.Errorf("expected a list of numbers")
	}
	var numbers []int
	for _, part := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q is no number", part)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

func (s *Server) kvList(_ context.Context, q *request) reply {
	names := children(q.mount.keys, q.rest)
	if len(names) == 0 {
		return absent()
	}
	return reply{data: map[string]any{"keys": names}, mountType: "kv"}
}

func (s *Server) kvMetadata(_ context.Context, q *request) reply {
	k := q.mount.keys[q.rest]
	if k == nil {
		return absent()
	}
	all := map[string]any{}
	for n, e := range k.versions {
		all[strconv.Itoa(n)] = map[string]any{
			"created_time": stamp(e.created), "deletion_time": stamp(e.deleted), "destroyed": e.destroyed,
			"created_by": e.createdBy, "deleted_by": e.deletedBy,
		}
	}
	return reply{mountType: "kv", data: map[string]any{
		"versions": all, "current_version": k.current, "oldest_version": k.oldest,
		"created_time": stamp(k.created), "updated_time": stamp(k.updated), "max_versions": k.maxVersions,
		"cas_required": k.casRequired, "delete_version_after": "0s", "custom_metadata": k.custom, "last_updated_by": k.updatedBy,
	}}
}

func (s *Server) kvWriteMetadata(_ context.Context, q *request) reply {
	maxV, hasMax := q.body["max_versions"].(json.Number)
	cas, hasCAS := q.body["cas_required"].(bool)
	custom, hasCustom := q.body["custom_metadata"].(map[string]any)
	if q.body["delete_version_after"] != nil {
		return fail(http.StatusBadRequest, "the sandbox does not play delete_version_after")
	}
	if !hasMax && !hasCAS && !hasCustom {
		return done()
	}
	limit := 0
	if hasMax {
		n, err := strconv.Atoi(maxV.String())
		if err != nil || n < 0 {
			return fail(http.StatusBadRequest, `Field validation failed: error converting input for field "max_versions"`)
		}
		limit = n
	}
	values, problem := customMetadata(custom)
	if problem != "" {
		return fail(http.StatusBadRequest, "1 error occurred:\n\t* custom_metadata validation failed: "+problem+"\n\n")
	}
	k := q.mount.keys[q.rest]
	if k == nil {
		now := s.now()
		k = &key{versions: map[int]*entry{}, created: now, updated: now}
		q.mount.keys[q.rest] = k
		s.total += len(q.rest)
	}
	if hasMax {
		k.maxVersions = limit
	}
	if hasCAS {
		k.casRequired = cas
	}
	if hasCustom {
		k.custom = values
	}
	return done()
}

// customMetadata checks the limits of KV v2: 64 keys of 128 bytes, values of 512.
func customMetadata(raw map[string]any) (map[string]string, string) {
	if len(raw) > 64 {
		return nil, fmt.Sprintf("payload must contain at most 64 keys, provided %d", len(raw))
	}
	values := map[string]string{}
	for name, v := range raw {
		value, ok := v.(string)
		if !ok {
			value = fmt.Sprint(v)
		}
		switch {
		case name == "" || len(name) > 128:
			return nil, fmt.Sprintf("length of key %q is %d but must be 0 < len(key) <= 128", name, len(name))
		case value == "" || len(value) > 512:
			return nil, fmt.Sprintf("length of value for key %q is %d but must be 0 < len(value) <= 512", name, len(value))
		case !printable(name):
			return nil, fmt.Sprintf("key %q (%s) contains unprintable characters", name, name)
		case !printable(value):
			return nil, fmt.Sprintf("value for key %q contains unprintable characters", name)
		}
		values[name] = value
	}
	return values, ""
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func (s *Server) kvDeleteMetadata(_ context.Context, q *request) reply {
	if k := q.mount.keys[q.rest]; k != nil {
		s.total -= len(q.rest)
		for _, e := range k.versions {
			s.total -= len(e.data) + overhead
		}
		delete(q.mount.keys, q.rest)
	}
	return done()
}
