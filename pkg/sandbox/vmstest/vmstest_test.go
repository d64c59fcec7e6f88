package vmstest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/sandbox/vmstest"
	"github.com/valetkey/valetkey/pkg/vms/vmsfacts"
)

// world is a server whose whole traffic is held against the facts.
type world struct {
	t      *testing.T
	server *vmstest.Server
	facts  *vmsfacts.Checker
	clock  *atomic.Int64 // seconds added to a fixed time
}

var facts = sync.OnceValues(vmsfacts.New)

func newWorld(t *testing.T, change ...func(*vmstest.Options)) *world {
	t.Helper()
	checker, err := facts()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, facts: checker, clock: &atomic.Int64{}}
	o := vmstest.Options{
		Now: func() time.Time {
			return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(w.clock.Load()) * time.Second)
		},
		Users:  vmstest.Residents(func(name string) string { return name + "-pw" }),
		Tokens: map[string]string{"tok-admin": "admin", "tok-alice": "alice"},
	}
	for _, f := range change {
		f(&o)
	}
	w.server = vmstest.New(o)
	return w
}

// as says who asks: a user by password, or a whole Authorization header.
type as string

func (a as) header() string {
	if a == "" || strings.Contains(string(a), " ") {
		return string(a)
	}
	r, _ := http.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(string(a), string(a)+"-pw")
	return r.Header.Get("Authorization")
}

type reply struct {
	status int
	text   string
	header http.Header
}

func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.text), &m); err != nil {
		t.Fatalf("%d %q: %v", r.status, r.text, err)
	}
	return m
}

func (r reply) array(t *testing.T) []any {
	t.Helper()
	var m []any
	if err := json.Unmarshal([]byte(r.text), &m); err != nil {
		t.Fatalf("%d %q: %v", r.status, r.text, err)
	}
	return m
}

// ask sends a request that must fit the facts, and checks that the answer does.
func (w *world) ask(who as, line, body string, headers ...string) reply {
	w.t.Helper()
	r := w.request(who, line, body, headers...)
	if err := w.facts.CheckRequest(r.Clone(r.Context())); err != nil {
		w.t.Fatalf("%s: request: %v", line, err)
	}
	return w.send(w.request(who, line, body, headers...))
}

// raw sends a request that need not fit the facts.
func (w *world) raw(who as, line, body string, headers ...string) reply {
	w.t.Helper()
	return w.send(w.request(who, line, body, headers...))
}

