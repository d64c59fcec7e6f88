package vms

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// The calls in this file are for administrators; others get failure.Forbidden.

// Version is one installation of the cluster's software.
type Version struct {
	Name   string `json:"name"`
	System string `json:"sys_version"` // as 5.3.0.1
	Status string `json:"status"`      // success for what is installed
}

// Versions lists the versions that were installed with success, in the
// order of VMS.
func (c *Client) Versions(ctx context.Context) ([]Version, error) {
	var all []Version
	what := getCall("list versions", url.Values{"status": {"success"}}, "versions")
	for v, err := range list[Version](ctx, c, what) {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// User is a user as administrators see one. Fields that VMS left out are zero.
type User struct {
	ID          int64   // of a local user; others have none
	Name        string  //
	LoginName   string  //
	UID         *int64  // nil when there is none: 0 is root's
	SID         string  //
	VID         int64   //
	Superuser   bool    // may do everything by S3
	Keys        []Key   //
	PolicyIDs   []int64 // of the identity policies attached
	PolicyNames []string
	Groups      []string
	ProviderID  int64 // of the local provider that a local user is of; 0 when VMS does not say
}

// UnmarshalJSON reads the two forms in which VMS sends a user: policies are
// objects in one and names in the other.
func (u *User) UnmarshalJSON(text []byte) error {
	var raw struct {
		ID        int64            `json:"id"`
		Name      string           `json:"name"`
		LoginName string           `json:"login_name"`
		UID       *int64           `json:"uid"`
		SID       string           `json:"sid"`
		VID       int64            `json:"vid"`
		Superuser bool             `json:"s3_superuser"`
		Keys      []map[string]any `json:"access_keys"`
		PolicyIDs []int64          `json:"s3_policies_ids"`
		Policies  []policyName     `json:"s3_policies"`
		Groups    []string         `json:"groups"`
		Provider  struct {
			ID int64 `json:"id"`
		} `json:"local_provider"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*u = User{
		ID: raw.ID, Name: raw.Name, LoginName: raw.LoginName, UID: raw.UID, SID: raw.SID, VID: raw.VID,
		Superuser: raw.Superuser, PolicyIDs: raw.PolicyIDs, Groups: raw.Groups, ProviderID: raw.Provider.ID,
	}
	for _, p := range raw.Policies {
		u.PolicyNames = append(u.PolicyNames, string(p))
	}
	for _, entry := range raw.Keys {
		key, ok := keyOf(numbers(entry))
		if !ok {
			return &json.UnmarshalTypeError{Value: "object", Field: "access_keys"}
		}
		if key.User == "" {
			key.User = raw.Name
		}
		u.Keys = append(u.Keys, key)
	}
	return nil
}

// UnmarshalJSON reads an entry of /locals3keys/ or of a key list in a user.
func (k *Key) UnmarshalJSON(text []byte) error {
	var entry map[string]any
	if err := json.Unmarshal(text, &entry); err != nil {
		return err
	}
	key, ok := keyOf(numbers(entry))
	if !ok {
		return &json.UnmarshalTypeError{Value: "object", Field: "access_key"}
	}
	*k = key
	return nil
}

// numbers turns decoded floats into what keyOf expects.
func numbers(entry map[string]any) map[string]any {
	for name, v := range entry {
		if f, ok := v.(float64); ok {
			entry[name] = json.Number(strconv.FormatFloat(f, 'f', -1, 64))
		}
	}
	return entry
}

type policyName string

func (p *policyName) UnmarshalJSON(text []byte) error {
	var object struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(text, &object) == nil {
		*p = policyName(object.Name)
		return nil
	}
	return json.Unmarshal(text, (*string)(p))
}

// Users iterates over the local users, all or those with the name. Every local
// provider may have one of that name.
func (c *Client) Users(ctx context.Context, name string) iter.Seq2[User, error] {
	query := url.Values{}
	if name != "" {
		query.Set("name", name)
	}
	return list[User](ctx, c, getCall("list users", query, "users"))
}

// LocalUser reads the local user with the id; failure.NotFound if there is none.
func (c *Client) LocalUser(ctx context.Context, id int64) (User, error) {
	return get[User](ctx, c, getCall("look up a local user", nil, "users", strconv.FormatInt(id, 10)))
}

// Tenant is one tenant of a cluster.
type Tenant struct {
	ID              int64  `json:"id"`
	Name            string `json:"name"`
	LocalProviderID int64  `json:"local_provider_id"` // whose local users it has; 0 when VMS does not say
}

// Tenant finds the tenant with the name; failure.NotFound if there is none.
func (c *Client) Tenant(ctx context.Context, name string) (Tenant, error) {
	what := getCall("look up tenant "+name, url.Values{"name": {name}}, "tenants")
	for t, err := range list[Tenant](ctx, c, what) {
		if err != nil || t.Name == name { // a filter that VMS does not know changes nothing
			return t, err
		}
	}
	return Tenant{}, failure.New(failure.NotFound, "%s has no tenant %q", c.Address(), name)
}

// UserQuery names a user of any provider. Besides Context at least one of the
// others but TenantID must be given.
type UserQuery struct {
	Context   string // local, udb, ad, ldap, nis or aggregated
	Username  string
	LoginName string
	UID       *int64
	SID       string
	VID       int64
	TenantID  int64 // 0 leaves it to VMS
}

// QueryUser finds one user; failure.NotFound if there is none.
func (c *Client) QueryUser(ctx context.Context, q UserQuery) (User, error) {
	query := url.Values{}
	for name, value := range map[string]string{"context": q.Context, "username": q.Username, "login_name": q.LoginName, "sid": q.SID} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if q.UID != nil {
		query.Set("uid", strconv.FormatInt(*q.UID, 10))
	}
	if q.VID != 0 {
		query.Set("vid", strconv.FormatInt(q.VID, 10))
	}
	setTenant(query, q.TenantID)
	return get[User](ctx, c, getCall("look up user "+q.label(), query, "users", "query"))
}

func (q UserQuery) label() string {
	switch {
	case q.Username != "":
		return q.Username
	case q.LoginName != "":
		return q.LoginName
	case q.UID != nil:
		return "with uid " + strconv.FormatInt(*q.UID, 10)
	case q.SID != "":
		return q.SID
	}
	return "with vid " + strconv.FormatInt(q.VID, 10)
}

func setTenant(query url.Values, id int64) {
	if id != 0 {
		query.Set("tenant_id", strconv.FormatInt(id, 10))
	}
}

// KeyFilter chooses among the keys of local users; zero fields choose all.
type KeyFilter struct{ TenantID, UserID int64 }

// LocalKeys iterates over the access keys of local users (VAST 5.3 and later).
func (c *Client) LocalKeys(ctx context.Context, f KeyFilter) iter.Seq2[Key, error] {
	query := url.Values{}
	setTenant(query, f.TenantID)
	if f.UserID != 0 {
		query.Set("user_id", strconv.FormatInt(f.UserID, 10))
	}
	what := getCall("list access keys of local users", query, "locals3keys")
	what.since = "VAST 5.3"
	return list[Key](ctx, c, what)
}

// CreateUserKey makes an access key for a local user, in a tenant (VAST 5.3 and
// later) or, with 0, where VMS puts it. It is sent once; see [Client.CreateOwnKey].
func (c *Client) CreateUserKey(ctx context.Context, userID, tenantID int64) (string, secret.Text, error) {
	body := map[string]any{}
	if tenantID != 0 {
		body["tenant_id"] = tenantID
	}
	what := userKeyCall("create access key", http.MethodPost, userID)
	what.body = body
	return c.issue(ctx, what)
}

// SetUserKeyEnabled enables or disables an access key of a local user. Both can be undone.
func (c *Client) SetUserKeyEnabled(ctx context.Context, userID int64, id string, enabled bool) error {
	what := userKeyCall(enableVerb(enabled)+id, http.MethodPatch, userID)
	return c.changeKey(ctx, id, what, map[string]any{"access_key": id, "enabled": enabled})
}

// DeleteUserKey deletes an access key of a local user.
func (c *Client) DeleteUserKey(ctx context.Context, userID int64, id string) error {
	what := userKeyCall("delete access key "+id, http.MethodDelete, userID)
	return c.changeKey(ctx, id, what, map[string]any{"access_key": id})
}

func userKeyCall(what, method string, userID int64) call {
	return call{what: what, method: method, path: []string{"users", strconv.FormatInt(userID, 10), "access_keys"}}
}

// ForeignUser names a user of Active Directory, LDAP or NIS, by UID or SID.
type ForeignUser struct {
	UID      *int64
	SID      string
	TenantID int64 // 0 leaves it to VMS
}

func (u ForeignUser) body() (map[string]any, error) {
	body := map[string]any{}
	switch {
	case u.UID != nil:
		body["uid"] = *u.UID
	case u.SID != "":
		body["sid"] = u.SID
	default:
		return nil, failure.New(failure.Usage, "a directory user is named by uid or sid")
	}
	if u.TenantID != 0 {
		body["tenant_id"] = u.TenantID
	}
	return body, nil
}

// CreateForeignKey makes an access key for a directory user. It is sent once;
// see [Client.CreateOwnKey].
func (c *Client) CreateForeignKey(ctx context.Context, u ForeignUser) (string, secret.Text, error) {
	body, err := u.body()
	if err != nil {
		return "", secret.Text{}, err
	}
	what := foreignKeyCall("create access key", http.MethodPost)
	what.body = body
	return c.issue(ctx, what)
}

// SetForeignKeyEnabled enables or disables an access key of a directory user.
func (c *Client) SetForeignKeyEnabled(ctx context.Context, u ForeignUser, id string, enabled bool) error {
	body, err := u.body()
	if err != nil {
		return err
	}
	body["access_key"], body["enabled"] = id, enabled
	return c.changeKey(ctx, id, foreignKeyCall(enableVerb(enabled)+id, http.MethodPatch), body)
}

// DeleteForeignKey deletes an access key of a directory user.
func (c *Client) DeleteForeignKey(ctx context.Context, u ForeignUser, id string) error {
	body, err := u.body()
	if err != nil {
		return err
	}
	body["access_key"] = id
	return c.changeKey(ctx, id, foreignKeyCall("delete access key "+id, http.MethodDelete), body)
}

func foreignKeyCall(what, method string) call {
	return call{what: what, method: method, path: []string{"users", "non_local_keys"}}
}

func enableVerb(enabled bool) string {
	if enabled {
		return "enable access key "
	}
	return "disable access key "
}

// changeKey sends a change that may be repeated. A key that is gone after we
// repeated a delete was deleted by us.
func (c *Client) changeKey(ctx context.Context, id string, what call, body map[string]any) error {
	if err := checkAccessKey(id); err != nil {
		return err
	}
	what.body = body
	a, err := c.exchange(ctx, what)
	if err != nil {
		return err
	}
	if what.method == http.MethodDelete && a.status == http.StatusNotFound && a.tries > 1 {
		return nil
	}
	return c.outcome(a)
}
