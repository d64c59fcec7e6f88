package vmstest

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/secret"
)

// key is one S3 access key. It belongs to one user in one tenant.
type key struct {
	id      int
	access  string
	secret  secret.Text
	owner   *user
	tenant  int
	created time.Time
	enabled bool
}

// ListedKey is a key as lists show it. Field names of GET /s3keys/ are
// documented nowhere; these are the ones of the other key lists.
type ListedKey struct {
	AccessKey    string `json:"access_key"`
	CreationTime string `json:"creation_time"`
	Enabled      bool   `json:"enabled"`
	UID          int    `json:"uid"`
}

// limitMessage is how VMS refuses a third key.
const limitMessage = "A user cannot have more than two access keys"

// newKey makes a key for u; callers hold the lock.
func (c *call) newKey(u *user, tenant int) (any, error) {
	if len(c.s.keysOf(u)) >= maxKeys {
		return nil, refuse(c.s.o.KeyLimitStatus, limitMessage)
	}
	access, err := c.s.randomAccessKey()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 30) // 40 characters of base64
	if _, err := io.ReadFull(c.s.o.Rand, raw); err != nil {
		return nil, err
	}
	text := base64.StdEncoding.EncodeToString(raw)
	c.s.keys[access] = &key{
		id: c.s.id(), access: access, secret: secret.FromString(text),
		owner: u, tenant: tenant, created: c.now, enabled: true,
	}
	return map[string]any{"access_key": access, "secret_key": text}, nil
}

// randomAccessKey returns 20 characters of A-Z and 0-9 that no key has yet.
func (s *Server) randomAccessKey() (string, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for {
		text := make([]byte, 0, 20)
		for len(text) < cap(text) {
			var b [1]byte
			if _, err := io.ReadFull(s.o.Rand, b[:]); err != nil {
				return "", err
			}
			if int(b[0]) < 256/len(alphabet)*len(alphabet) { // no character likelier than another
				text = append(text, alphabet[int(b[0])%len(alphabet)])
			}
		}
		if _, taken := s.keys[string(text)]; !taken {
			return string(text), nil
		}
	}
}

// keysOf returns the keys of u, oldest first.
func (s *Server) keysOf(u *user) []*key {
	var list []*key
	for _, k := range s.keys {
		if k.owner == u {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b *key) int { return a.id - b.id })
	return list
}

// ownKey finds a key of u; another user's key is not found either.
func (s *Server) ownKey(u *user, access string) (*key, error) {
	if k, ok := s.keys[access]; ok && k.owner == u {
		return k, nil
	}
	return nil, errNotFound
}

func (c *call) dropKey(u *user, access string) (int, any, error) {
	k, err := c.s.ownKey(u, access)
	if err != nil {
		return 0, nil, err
	}
	delete(c.s.keys, k.access)
	return http.StatusNoContent, nil, nil
}

