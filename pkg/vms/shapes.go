package vms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/wire"
)

// ErrUnknownShape marks a key list in a shape that is not positively understood.
// Such a list is never taken for an empty one.
var ErrUnknownShape = errors.New("unknown shape")

// maxOwnPages bounds the pages of a list that cannot hold more than a few entries.
const maxOwnPages = 100

// OwnKeys lists the access keys of the caller. What shape VMS answers in is not
// documented ("an object"), so every one that can only mean keys is accepted; any
// other is failure.Network with errors.Is(err, ErrUnknownShape).
func (c *Client) OwnKeys(ctx context.Context) ([]Key, error) {
	what := call{what: "list access keys", method: http.MethodGet, path: []string{"s3keys"}}
	keys := []Key{}
	seen := map[string]bool{}
	for range maxOwnPages {
		a, err := c.do(ctx, what)
		if err != nil {
			return nil, c.noSuchPath(err)
		}
		page, err := parseKeyList(a.body)
		if err != nil {
			return nil, c.unknownShape(err)
		}
		keys = append(keys, page.keys...)
		if page.next == "" {
			if page.count >= 0 && page.count != len(keys) {
				return nil, c.unknownShape(fmt.Errorf("%d of %d entries", len(keys), page.count))
			}
			return keys, nil
		}
		if what.target, err = c.nextPage(what, page.next, seen); err != nil {
			return nil, err
		}
	}
	return nil, c.unknownShape(fmt.Errorf("more than %d pages", maxOwnPages))
}

func (c *Client) unknownShape(err error) error {
	return failure.Wrap(failure.Network, failure.Mark(err, ErrUnknownShape), "list access keys: the answer of %s is not understood, and not taken for an empty list", c.Address()).
		WithHint("issuing keys works without the list; please report the shape named here")
}

// keyPage is one answer of a key list; count is -1 when it says none.
type keyPage struct {
	keys  []Key
	next  string
	count int
}

func parseKeyList(body []byte) (keyPage, error) {
	page := keyPage{count: -1}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil || decoder.More() {
		return page, errors.New("not JSON")
	}
	var err error
	switch v := v.(type) {
	case []any:
		page.keys, err = keysOf(v)
		return page, err
	case map[string]any:
		if results, ok := v["results"]; ok {
			return envelopeOf(page, v, results)
		}
		if list, ok := v["access_keys"].([]any); ok {
			page.keys, err = keysOf(list)
			return page, err
		}
		if _, ok := v["access_key"]; ok {
			// One key that says nothing of itself may be anything: the one that asks, say.
			if !saysEnabled(v) {
				return page, errors.New(describe(v))
			}
			page.keys, err = keysOf([]any{v})
			return page, err
		}
		page.keys, err = keyedByAccessKey(v)
		return page, err
	}
	return page, errors.New(describe(v))
}

func envelopeOf(page keyPage, v map[string]any, results any) (keyPage, error) {
	list, ok := results.([]any)
	if !ok {
		return page, errors.New("results is " + describe(results))
	}
	switch next := v["next"].(type) {
	case nil:
	case string:
		page.next = next
	default:
		return page, errors.New("next is " + describe(next))
	}
	if count, ok := v["count"].(json.Number); ok {
		n, err := count.Int64()
		if err != nil || n < 0 {
			return page, errors.New("count is not a number of entries")
		}
		page.count = int(n)
	}
	var err error
	page.keys, err = keysOf(list)
	return page, err
}

