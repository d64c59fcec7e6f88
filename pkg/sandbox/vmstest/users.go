package vmstest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// user is somebody known to the server.
type user struct {
	id        int
	name      string
	password  string
	kind      Kind
	uid       int
	policies  []int
	superuser bool
	createBkt bool
	deleteBkt bool
	gid       int
	gids      []int
}

// Values that stand for the directory and the local provider of the cluster.
const (
	directoryDomain   = "sandbox.test"
	directorySIDs     = "S-1-5-21-3623811015-3361044348-30300820"
	localProviderID   = 1
	localProviderName = "default"
	firstUID          = 10000
)

// policy is an identity policy.
type policy struct {
	name     string
	document document
	enabled  bool
}

// settle adds a user and their policies. A policy that cannot be read denies
// everything: better no access than more than was meant.
func (s *Server) settle(u User) {
	settled := &user{id: s.id(), name: u.Name, password: u.Password, kind: u.Kind}
	settled.uid = firstUID + settled.id
	settled.gid = settled.uid
	for _, p := range u.Policies {
		doc, err := parse(p.Document)
		if err != nil {
			doc = denyAll
		}
		id := s.id()
		s.policies[id] = &policy{name: p.Name, document: doc, enabled: true}
		settled.policies = append(settled.policies, id)
	}
	s.users[u.Name] = settled
	s.byID[settled.id] = settled
}

func (u *user) sid() string       { return fmt.Sprintf("%s-%d", directorySIDs, u.uid) }
func (u *user) vid() int          { return 1000 + u.id }
func (u *user) loginName() string { return u.name + "@" + directoryDomain }

// identity is how the calls about directory users name one.
type identity struct {
	UID       *int    `json:"uid"`
	SID       *string `json:"sid"`
	Username  *string `json:"username"`
	LoginName *string `json:"login_name"`
	VID       *int    `json:"-"`
}

func (i identity) empty() bool { return i == identity{} }

// names reports whether every part that is given fits u.
func (i identity) names(u *user) bool {
	return (i.UID == nil || *i.UID == u.uid) &&
		(i.VID == nil || *i.VID == u.vid()) &&
		(i.SID == nil || u.kind == Directory && *i.SID == u.sid()) &&
		(i.Username == nil || *i.Username == u.name) &&
		(i.LoginName == nil || u.kind == Directory && strings.EqualFold(*i.LoginName, u.loginName()))
}

// find returns the one user of the kinds whom the identity names.
func (c *call) find(i identity, kinds ...Kind) (*user, error) {
	if i.empty() {
		return nil, refuse(http.StatusBadRequest, "One of uid, sid, username or login_name is required.")
	}
	for _, name := range slices.Sorted(maps.Keys(c.s.users)) {
		if u := c.s.users[name]; slices.Contains(kinds, u.kind) && i.names(u) {
			return u, nil
		}
	}
	return nil, errNotFound
}

// localUser returns the local user whose number is in the path.
func (c *call) localUser() (*user, error) {
	id, err := strconv.Atoi(c.param)
	if err != nil {
		return nil, errNotFound
	}
	if u, ok := c.s.byID[id]; ok && u.kind == Local {
		return u, nil
	}
	return nil, errNotFound
}

// localView is a local user as /users/ shows one.
func (c *call) localView(u *user) map[string]any {
	keys := []any{}
	for _, k := range c.s.keysOf(u) {
		keys = append(keys, map[string]any{
			"access_key": k.access, "creation_time": stamp(k.created), "enabled": k.enabled, "tenant_id": k.tenant,
		})
	}
	policies := []any{}
	for _, id := range u.policies {
		policies = append(policies, map[string]any{"id": id, "name": c.s.policies[id].name})
	}
	return map[string]any{
		"id": u.id, "name": u.name, "title": u.name, "local": true, "uid": u.uid, "vid": u.vid(),
		"leading_gid": u.gid, "gids": orEmpty(u.gids), "groups": []any{}, "group_count": len(u.gids),
		"local_provider":      map[string]any{"id": localProviderID, "name": localProviderName},
		"allow_create_bucket": u.createBkt, "allow_delete_bucket": u.deleteBkt, "s3_superuser": u.superuser,
		"s3_policies": policies, "s3_policies_ids": orEmpty(u.policies), "access_keys": keys,
		"password_is_set": u.password != "",
	}
}