func (c *call) switchKey(u *user, access string, enabled bool) (int, any, error) {
	k, err := c.s.ownKey(u, access)
	if err != nil {
		return 0, nil, err
	}
	k.enabled = enabled
	return http.StatusNoContent, nil, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// postS3Keys makes a key for the caller. Today's VMS answers 201; the one of
// 2024 is remembered with 200.
func (c *call) postS3Keys() (int, any, error) {
	pair, err := c.newKey(c.user, c.tenant)
	return http.StatusCreated, pair, err
}

func (c *call) getS3Keys() (int, any, error) {
	listed := []ListedKey{}
	for _, k := range c.s.keysOf(c.user) {
		if k.tenant == c.tenant {
			listed = append(listed, ListedKey{
				AccessKey: k.access, CreationTime: stamp(k.created), Enabled: k.enabled, UID: c.user.uid,
			})
		}
	}
	if shape := c.s.o.KeyListShape; shape != nil {
		return http.StatusOK, shape(listed), nil
	}
	var items []any
	for _, k := range listed {
		items = append(items, k)
	}
	return c.list(items, true)
}

func (c *call) deleteS3Key() (int, any, error) { return c.dropKey(c.user, c.param) }

func (c *call) deleteS3KeyByBody() (int, any, error) {
	var in keyRequest
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	if in.AccessKey == nil {
		return 0, nil, required("access_key")
	}
	return c.dropKey(c.user, *in.AccessKey)
}

// keyRequest is the body of all calls about somebody's key.
type keyRequest struct {
	AccessKey *string `json:"access_key"`
	Enabled   *bool   `json:"enabled"`
	TenantID  *int    `json:"tenant_id"`
	identity
}

// tenantOr checks a tenant_id and returns it, or the caller's tenant.
func (c *call) tenantOr(id *int) (int, error) {
	switch {
	case id == nil:
		return c.tenant, nil
	case *id < 1 || *id > len(c.s.o.Tenants):
		return 0, badField("tenant_id", "Tenant %d does not exist.", *id)
	}
	return *id, nil
}

// forKey reads a keyRequest and finds the user by it.
func (c *call) forKey(find func(keyRequest) (*user, error), needs ...string) (keyRequest, *user, error) {
	var in keyRequest
	if err := c.decode(&in); err != nil {
		return in, nil, err
	}
	u, err := find(in)
	if err != nil {
		return in, nil, err
	}
	for _, field := range needs {
		if field == "access_key" && in.AccessKey == nil || field == "enabled" && in.Enabled == nil {
			return in, nil, required(field)
		}
	}
	return in, u, nil
}

func (c *call) nonLocal(in keyRequest) (*user, error) { return c.find(in.identity, Directory) }
func (c *call) local(keyRequest) (*user, error)       { return c.localUser() }

func (c *call) postNonLocalKeys() (int, any, error) { return c.makeKey(c.nonLocal) }
func (c *call) postAccessKeys() (int, any, error)   { return c.makeKey(c.local) }

func (c *call) patchNonLocalKeys() (int, any, error) { return c.changeKey(c.nonLocal) }
func (c *call) patchAccessKeys() (int, any, error)   { return c.changeKey(c.local) }

func (c *call) deleteNonLocalKeys() (int, any, error) { return c.removeKey(c.nonLocal) }
func (c *call) deleteAccessKeys() (int, any, error)   { return c.removeKey(c.local) }

func (c *call) makeKey(find func(keyRequest) (*user, error)) (int, any, error) {
	in, u, err := c.forKey(find)
	if err != nil {
		return 0, nil, err
	}
	tenant, err := c.tenantOr(in.TenantID)
	if err != nil {
		return 0, nil, err
	}
	pair, err := c.newKey(u, tenant)
	return http.StatusOK, pair, err // 200 here, 201 for one's own
}

func (c *call) changeKey(find func(keyRequest) (*user, error)) (int, any, error) {
	in, u, err := c.forKey(find, "access_key", "enabled")
	if err != nil {
		return 0, nil, err
	}
	return c.switchKey(u, *in.AccessKey, *in.Enabled)
}

func (c *call) removeKey(find func(keyRequest) (*user, error)) (int, any, error) {
	in, u, err := c.forKey(find, "access_key")
	if err != nil {
		return 0, nil, err
	}
	return c.dropKey(u, *in.AccessKey)
}

// getLocalS3Keys lists the keys of local users.
func (c *call) getLocalS3Keys() (int, any, error) {
	userID, err := c.queryInt("user_id")
	if err != nil {
		return 0, nil, err
	}
	tenantID, err := c.queryInt("tenant_id")
	if err != nil {
		return 0, nil, err
	}
	var list []*key
	for _, k := range c.s.keys {
		if k.owner.kind == Local && (userID == 0 || k.owner.id == userID) && (tenantID == 0 || k.tenant == tenantID) {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b *key) int { return strings.Compare(a.access, b.access) })
	var items []any
	for _, k := range list {
		items = append(items, map[string]any{
			"id": k.id, "access_key": k.access, "creation_time": stamp(k.created), "enabled": k.enabled,
			"tenant": map[string]any{"id": k.tenant, "name": c.s.o.Tenants[k.tenant-1]},
			"user":   map[string]any{"id": k.owner.id, "name": k.owner.name},
		})
	}
	return c.list(items, false)
}