func (w *world) request(who as, line, body string, headers ...string) *http.Request {
	method, path, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, "https://vms.test"+path, io.NopCloser(strings.NewReader(body)))
	r.ContentLength = int64(len(body))
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if h := who.header(); h != "" {
		r.Header.Set("Authorization", h)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (w *world) send(r *http.Request) reply {
	w.t.Helper()
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := w.facts.CheckResponse(r, rec.Code, rec.Header(), rec.Body.Bytes()); err != nil {
		w.t.Errorf("%s %s: answer: %v", r.Method, r.URL, err)
	}
	return reply{rec.Code, rec.Body.String(), rec.Header()}
}

// pair makes a key and returns both halves.
func (w *world) pair(who as) (access, secret string) {
	w.t.Helper()
	r := w.ask(who, "POST /api/s3keys/", "")
	if r.status != http.StatusCreated {
		w.t.Fatalf("POST s3keys: %d %s", r.status, r.text)
	}
	m := r.object(w.t)
	return m["access_key"].(string), m["secret_key"].(string)
}

func TestOwnKeysLiveAndDie(t *testing.T) {
	w := newWorld(t)
	access, text := w.pair("alice")
	if !regexp.MustCompile(`^[A-Z0-9]{20}$`).MatchString(access) || !regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(text) {
		t.Errorf("pair %q %q", access, text)
	}
	info, ok := w.server.Key(access)
	if !ok || !info.Enabled || info.User != "alice" || info.Tenant != "default" || info.Secret.Reveal() != text {
		t.Errorf("Key: %+v %v", info, ok)
	}
	second, _ := w.pair("alice")
	if second == access {
		t.Error("two keys are one")
	}

	if r := w.ask("alice", "POST /api/s3keys/", ""); r.status != http.StatusBadRequest ||
		r.text != `{"detail":"A user cannot have more than two access keys"}` {
		t.Errorf("third key: %d %s", r.status, r.text)
	}
	if r := w.ask("bob", "DELETE /api/s3keys/"+access+"/", ""); r.status != http.StatusNotFound {
		t.Errorf("bob deletes alice's key: %d", r.status)
	}
	if r := w.ask("alice", "DELETE /api/v5/s3keys/"+access+"/", ""); r.status != http.StatusNoContent || r.text != "" {
		t.Errorf("delete: %d %q", r.status, r.text)
	}
	if _, ok := w.server.Key(access); ok {
		t.Error("a deleted key lives on")
	}
	if r := w.ask("alice", "DELETE /api/s3keys/"+access+"/", ""); r.status != http.StatusNotFound {
		t.Errorf("delete again: %d", r.status)
	}
	if r := w.ask("alice", "DELETE /api/latest/s3keys/", `{"access_key":"`+second+`"}`); r.status != http.StatusNoContent {
		t.Errorf("delete by body: %d %s", r.status, r.text)
	}
	if _, ok := w.server.Key(second); ok {
		t.Error("a key deleted by body lives on")
	}
	if r := w.raw("alice", "DELETE /api/s3keys/", `{}`); r.status != http.StatusBadRequest || !strings.Contains(r.text, "This field is required.") {
		t.Errorf("delete without a name: %d %s", r.status, r.text)
	}
}

func TestTheKeyLimitCanHaveAnyStatus(t *testing.T) {
	w := newWorld(t, func(o *vmstest.Options) { o.KeyLimitStatus = http.StatusServiceUnavailable })
	w.pair("bob")
	w.pair("bob")
	if r := w.ask("bob", "POST /api/s3keys/", ""); r.status != http.StatusServiceUnavailable || !strings.Contains(r.text, "more than two access keys") {
		t.Errorf("%d %s", r.status, r.text)
	}
}

func TestKeyLists(t *testing.T) {
	w := newWorld(t)
	access, _ := w.pair("alice")
	w.pair("bob")
	m := w.ask("alice", "GET /api/s3keys/", "").object(t)
	uid := w.ask("admin", "GET /api/users/query/?context=ad&username=alice", "").object(t)["uid"]
	want := map[string]any{
		"count": 1.0, "next": nil, "previous": nil,
		"results": []any{map[string]any{
			"access_key": access, "enabled": true, "creation_time": "2026-03-01T12:00:00.000000Z", "uid": uid,
		}},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}

	bare := newWorld(t, func(o *vmstest.Options) { o.Lists = vmstest.ListArray })
	bare.pair("alice")
	if got := bare.ask("alice", "GET /api/s3keys/", "").array(t); len(got) != 1 {
		t.Errorf("array: %v", got)
	}

	odd := newWorld(t, func(o *vmstest.Options) {
		o.KeyListShape = func(keys []vmstest.ListedKey) any { return []byte("<html>" + keys[0].AccessKey) }
	})
	access, _ = odd.pair("alice")
	rec := httptest.NewRecorder()
	odd.server.ServeHTTP(rec, odd.request("alice", "GET /api/s3keys/", "")) // fits no facts
	if rec.Body.String() != "<html>"+access || rec.Code != http.StatusOK {
		t.Errorf("odd shape: %d %s", rec.Code, rec.Body)
	}
}

func TestListsArePaged(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"u1", "u2", "u3", "u4"} {
		if r := w.ask("admin", "POST /api/users/", `{"name":"`+name+`","local_provider_id":1}`); r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.text)
		}
	}
	if all := w.ask("admin", "GET /api/users/", "").array(t); len(all) != 5 { // dora is there from the start
		t.Fatalf("%d users", len(all))
	}
	var names []string
	next := "/api/users/?page=1&page_size=2"
	for pages := 0; next != "" && pages < 10; pages++ {
		m := w.ask("admin", "GET "+next, "").object(t)
		for _, u := range m["results"].([]any) {
			names = append(names, u.(map[string]any)["name"].(string))
		}
		url, _ := m["next"].(string)
		next = strings.TrimPrefix(url, "https://vms.test")
	}
	if diff := cmp.Diff([]string{"dora", "u1", "u2", "u3", "u4"}, names); diff != "" {
		t.Error(diff)
	}
	for _, page := range []string{"0", "9", "-1", "x", "99999999999999999999"} {
		if r := w.ask("admin", "GET /api/users/?page_size=2&page="+page, ""); r.status != http.StatusNotFound {
			t.Errorf("page %s: %d", page, r.status)
		}
	}
}