// queryView is a user as /users/query/ shows one. Here policies are names.
func (c *call) queryView(u *user) map[string]any {
	keys := []any{}
	for _, k := range c.s.keysOf(u) {
		keys = append(keys, map[string]any{
			"access_key": k.access, "creation_time": stamp(k.created), "enabled": k.enabled, "remote": false,
		})
	}
	policies := []string{}
	for _, id := range u.policies {
		policies = append(policies, c.s.policies[id].name)
	}
	view := map[string]any{
		"name": u.name, "uid": u.uid, "vid": u.vid(), "s3_vid": u.vid(), "object_type": "user",
		"groups": []any{}, "group_count": 0,
		"allow_create_bucket": u.createBkt, "allow_delete_bucket": u.deleteBkt, "s3_superuser": u.superuser,
		"s3_policies": policies, "s3_policies_ids": orEmpty(u.policies), "s3_remote_policies": []any{}, "access_keys": keys,
	}
	if u.kind == Directory {
		view["sid"], view["login_name"] = u.sid(), u.loginName()
		view["origins"] = map[string]any{"uid": "AD", "sid": "AD"}
	}
	return view
}

func orEmpty(list []int) []int {
	if list == nil {
		return []int{}
	}
	return list
}

// getUsers lists the local users; list calls take a field as a filter.
func (c *call) getUsers() (int, any, error) {
	query := c.r.URL.Query()
	var items []any
	for _, id := range slices.Sorted(maps.Keys(c.s.byID)) {
		u := c.s.byID[id]
		if u.kind == Local && (!query.Has("name") || query.Get("name") == u.name) {
			items = append(items, c.localView(u))
		}
	}
	return c.list(items, false)
}

func (c *call) getUser() (int, any, error) {
	u, err := c.localUser()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.localView(u), nil
}

// userRequest is the body of calls that make or change a user.
type userRequest struct {
	Name          *string `json:"name"`
	LocalProvider *int    `json:"local_provider_id"`
	UID           *int    `json:"uid"`
	Password      *string `json:"password"`
	LeadingGID    *int    `json:"leading_gid"`
	GIDs          *[]int  `json:"gids"`
	rights
}

// rights are the parts of a user that decide about buckets.
type rights struct {
	CreateBucket *bool  `json:"allow_create_bucket"`
	DeleteBucket *bool  `json:"allow_delete_bucket"`
	Superuser    *bool  `json:"s3_superuser"`
	PolicyIDs    *[]int `json:"s3_policies_ids"`
}

// check refuses what apply could not do, before anything is changed.
func (c *call) check(in rights) error {
	if in.PolicyIDs == nil {
		return nil
	}
	for _, id := range *in.PolicyIDs {
		if _, ok := c.s.policies[id]; !ok {
			return badField("s3_policies_ids", "Invalid pk \"%d\" - object does not exist.", id)
		}
	}
	return nil
}

func (u *user) apply(in rights) {
	set(&u.createBkt, in.CreateBucket)
	set(&u.deleteBkt, in.DeleteBucket)
	set(&u.superuser, in.Superuser)
	if in.PolicyIDs != nil { // the whole list: there is no verb to add one
		u.policies = slices.Compact(slices.Sorted(slices.Values(*in.PolicyIDs)))
	}
}

