package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// History is what a KV v2 mount knows of the versions at a path.
type History struct {
	Current  int       // the newest version's number; 0 where nothing was ever written
	Versions []Version // those still kept, the oldest first
}

// Version is one version of a secret.
type Version struct {
	Number    int
	Created   time.Time
	Deleted   time.Time // when it was or will be deleted; zero is never. Its data can be brought back.
	Destroyed bool      // its data is gone for good
}

// SecretHistory reads which versions there are at a path. What is not there has
// an empty history; errors are those of [Client.ReadSecret].
func (c *Client) SecretHistory(ctx context.Context, mount, path string) (History, error) {
	q, err := kvCall(http.MethodGet, mount, "metadata", path)
	if err != nil {
		return History{}, err
	}
	q.doing = "read the versions of secret " + q.path
	a, err := c.do(ctx, q)
	if err != nil {
		return History{}, err
	}
	if a.isVault && a.status == http.StatusNotFound && len(a.Errors) == 0 {
		return History{}, c.needKV2(ctx, mount)
	}
	if a.status != http.StatusOK || !a.isVault {
		return History{}, c.refusal(ctx, q, a)
	}
	var m struct {
		Current  int `json:"current_version"`
		Versions map[string]struct {
			Created   moment `json:"created_time"`
			Deleted   moment `json:"deletion_time"`
			Destroyed bool
		}
	}
	if err := json.Unmarshal(a.Data, &m); err != nil || m.Versions == nil {
		return History{}, failure.New(failure.Network, "%s: the answer describes no versions", q.doing)
	}
	h := History{Current: m.Current}
	for text, v := range m.Versions {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return History{}, failure.New(failure.Network, "%s: the answer has a version without a number", q.doing)
		}
		h.Versions = append(h.Versions, Version{Number: n, Created: v.Created.UTC(), Deleted: v.Deleted.UTC(), Destroyed: v.Destroyed})
	}
	slices.SortFunc(h.Versions, func(a, b Version) int { return cmp.Compare(a.Number, b.Number) })
	return h, c.needKV2(ctx, mount)
}

// DestroyVersions wipes the data of versions for good; their numbers stay. A
// version that is not there, or already destroyed, is none to worry about, so
// that it may be repeated. It needs "update" on the mount's destroy/ area.
func (c *Client) DestroyVersions(ctx context.Context, mount, path string, numbers []int) error {
	if len(numbers) == 0 {
		return nil
	}
	q, err := kvCall(http.MethodPost, mount, "destroy", path)
	if err != nil {
		return err
	}
	// A KV v1 mount would store the numbers as a secret.
	if err := c.needKV2(ctx, mount); err != nil {
		return err
	}
	q.doing, q.repeat = "destroy old versions of secret "+q.path, true
	if q.body, err = json.Marshal(map[string][]int{"versions": numbers}); err != nil {
		return failure.Wrap(failure.Internal, err, "encode request")
	}
	a, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	if (a.status != http.StatusNoContent && a.status != http.StatusOK) || !a.isVault {
		return c.refusal(ctx, q, a)
	}
	return nil
}

// Capabilities are what the client's own token may do at each path, in Vault's
// words: create, read, update, delete, list, sudo …; "root" is everything and
// "deny" nothing. A path is written as in a policy, such as "secret/data/a". The
// default policy lets every token ask.
func (c *Client) Capabilities(ctx context.Context, paths ...string) (map[string][]string, error) {
	clean := make([]string, 0, len(paths))
	for _, p := range paths {
		p, err := cleanPath(failure.Internal, "a path", p)
		if err != nil {
			return nil, err
		}
		clean = append(clean, p)
	}
	q := call{method: http.MethodPost, path: "sys/capabilities-self", doing: "ask what the vault token may do", repeat: true}
	var err error
	if q.body, err = json.Marshal(map[string][]string{"paths": clean}); err != nil {
		return nil, failure.Wrap(failure.Internal, err, "encode request")
	}
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK || !a.isVault {
		return nil, c.refusal(ctx, q, a)
	}
	var may map[string][]string
	if err := json.Unmarshal(a.Data, &may); err != nil {
		return nil, failure.New(failure.Network, "%s: the answer names no capabilities", q.doing)
	}
	for _, p := range clean {
		if len(may[p]) == 0 {
			return nil, failure.New(failure.Network, "%s: the answer leaves out %s", q.doing, p)
		}
	}
	return may, nil
}

// CheckKV2 asks, once a mount, whether it is a KV v2 store. Anything else that
// is mounted there is Config. A mount that is not there cannot be told from one
// that the token reaches nothing in: both are Forbidden.
func (c *Client) CheckKV2(ctx context.Context, mount string) error {
	mount, err := cleanPath(failure.Config, "the mount", mount)
	if err != nil {
		return err
	}
	return c.needKV2(ctx, mount)
}

// moment is a time of KV v2, where none is an empty text.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(text []byte) error {
	if s := strings.Trim(string(text), `"`); s == "" || s == "null" {
		m.Time = time.Time{}
		return nil
	}
	return m.Time.UnmarshalJSON(text)
}