func TestAdministratorsManageKeys(t *testing.T) {
	w := newWorld(t)
	dora := w.ask("admin", "GET /api/users/?name=dora", "").array(t)[0].(map[string]any)
	id := strings.TrimSuffix(jsonText(dora["id"]), ".0")
	r := w.ask("admin", "POST /api/users/"+id+"/access_keys/", `{}`)
	if r.status != http.StatusOK {
		t.Fatalf("make: %d %s", r.status, r.text)
	}
	access := r.object(t)["access_key"].(string)

	listed := w.ask("admin", "GET /api/locals3keys/?user_id="+id, "").array(t)
	if len(listed) != 1 || listed[0].(map[string]any)["access_key"] != access {
		t.Errorf("locals3keys: %v", listed)
	}
	if got := w.ask("admin", "GET /api/locals3keys/?user_id=77", "").array(t); len(got) != 0 {
		t.Errorf("keys of nobody: %v", got)
	}
	keys := w.ask("admin", "GET /api/users/"+id+"/", "").object(t)["access_keys"].([]any)
	if len(keys) != 1 {
		t.Errorf("keys of dora: %v", keys)
	}
	if r := w.ask("admin", "PATCH /api/users/"+id+"/access_keys/", `{"access_key":"`+access+`","enabled":false}`); r.status != http.StatusNoContent {
		t.Errorf("disable: %d %s", r.status, r.text)
	}
	if info, ok := w.server.Key(access); !ok || info.Enabled {
		t.Error("the key is not disabled")
	}
	w.ask("admin", "POST /api/users/"+id+"/access_keys/", `{"tenant_id":1}`)
	if r := w.ask("admin", "POST /api/users/"+id+"/access_keys/", `{}`); !strings.Contains(r.text, "more than two access keys") {
		t.Errorf("third: %d %s", r.status, r.text)
	}
	if r := w.ask("admin", "DELETE /api/users/"+id+"/access_keys/", `{"access_key":"`+access+`"}`); r.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", r.status, r.text)
	}
	if r := w.ask("admin", "DELETE /api/users/"+id+"/", ""); r.status != http.StatusNoContent {
		t.Errorf("delete user: %d", r.status)
	}
	if got := w.ask("admin", "GET /api/locals3keys/", "").array(t); len(got) != 0 {
		t.Errorf("the keys of a deleted user live on: %v", got)
	}
}

