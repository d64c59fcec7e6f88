package vms_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vms"
)

// The fake holds every one of these against the facts of the API.
func TestEveryCallIsWhatTheAPITakes(t *testing.T) {
	const pair = `{"access_key":"AK1","secret_key":"SK1"}`
	const old = "FX+vId/ZRhKHJdVnOawtHg=="
	uid := int64(0)
	cases := []struct {
		want   string
		status int
		body   string
		call   func(context.Context, *vms.Client) error
	}{
		{"POST /api/s3keys/", 201, pair, func(ctx context.Context, c *vms.Client) error { return wantPair(c.CreateOwnKey(ctx)) }},
		{"POST /api/s3keys/", 200, pair, func(ctx context.Context, c *vms.Client) error { return wantPair(c.CreateOwnKey(ctx)) }},
		{"GET /api/s3keys/", 200, `[]`, func(ctx context.Context, c *vms.Client) error { _, err := c.OwnKeys(ctx); return err }},
		{"DELETE /api/s3keys/AK1/", 204, ``, func(ctx context.Context, c *vms.Client) error { return c.DeleteOwnKey(ctx, "AK1") }},
		{"DELETE /api/s3keys/FX%2BvId%2FZRhKHJdVnOawtHg%3D%3D/", 201, ``, func(ctx context.Context, c *vms.Client) error { return c.DeleteOwnKey(ctx, old) }},
		{`POST /api/token/ {"password":"pw","username":"alice"}`, 200, `{"access":"A","refresh":"R"}`, func(ctx context.Context, c *vms.Client) error {
			_, err := c.Login(ctx, secret.FromString("pw"))
			return err
		}},
		{"GET /api/s3keys/", 200, `{}`, func(ctx context.Context, c *vms.Client) error { return c.Check(ctx) }},
		{"GET /api/versions/?status=success", 200, `[{"id":1,"sys_version":"5.3"}]`, func(ctx context.Context, c *vms.Client) error {
			v, err := c.Versions(ctx)
			if err == nil && (len(v) != 1 || v[0].System != "5.3") {
				return errors.New("wrong version")
			}
			return err
		}},
		{"GET /api/users/?name=al+ice", 200, `[{"id":1,"name":"alice","s3_policies":[{"id":3,"name":"p"}],"access_keys":[{"access_key":"AK1","enabled":false,"tenant_id":1}]}]`,
			func(ctx context.Context, c *vms.Client) error {
				for u, err := range c.Users(ctx, "al ice") {
					if err != nil {
						return err
					}
					if u.ID != 1 || len(u.Keys) != 1 || u.Keys[0].Enabled || u.Keys[0].User != "alice" || u.PolicyNames[0] != "p" {
						return errors.New("wrong user")
					}
				}
				return nil
			}},
		{"GET /api/users/query/?context=aggregated&tenant_id=2&uid=0", 200, `{"name":"root","uid":0,"s3_policies":["p"],"access_keys":[{"access_key":"AK1","enabled":true,"remote":false}]}`,
			func(ctx context.Context, c *vms.Client) error {
				u, err := c.QueryUser(ctx, vms.UserQuery{Context: "aggregated", UID: &uid, TenantID: 2})
				if err == nil && (u.UID == nil || *u.UID != 0 || !u.Keys[0].Enabled || u.PolicyNames[0] != "p") {
					return errors.New("wrong user")
				}
				return err
			}},
		{"GET /api/users/7/", 200, `{"id":7,"name":"dora","local_provider":{"id":3,"name":"p"},"access_keys":[{"access_key":"AK1","enabled":true,"tenant_id":2}]}`,
			func(ctx context.Context, c *vms.Client) error {
				u, err := c.LocalUser(ctx, 7)
				if err == nil && (u.Name != "dora" || u.ProviderID != 3 || u.Keys[0].TenantID != 2) {
					return fmt.Errorf("wrong user %+v", u)
				}
				return err
			}},
		{"GET /api/tenants/?name=t+1", 200, `[{"id":1,"name":"t 10"},{"id":2,"name":"t 1","local_provider_id":3}]`,
			func(ctx context.Context, c *vms.Client) error {
				tenant, err := c.Tenant(ctx, "t 1")
				if err == nil && (tenant != vms.Tenant{ID: 2, Name: "t 1", LocalProviderID: 3}) {
					return fmt.Errorf("wrong tenant %+v", tenant)
				}
				return err
			}},
		{"GET /api/users/query/?context=ad&sid=S-1&username=x&vid=5", 200, `{}`, func(ctx context.Context, c *vms.Client) error {
			_, err := c.QueryUser(ctx, vms.UserQuery{Context: "ad", Username: "x", SID: "S-1", VID: 5})
			return err
		}},
		{`POST /api/users/7/access_keys/ {}`, 200, pair, func(ctx context.Context, c *vms.Client) error { return wantPair(c.CreateUserKey(ctx, 7, 0)) }},
		{`POST /api/users/7/access_keys/ {"tenant_id":2}`, 200, pair, func(ctx context.Context, c *vms.Client) error { return wantPair(c.CreateUserKey(ctx, 7, 2)) }},
		{`PATCH /api/users/7/access_keys/ {"access_key":"AK1","enabled":false}`, 204, ``, func(ctx context.Context, c *vms.Client) error {
			return c.SetUserKeyEnabled(ctx, 7, "AK1", false)
		}},
		{`DELETE /api/users/7/access_keys/ {"access_key":"AK1"}`, 204, ``, func(ctx context.Context, c *vms.Client) error { return c.DeleteUserKey(ctx, 7, "AK1") }},
		{`POST /api/users/non_local_keys/ {"tenant_id":2,"uid":0}`, 200, pair, func(ctx context.Context, c *vms.Client) error {
			return wantPair(c.CreateForeignKey(ctx, vms.ForeignUser{UID: &uid, TenantID: 2}))
		}},
		{`PATCH /api/users/non_local_keys/ {"access_key":"AK1","enabled":true,"sid":"S-1"}`, 204, ``, func(ctx context.Context, c *vms.Client) error {
			return c.SetForeignKeyEnabled(ctx, vms.ForeignUser{SID: "S-1"}, "AK1", true)
		}},
		{`DELETE /api/users/non_local_keys/ {"access_key":"AK1","uid":0}`, 200, ``, func(ctx context.Context, c *vms.Client) error {
			return c.DeleteForeignKey(ctx, vms.ForeignUser{UID: &uid}, "AK1")
		}},
		{"GET /api/locals3keys/?tenant_id=1&user_id=2", 200, `{"count":1,"next":null,"previous":null,"results":[{"id":1,"access_key":"AK1","enabled":true,"creation_time":"2026-01-02T03:04:05Z","user":{"id":2,"name":"u"},"tenant":{"id":1,"name":"t"}}]}`,
			func(ctx context.Context, c *vms.Client) error {
				want := vms.Key{AccessKey: "AK1", Enabled: true, User: "u", Tenant: "t", TenantID: 1, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
				for k, err := range c.LocalKeys(ctx, vms.KeyFilter{TenantID: 1, UserID: 2}) {
					if err != nil {
						return err
					}
					if diff := cmp.Diff(want, k); diff != "" {
						return errors.New(diff)
					}
				}
				return nil
			}},
	}
	for _, c := range cases {
		t.Run(c.want, func(t *testing.T) {
			f := newFake(t, answers(c.status, c.body))
			if err := c.call(t.Context(), f.client(t)); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{c.want}, f.requests()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func wantPair(id string, sec secret.Text, err error) error {
	if err == nil && (id != "AK1" || sec.Reveal() != "SK1") {
		return errors.New("wrong pair")
	}
	return err
}

func TestVersionsAndTenants(t *testing.T) {
	for version, prefix := range map[string]string{"": "/api/", "v5": "/api/v5/", "latest": "/api/latest/"} {
		tenants := map[string]bool{}
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			tenants[r.Header.Get("X-Tenant-Name")] = true
			if r.Header.Get("Accept") != "application/json" {
				t.Error("no Accept")
			}
			if strings.HasSuffix(r.URL.Path, "/token/") {
				reply(w, 200, `{"access":"A","refresh":"R"}`)
				return
			}
			reply(w, 200, `[]`)
		})
		c := f.client(t, func(c *vms.Config) { c.APIVersion, c.Tenant = version, "t1" })
		if _, err := c.Login(t.Context(), secret.FromString("x")); err != nil {
			t.Error(err)
		}
		if _, err := c.OwnKeys(t.Context()); err != nil {
			t.Error(err)
		}
		want := []string{`POST /api/token/ {"password":"x","username":"alice"}`, "GET " + prefix + "s3keys/"}
		if diff := cmp.Diff(want, f.requests()); diff != "" {
			t.Error(diff)
		}
		if len(tenants) != 1 || !tenants["t1"] {
			t.Errorf("tenants %v", tenants)
		}
	}
}

func TestWrongConfig(t *testing.T) {
	cases := map[string]vms.Config{
		"no address":    {HTTP: http.DefaultClient},
		"http":          {Address: "http://vms", HTTP: http.DefaultClient},
		"version":       {Address: "vms", APIVersion: "v5/../..", HTTP: http.DefaultClient},
		"version 2":     {Address: "vms", APIVersion: "5", HTTP: http.DefaultClient},
		"token newline": {Address: "vms", Token: secret.FromString(canary + "\n"), HTTP: http.DefaultClient},
		"tenant":        {Address: "vms", Tenant: "a\r\nX-Y: z", HTTP: http.DefaultClient},
		"colon":         {Address: "vms", Username: "a:b", HTTP: http.DefaultClient},
	}
	for name, c := range cases {
		if _, err := vms.New(c); !failure.Is(err, failure.Config) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeleteFallsBackToTheBodyForm(t *testing.T) {
	cases := map[string]struct {
		path, body int
		want       failure.Kind
		ok         bool
		requests   int
	}{
		"path form":         {204, 0, 0, true, 1},
		"older server":      {405, 204, 0, true, 2},
		"older server, 404": {404, 200, 0, true, 2},
		"unknown key":       {404, 404, failure.NotFound, false, 2},
		"unknown key, new":  {404, 405, failure.NotFound, false, 2},
		"neither":           {405, 405, failure.Network, false, 2},
		"second refuses":    {404, 403, failure.Forbidden, false, 2},
		"first refuses":     {403, 0, failure.Forbidden, false, 1},
	}
	for name, c := range cases {
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/s3keys/") {
				reply(w, c.body, "")
				return
			}
			reply(w, c.path, "")
		})
		err := f.client(t).DeleteOwnKey(t.Context(), "AK1")
		if (err == nil) != c.ok || (!c.ok && !failure.Is(err, c.want)) || len(f.requests()) != c.requests {
			t.Errorf("%s: %v, %v", name, err, f.requests())
		}
	}
	for _, id := range []string{"", ".", "..", "a b", "a\n", strings.Repeat("x", 200)} {
		f := newFake(t, answers(204, ""))
		if err := f.client(t).DeleteOwnKey(t.Context(), id); !failure.Is(err, failure.Usage) || len(f.requests()) != 0 {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestServerTime(t *testing.T) {
	date := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", date.Format(http.TimeFormat))
		reply(w, 403, "")
	})
	local := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	c := f.client(t, func(c *vms.Config) { c.Now = func() time.Time { return local } })
	for _, step := range []struct {
		passed time.Duration
		want   time.Time
		calls  int
	}{{0, date, 1}, {5 * time.Second, date.Add(5 * time.Second), 1}, {time.Hour, date, 2}, {-2 * time.Hour, date, 3}} {
		local = local.Add(step.passed)
		got, err := c.ServerTime(t.Context())
		if err != nil || !got.Equal(step.want) || len(f.requests()) != step.calls {
			t.Errorf("after %v: %v %v, %d calls", step.passed, got, err, len(f.requests()))
		}
	}
	silent := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		reply(w, 200, "[]")
	})
	if _, err := silent.client(t).ServerTime(t.Context()); !failure.Is(err, failure.Network) {
		t.Errorf("no date: %v", err)
	}
}