func (u *user) applyLocal(in userRequest) {
	set(&u.uid, in.UID)
	set(&u.password, in.Password)
	set(&u.gid, in.LeadingGID)
	set(&u.gids, in.GIDs)
	u.apply(in.rights)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (c *call) postUsers() (int, any, error) {
	var in userRequest
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	switch {
	case in.Name == nil || *in.Name == "":
		return 0, nil, required("name")
	case in.LocalProvider == nil:
		return 0, nil, required("local_provider_id")
	case *in.LocalProvider != localProviderID:
		return 0, nil, badField("local_provider_id", "Invalid pk \"%d\" - object does not exist.", *in.LocalProvider)
	case c.s.users[*in.Name] != nil:
		return 0, nil, badField("name", "A user with this name already exists.")
	case len(c.s.users) >= maxUsers:
		return 0, nil, refuse(http.StatusServiceUnavailable, "No more than %d users can be made.", maxUsers)
	}
	if err := c.check(in.rights); err != nil {
		return 0, nil, err
	}
	c.s.settle(User{Name: *in.Name, Kind: Local})
	u := c.s.users[*in.Name]
	u.applyLocal(in)
	return http.StatusCreated, c.localView(u), nil
}

func (c *call) patchUser() (int, any, error) {
	u, err := c.localUser()
	if err != nil {
		return 0, nil, err
	}
	var in userRequest
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	if err := c.check(in.rights); err != nil {
		return 0, nil, err
	}
	u.applyLocal(in)
	return http.StatusOK, nil, nil // documented without a body
}

// deleteUser takes the user's keys away as well.
func (c *call) deleteUser() (int, any, error) {
	u, err := c.localUser()
	if err != nil {
		return 0, nil, err
	}
	for _, k := range c.s.keysOf(u) {
		delete(c.s.keys, k.access)
	}
	delete(c.s.users, u.name)
	delete(c.s.byID, u.id)
	return http.StatusNoContent, nil, nil
}

// contexts are the places where /users/query/ looks, and the kinds found there.
var contexts = map[string][]Kind{
	"local": {Local}, "ad": {Directory}, "aggregated": {Local, Directory}, "ldap": nil, "nis": nil, "udb": {Local},
}

// getUsersQuery finds one user. It wants a context and an identity.
func (c *call) getUsersQuery() (int, any, error) {
	query := c.r.URL.Query()
	kinds, ok := contexts[query.Get("context")]
	if !ok {
		return 0, nil, badField("context", "%q is not a valid choice.", query.Get("context"))
	}
	var i identity
	for name, to := range map[string]**string{"sid": &i.SID, "username": &i.Username, "login_name": &i.LoginName} {
		if query.Has(name) {
			value := query.Get(name)
			*to = &value
		}
	}
	for name, to := range map[string]**int{"uid": &i.UID, "vid": &i.VID} {
		n, err := c.queryInt(name)
		if err != nil {
			return 0, nil, err
		}
		if query.Has(name) {
			*to = &n
		}
	}
	u, err := c.find(i, kinds...)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.queryView(u), nil
}

// patchUsersQuery changes the rights of a directory user.
func (c *call) patchUsersQuery() (int, any, error) {
	var in struct {
		TenantID *int `json:"tenant_id"`
		identity
		rights
	}
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	u, err := c.find(in.identity, Directory)
	if err != nil {
		return 0, nil, err
	}
	if _, err := c.tenantOr(in.TenantID); err != nil {
		return 0, nil, err
	}
	if err := c.check(in.rights); err != nil {
		return 0, nil, err
	}
	u.apply(in.rights)
	return http.StatusOK, c.queryView(u), nil
}

// queryInt reads a whole number from the query; absent is 0.
func (c *call) queryInt(name string) (int, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, badField(name, "Enter a number.")
	}
	return n, nil
}

func (c *call) getTenants() (int, any, error) {
	query := c.r.URL.Query()
	var items []any
	for i, name := range c.s.o.Tenants {
		part := query.Get("name__icontains")
		if query.Has("name") && query.Get("name") != name || !strings.Contains(strings.ToLower(name), strings.ToLower(part)) {
			continue
		}
		items = append(items, map[string]any{"id": i + 1, "name": name, "title": name, "local_provider_id": localProviderID})
	}
	return c.list(items, false)
}

// version is what the sandbox says it runs.
const version = "5.4.0.0-sandbox"

func (c *call) getVersions() (int, any, error) {
	query := c.r.URL.Query()
	var items []any
	if !query.Has("status") || query.Get("status") == "success" {
		items = append(items, map[string]any{
			"id": 1, "name": "release-" + version, "title": version, "build": version, "sys_version": version,
			"os_version": version, "status": "success", "created": "2026-01-01T00:00:00Z",
		})
	}
	return c.list(items, false)
}