func TestAdministratorsManageDirectoryUsers(t *testing.T) {
	w := newWorld(t)
	bob := w.ask("admin", "GET /api/users/query/?context=ad&username=bob", "").object(t)
	uid, sid := strings.TrimSuffix(jsonText(bob["uid"]), ".0"), bob["sid"].(string)
	r := w.ask("admin", "POST /api/users/non_local_keys/", `{"uid":`+uid+`}`)
	if r.status != http.StatusOK {
		t.Fatalf("make: %d %s", r.status, r.text)
	}
	access := r.object(t)["access_key"].(string)
	if r := w.ask("admin", "PATCH /api/users/non_local_keys/", `{"access_key":"`+access+`","enabled":false,"sid":"`+sid+`"}`); r.status != http.StatusNoContent {
		t.Errorf("disable: %d %s", r.status, r.text)
	}
	keys := w.ask("admin", "GET /api/users/query/?context=aggregated&sid="+sid, "").object(t)["access_keys"].([]any)
	if len(keys) != 1 || keys[0].(map[string]any)["enabled"] != false {
		t.Errorf("keys: %v", keys)
	}
	if r := w.ask("admin", "DELETE /api/users/non_local_keys/", `{"access_key":"`+access+`","uid":`+uid+`}`); r.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", r.status, r.text)
	}
	for line, status := range map[string]int{
		"GET /api/users/query/?context=ad&username=nobody":          404,
		"GET /api/users/query/?context=ldap&username=bob":           404,
		"GET /api/users/query/?context=local&username=bob":          404,
		"GET /api/users/query/?context=ad":                          400,
		"GET /api/users/query/?username=bob":                        400,
		"GET /api/users/query/?context=ad&login_name=bob@elsewhere": 404,
	} {
		if r := w.raw("admin", line, ""); r.status != status {
			t.Errorf("%s: %d, want %d", line, r.status, status)
		}
	}
	if r := w.ask("admin", "POST /api/users/non_local_keys/", `{}`); r.status != http.StatusBadRequest {
		t.Errorf("nobody named: %d %s", r.status, r.text)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	w := newWorld(t)
	const forbidden, unknown = http.StatusForbidden, http.StatusUnauthorized
	cases := []struct {
		who    as
		line   string
		body   string
		status int
	}{
		{"", "GET /api/s3keys/", "", unknown},
		{"Basic YWxpY2U6d3Jvbmc=", "GET /api/s3keys/", "", unknown},
		{"Basic %%%", "GET /api/s3keys/", "", unknown},
		{"Digest x", "GET /api/s3keys/", "", unknown},
		{"Api-Token nope", "GET /api/s3keys/", "", unknown},
		{"'Api-Token tok-alice", "GET /api/s3keys/", "", unknown},
		{"Bearer nope", "GET /api/s3keys/", "", forbidden},
		{"Api-Token tok-alice", "GET /api/s3keys/", "", 200},
		{"carol", "GET /api/s3keys/", "", 200},
		{"dora", "POST /api/s3keys/", "", forbidden},
		{"admin", "POST /api/s3keys/", "", forbidden},
		{"alice", "GET /api/users/", "", forbidden},
		{"alice", "GET /api/users/query/?context=ad&username=bob", "", forbidden},
		{"alice", "POST /api/users/non_local_keys/", `{"username":"bob"}`, forbidden},
		{"alice", "GET /api/tenants/", "", forbidden},
		{"alice", "GET /api/versions/?status=success", "", 200},
		{"Api-Token tok-admin", "GET /api/tenants/", "", 200},
		{"admin", "GET /api/users/1/", "", 404}, // a directory user has no such number
		{"admin", "GET /api/users/x/", "", 404},
	}
	for _, c := range cases {
		r := w.ask(c.who, c.line, c.body)
		if r.status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.who, c.line, r.status, r.text, c.status)
		}
		if _, bearer := strings.CutPrefix(string(c.who), "Bearer"); c.status == forbidden &&
			strings.Contains(r.text, "permission_denied") == bearer {
			t.Errorf("%s %s: %s", c.who, c.line, r.text)
		}
	}
}

func TestPathsAndBodies(t *testing.T) {
	w := newWorld(t)
	for line, status := range map[string]int{
		"GET /api/v99/s3keys/":                       404,
		"GET /api/s3keys":                            404,
		"GET /s3keys/":                               404,
		"GET /api/":                                  404,
		"GET /api//s3keys/":                          404,
		"GET /api/nothing/":                          404,
		"PUT /api/s3keys/":                           405,
		"POST /api/latest/s3keys/X/":                 405,
		"DELETE /api/s3keys/FXhvIdHZ%2FRhKHJ%3D%3D/": 404, // an old-style key, not there
		"DELETE /api/s3keys/a/b/":                    404,
	} {
		if r := w.raw("alice", line, ""); r.status != status {
			t.Errorf("%s: %d, want %d", line, r.status, status)
		}
	}
	for body, status := range map[string]int{
		`{"name":"x"}`:                                               400,
		`{"local_provider_id":1}`:                                    400,
		`{"name":5,"local_provider_id":1}`:                           400,
		`{"name":"x","local_provider_id":9}`:                         400,
		`{"name":"dora","local_provider_id":1}`:                      400,
		`{"name":"x","local_provider_id":1,"uid":"seven"}`:           400,
		`{"name":"x","local_provider_id":1,"s3_policies_ids":[999]}`: 400,
		`{`:  400,
		`[]`: 400,
		`{"name":"` + strings.Repeat("x", 70000) + `"}`: 413,
	} {
		if r := w.raw("admin", "POST /api/users/", body); r.status != status || !json.Valid([]byte(r.text)) {
			t.Errorf("%.60s: %d %s, want %d", body, r.status, r.text, status)
		}
	}
	if r := w.raw("admin", "POST /api/users/", `{"name":"x","local_provider_id":1,"uid":"seven"}`); !strings.HasPrefix(r.text, `{"uid":[`) {
		t.Errorf("field error: %s", r.text)
	}
	if r := w.raw("admin", "POST /api/users/", `name=x`, "Content-Type", "application/x-www-form-urlencoded"); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d", r.status)
	}
}