func keysOf(list []any) ([]Key, error) {
	keys := make([]Key, 0, len(list))
	for _, v := range list {
		entry, ok := v.(map[string]any)
		if !ok {
			return nil, errors.New("a list with " + describe(v))
		}
		key, ok := keyOf(entry)
		if !ok {
			return nil, errors.New("a list with " + describe(v))
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// looksLikeKey is stricter than validAccessKey: a member's name is taken for an
// access key only when it can hardly be a word.
var looksLikeKey = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Z0-9]{16,128}|[A-Za-z0-9+/]{20,126}={0,2})$`)
})

// keyedByAccessKey reads {"AK1":{"enabled":true},…}.
func keyedByAccessKey(v map[string]any) ([]Key, error) {
	unknown := errors.New(describe(v))
	if len(v) == 0 {
		return nil, unknown
	}
	var keys []Key
	for _, name := range slices.Sorted(maps.Keys(v)) {
		entry, ok := v[name].(map[string]any)
		if !ok || !looksLikeKey().MatchString(name) {
			return nil, unknown
		}
		if inner, ok := entry["access_key"]; ok && inner != name {
			return nil, unknown
		}
		if !saysEnabled(entry) {
			return nil, unknown
		}
		entry["access_key"] = name
		key, ok := keyOf(entry)
		if !ok {
			return nil, unknown
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// keyOf reads one entry. It must name an access key, and what it says about
// being enabled must be understood.
func keyOf(entry map[string]any) (Key, bool) {
	id, _ := entry["access_key"].(string)
	if !validAccessKey(id) {
		return Key{}, false
	}
	enabled, ok := enabledOf(entry)
	return Key{
		AccessKey: id, Enabled: enabled, Created: createdOf(entry),
		User:   nameOf(entry, "user", "username", "user_name", "name"),
		Tenant: nameOf(entry, "tenant", "tenant_name"), TenantID: tenantIDOf(entry),
	}, ok
}

// stateNames are the members that say whether a key is enabled.
var stateNames = []string{"enabled", "is_enabled", "status", "state"}

func saysEnabled(entry map[string]any) bool {
	return slices.ContainsFunc(stateNames, func(name string) bool { return entry[name] != nil })
}

func tenantIDOf(entry map[string]any) int64 {
	id, ok := entry["tenant_id"].(json.Number)
	if tenant, object := entry["tenant"].(map[string]any); object && !ok {
		switch inner := tenant["id"].(type) {
		case json.Number:
			id = inner
		case float64:
			return int64(inner)
		}
	}
	n, err := id.Int64()
	if err != nil {
		return 0
	}
	return n
}

// enabledOf is true when nothing is said: a key that VMS lists works unless it says otherwise.
func enabledOf(entry map[string]any) (enabled, ok bool) {
	for _, name := range stateNames {
		switch v := entry[name].(type) {
		case nil:
			continue
		case bool:
			return v, true
		case string:
			switch strings.ToLower(v) {
			case "enabled", "active", "true":
				return true, true
			case "disabled", "inactive", "false":
				return false, true
			}
		}
		return false, false
	}
	return true, true
}

// createdOf reads RFC 3339 and seconds since 1970. A time without a zone stays
// unknown: a key's age decides what may be removed, and a guess must not.
func createdOf(entry map[string]any) time.Time {
	for _, name := range []string{"creation_time", "created", "create_time", "created_at"} {
		switch v := entry[name].(type) {
		case string:
			if t, err := time.Parse(time.RFC3339Nano, strings.Replace(v, " ", "T", 1)); err == nil {
				return t.UTC()
			}
		case json.Number:
			// Between 2001 and 2286: neither a count nor milliseconds.
			if n, err := v.Float64(); err == nil && n >= 1e9 && n < 1e10 {
				return time.Unix(0, int64(n*1e9)).UTC()
			}
		}
	}
	return time.Time{}
}

func nameOf(entry map[string]any, names ...string) string {
	for _, name := range names {
		switch v := entry[name].(type) {
		case string:
			return v
		case map[string]any:
			if inner, ok := v["name"].(string); ok {
				return inner
			}
		}
	}
	return ""
}

// describe names the outline of a value, never what is in it.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		if len(v) == 0 {
			return "an object without members"
		}
		names := slices.Sorted(maps.Keys(v))
		return "an object with the members " + wire.Excerpt(strings.Join(names, ", "), 120)
	}
	return "something else"
}

// nextPage checks where a list says that it goes on: only at the same server and
// below the same prefix, and nowhere twice. Credentials go nowhere else.
func (c *Client) nextPage(what call, next string, seen map[string]bool) (*url.URL, error) {
	current := what.target
	if current == nil {
		current = c.url(what)
	}
	target, err := current.Parse(next)
	if err != nil {
		return nil, failure.New(failure.Network, "%s: %s names an unreadable next page", what.what, c.Address())
	}
	host, err := wire.NormalizeAddress(target.Scheme + "://" + target.Host)
	if err != nil || target.User != nil || host.Host != c.base.Host {
		return nil, failure.New(failure.Network, "%s: %s names a next page at %s; it was not followed and no credentials were sent there",
			what.what, c.Address(), wire.Visible(target.Scheme+"://"+target.Host))
	}
	path := target.EscapedPath()
	if !strings.HasPrefix(path, c.prefix) || slices.ContainsFunc(strings.Split(target.Path, "/"), isDots) {
		return nil, failure.New(failure.Network, "%s: %s names a next page outside %s; it was not followed", what.what, c.Address(), c.prefix)
	}
	target.Host, target.Fragment, target.RawFragment = c.base.Host, "", ""
	if seen[target.String()] || target.String() == current.String() {
		return nil, failure.New(failure.Network, "%s: the pages of %s go round in a circle", what.what, c.Address())
	}
	seen[target.String()] = true
	return target, nil
}

func isDots(segment string) bool { return segment == "." || segment == ".." }
