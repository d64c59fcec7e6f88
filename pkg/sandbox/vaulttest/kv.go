package vaulttest

import (
	"sort"
	"strings"
	"time"
)

// overhead is what a version weighs beside its data, for the bound on memory.
const overhead = 256

// mount is a KV engine. Version 1 mounts use one, for what they hold.
type mount struct {
	name     string
	version  int
	accessor string
	uuid     string
	keys     map[string]*key
	one      map[string][]byte
}

// key is a secret of a KV v2 mount with all its versions.
type key struct {
	versions         map[int]*entry
	current, oldest  int
	created, updated time.Time
	maxVersions      int
	casRequired      bool
	custom           map[string]string
	updatedBy        *actor
}

// entry is one version. Its data is JSON, or nil once destroyed.
type entry struct {
	data      []byte
	created   time.Time
	deleted   time.Time
	destroyed bool

	createdBy, deletedBy *actor
}

// actor is who did what to a version.
type actor struct {
	Actor     string `json:"actor"`
	ClientID  string `json:"client_id"`
	EntityID  string `json:"entity_id,omitempty"`
	Operation string `json:"operation"`
}

func (t *token) did(operation string) *actor {
	client := t.entity
	if client == "" {
		client = t.accessor
	}
	return &actor{Actor: t.displayName, ClientID: client, EntityID: t.entity, Operation: operation}
}

func newMount(name string, version int) *mount {
	return &mount{
		name: name, version: version, accessor: "kv_" + randomID(4), uuid: uuid(),
		keys: map[string]*key{}, one: map[string][]byte{},
	}
}

func (e *entry) gone() bool { return e.destroyed || !e.deleted.IsZero() }

// add appends a version, drops what is too old, and returns the bytes freed.
func (k *key) add(data []byte, now time.Time, by *actor) (freed int) {
	k.current++
	k.versions[k.current] = &entry{data: data, created: now, createdBy: by}
	k.updated, k.updatedBy = now, by
	if k.created.IsZero() {
		k.created = now
	}
	limit := k.maxVersions
	if limit <= 0 {
		limit = maxVersions
	}
	if k.current-k.oldest < limit {
		return 0
	}
	last := k.current - limit
	for i := k.oldest; i <= last; i++ {
		if e := k.versions[i]; e != nil {
			freed += len(e.data) + overhead
			delete(k.versions, i)
		}
	}
	k.oldest = last + 1
	return freed
}

// children are the names right below a folder, folders with a slash, sorted.
func children[T any](all map[string]T, folder string) []string {
	seen := map[string]bool{}
	for path := range all {
		rest, ok := strings.CutPrefix(path, folder)
		if !ok {
			continue
		}
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			rest = rest[:i+1]
		}
		seen[rest] = true
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