func TestTenants(t *testing.T) {
	w := newWorld(t, func(o *vmstest.Options) { o.Tenants = []string{"default", "red"} })
	r := w.ask("alice", "POST /api/s3keys/", "", "X-Tenant-Name", "red")
	access := r.object(t)["access_key"].(string)
	if info, _ := w.server.Key(access); info.Tenant != "red" {
		t.Errorf("tenant %q", info.Tenant)
	}
	if m := w.ask("alice", "GET /api/s3keys/", "").object(t); m["count"] != 0.0 {
		t.Errorf("a key of another tenant is listed: %v", m)
	}
	if r := w.ask("alice", "GET /api/s3keys/", "", "X-Tenant-Name", "blue"); r.status != http.StatusForbidden || !strings.Contains(r.text, "permission_denied") {
		t.Errorf("unknown tenant: %d %s", r.status, r.text)
	}
	if r := w.ask("admin", "GET /api/users/", "", "X-Tenant-Name", "default"); r.status != http.StatusForbidden {
		t.Errorf("cluster administrator with a tenant: %d", r.status)
	}
	got := w.ask("admin", "GET /api/tenants/?name__icontains=RE", "").array(t)
	if len(got) != 1 || got[0].(map[string]any)["name"] != "red" {
		t.Errorf("tenants: %v", got)
	}
	login := w.ask("", "POST /api/token/", `{"username":"alice","password":"alice-pw"}`, "X-Tenant-Name", "red").object(t)
	bearer := as("Bearer " + login["access"].(string))
	if m := w.ask(bearer, "GET /api/s3keys/", "").object(t); m["count"] != 1.0 {
		t.Errorf("the token forgets its tenant: %v", m)
	}
	if r := w.ask(bearer, "GET /api/s3keys/", "", "X-Tenant-Name", "default"); r.status != http.StatusForbidden {
		t.Errorf("the token serves another tenant: %d", r.status)
	}
}

func TestConcurrentCallersGetTwoKeys(t *testing.T) {
	w := newWorld(t)
	var made atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if w.ask("alice", "POST /api/s3keys/", "").status == http.StatusCreated {
				made.Add(1)
			}
			w.ask("alice", "GET /api/s3keys/", "")
		})
	}
	all.Wait()
	if made.Load() != 2 {
		t.Errorf("%d keys made", made.Load())
	}
}

func TestRouteNames(t *testing.T) {
	w := newWorld(t)
	known := map[string]bool{}
	for _, name := range vmstest.Routes() {
		known[name] = true
	}
	for line, want := range map[string]string{
		"POST /api/s3keys/":               "vms.post_s3keys",
		"GET /api/v5/s3keys/":             "vms.get_s3keys",
		"DELETE /api/s3keys/":             "vms.delete_s3keys",
		"DELETE /api/latest/s3keys/AAA/":  "vms.delete_s3keys",
		"POST /api/token/":                "vms.post_token",
		"PATCH /api/users/7/access_keys/": "vms.patch_users_access_keys",
		"GET /api/users/query/":           "vms.get_users_query",
		"GET /api/users/7/":               "vms.get_users_id",
		"GET /elsewhere":                  "",
	} {
		got := w.server.Route(w.request("", line, ""))
		if got != want || want != "" && !known[want] {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestLogPathMasksKeys(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"/api/s3keys/4XACULB2SLCZ80ZQPVMX/":       "/api/s3keys/****PVMX/",
		"/api/v5/s3keys/4XACULB2SLCZ80ZQPVMX":     "/api/v5/s3keys/****PVMX",
		"/api/s3keys/short/":                      "/api/s3keys/****/",
		"/api/s3keys/":                            "/api/s3keys/",
		"/api/users/7/?access_key=4XACULB2SLCZ80": "/api/users/7/",
	} {
		if got := w.server.LogPath(w.request("", "DELETE "+path, "")); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func jsonText(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}
