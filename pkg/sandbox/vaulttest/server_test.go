package vaulttest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/sandbox/observe"
	"github.com/valetkey/valetkey/pkg/sandbox/vaulttest"
	"github.com/valetkey/valetkey/pkg/secret"
)

const rootToken = "hvs.root"

// world is a server with a clock that tests can move.
type world struct {
	*vaulttest.Server
	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	w.Server, err = vaulttest.New(vaulttest.Options{
		Now: w.clock, RootToken: secret.FromString(rootToken), RoleID: "role", SecretID: "sid",
		Users: map[string]secret.Text{"alice": secret.FromString("pw")}, MountsV1: []string{"old"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// ask sends one request and returns the status and the body.
func (w *world) ask(token, method, path, body string) (int, string) {
	r := httptest.NewRequest(method, "/v1/"+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("X-Vault-Token", token)
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	b, _ := io.ReadAll(rec.Body)
	return rec.Code, strings.TrimSpace(string(b))
}

// pick decodes a body and follows the names into it.
func pick(t *testing.T, body string, names ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (w *world) login(t *testing.T, path, body string) string {
	t.Helper()
	status, answer := w.ask("", "POST", path, body)
	if status != 200 {
		t.Fatalf("login: %d %s", status, answer)
	}
	token, _ := pick(t, answer, "auth", "client_token").(string)
	return token
}

// The words and the statuses are Vault's own.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	approle := w.login(t, "auth/approle/login", `{"role_id":"role","secret_id":"sid"}`)
	w.ask(rootToken, "POST", "secret/data/x", `{"data":{"a":1}}`)
	const permission = `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`
	const invalid = `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`
	for _, c := range []struct {
		name, token, method, path, body string
		status                          int
		want                            string
	}{
		{"no token", "", "GET", "secret/data/x", "", 403, `{"errors":["permission denied"]}`},
		{"unknown token", "hvs.x", "GET", "secret/data/x", "", 403, invalid},
		{"outside the policy", approle, "GET", "sys/mounts", "", 403, permission},
		{"absent", rootToken, "GET", "secret/data/nope", "", 404, `{"errors":[]}`},
		{"absent list", rootToken, "LIST", "secret/metadata/nope", "", 404, `{"errors":[]}`},
		{"absent version", rootToken, "GET", "secret/data/x?version=9", "", 404, `{"errors":[]}`},
		{"no such mount", rootToken, "GET", "nope/data/x", "", 404, `{"errors":["no handler for route \"nope/data/x\". route entry not found."]}`},
		{"no such path of KV v1", rootToken, "POST", "old/x/", "{}", 400, `{"errors":["cannot write to a path ending in '/'"]}`},
		{"no such operation", rootToken, "DELETE", "auth/token/lookup-self", "", 405, `{"errors":["1 error occurred:\n\t* unsupported operation\n\n"]}`},
		{"cas too low", rootToken, "POST", "secret/data/x", `{"data":{},"options":{"cas":0}}`, 400, `{"errors":["check-and-set parameter did not match the current version"]}`},
		{"cas of a new key", rootToken, "POST", "secret/data/y", `{"data":{},"options":{"cas":3}}`, 400, `{"errors":["check-and-set parameter did not match the current version"]}`},
		{"cas is nonsense", rootToken, "POST", "secret/data/x", `{"data":{},"options":{"cas":"x"}}`, 400, `{"errors":["error parsing check-and-set parameter"]}`},
		{"no data", rootToken, "POST", "secret/data/x", `{}`, 400, `{"errors":["no data provided"]}`},
		{"role unknown", "", "POST", "auth/approle/login", `{"role_id":"r","secret_id":"sid"}`, 400, `{"errors":["invalid role or secret ID"]}`},
		{"secret id wrong", "", "POST", "auth/approle/login", `{"role_id":"role","secret_id":"s"}`, 400, `{"errors":["invalid role or secret ID"]}`},
		{"secret id missing", "", "POST", "auth/approle/login", `{"role_id":"role"}`, 400, `{"errors":["missing secret_id"]}`},
		{"password wrong", "", "POST", "auth/userpass/login/alice", `{"password":"x"}`, 400, `{"errors":["invalid username or password"]}`},
		{"user unknown", "", "POST", "auth/userpass/login/bob", `{"password":"pw"}`, 400, `{"errors":["invalid username or password"]}`},
		{"password empty", "", "POST", "auth/userpass/login/alice", `{}`, 400, `{"errors":["invalid credentials"]}`},
		{"mount without a token", "", "GET", "sys/internal/ui/mounts/secret", "", 403, `{"errors":["permission denied"]}`},
		{"mount out of reach", approle, "GET", "sys/internal/ui/mounts/old", "", 403, `{"errors":["preflight capability check returned 403, please ensure client's policies grant access to path \"old/\""]}`},
		{"root is not renewable", rootToken, "POST", "auth/token/renew-self", "", 400, `{"errors":["invalid lease ID"]}`},
		{"role id missing", "", "POST", "auth/approle/login", `{}`, 500, `{"errors":["failed to determine alias name from login request"]}`},
		{"cut off", rootToken, "POST", "secret/data/x", `{"data":{`, 500, `{"errors":["malformed JSON, unclosed containers"]}`},
		{"no object", rootToken, "POST", "secret/data/x", `[1]`, 400, `{"errors":["error parsing JSON: failed to parse JSON input: json: cannot unmarshal array into Go value of type map[string]interface {}"]}`},
		{"huge number", rootToken, "POST", "secret/data/x", `{"data":{"n":1e400}}`, 500, `{"errors":["malformed JSON, invalid number syntax for '1e400'"]}`},
		{"name twice", rootToken, "POST", "secret/data/x", `{"data":{"a":1,"a":2}}`, 500, `{"errors":["duplicate key 'a' in object"]}`},
		{"deep", rootToken, "POST", "secret/data/x", strings.Repeat(`{"data":`, 400) + "1" + strings.Repeat("}", 400), 500, `{"errors":["JSON input exceeds allowed nesting depth"]}`},
		{"many", rootToken, "POST", "secret/data/x", `{"data":{"a":[1` + strings.Repeat(",1", 10000) + `]}}`, 500, `{"errors":["JSON array exceeds allowed element count"]}`},
		{"long string", rootToken, "POST", "secret/data/x", `{"data":{"a":"` + strings.Repeat("x", 9<<20) + `"}}`, 500, `{"errors":["JSON string value exceeds allowed length"]}`},
		{"data is no object", rootToken, "POST", "secret/data/x", `{"data":"s"}`, 400, "{\"errors\":[\"error converting input for field \\\"data\\\": '' expected a map, got 'string'\"]}"},
		{"lookup of a dead token", rootToken, "POST", "auth/token/lookup", `{"token":"x"}`, 403, `{"errors":["bad token"]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := w.ask(c.token, c.method, c.path, c.body)
			if status != c.status || body != c.want {
				t.Errorf("%d %s\nwant %d %s", status, body, c.status, c.want)
			}
		})
	}
}

// The engine answers a path outside its areas with a warning and no error.
func TestWrongPathOfKV2(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"secret/team/job", "secret/data/x/", "secret/"} {
		status, body := w.ask(rootToken, "GET", path, "")
		if status != 404 || pick(t, body, "data") != nil || !strings.Contains(body, "Invalid path for a versioned K/V") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	write := func(cas int) string {
		status, body := w.ask(rootToken, "PUT", "secret/data/a/b", fmt.Sprintf(`{"data":{"v":%d},"options":{"cas":%d}}`, cas+1, cas))
		if status != 200 {
			t.Fatalf("write %d: %d %s", cas, status, body)
		}
		return body
	}
	for i := range 12 {
		body := write(i)
		if got := pick(t, body, "data", "version"); got != float64(i+1) {
			t.Fatalf("version %v", got)
		}
	}
	_, body := w.ask(rootToken, "GET", "secret/data/a/b", "")
	if got := pick(t, body, "data", "data", "v"); got != float64(12) {
		t.Errorf("current data %v", got)
	}
	for version, want := range map[int]int{2: 404, 3: 200, 12: 200} {
		if status, _ := w.ask(rootToken, "GET", fmt.Sprintf("secret/data/a/b?version=%d", version), ""); status != want {
			t.Errorf("version %d: %d, want %d (ten are kept)", version, status, want)
		}
	}
	_, body = w.ask(rootToken, "GET", "secret/metadata/a/b", "")
	if got := pick(t, body, "data", "oldest_version"); got != float64(3) {
		t.Errorf("oldest %v", got)
	}

	w.ask(rootToken, "DELETE", "secret/data/a/b", "")
	status, body := w.ask(rootToken, "GET", "secret/data/a/b", "")
	if status != 404 || pick(t, body, "data", "metadata", "version") != float64(12) || pick(t, body, "data", "metadata", "deletion_time") == "" || pick(t, body, "data", "data") != nil {
		t.Errorf("deleted: %d %s", status, body)
	}
	if status, _ := w.ask(rootToken, "POST", "secret/data/a/b", `{"data":{},"options":{"cas":0}}`); status != 400 {
		t.Error("a deleted secret takes cas 0")
	}
	w.ask(rootToken, "POST", "secret/undelete/a/b", `{"versions":[12]}`)
	if status, _ := w.ask(rootToken, "GET", "secret/data/a/b", ""); status != 200 {
		t.Errorf("undeleted: %d", status)
	}
	w.ask(rootToken, "POST", "secret/delete/a/b", `{"versions":"11,12"}`)
	w.ask(rootToken, "POST", "secret/destroy/a/b", `{"versions":[12]}`)
	w.ask(rootToken, "POST", "secret/undelete/a/b", `{"versions":[12]}`)
	status, body = w.ask(rootToken, "GET", "secret/data/a/b", "")
	if status != 404 || pick(t, body, "data", "metadata", "destroyed") != true {
		t.Errorf("destroyed: %d %s", status, body)
	}
	if status, _ := w.ask(rootToken, "GET", "secret/data/a/b?version=10", ""); status != 200 {
		t.Errorf("an older version: %d", status)
	}
	w.ask(rootToken, "DELETE", "secret/metadata/a/b", "")
	if status, body := w.ask(rootToken, "GET", "secret/data/a/b", ""); status != 404 || body != `{"errors":[]}` {
		t.Errorf("after the metadata is gone: %d %s", status, body)
	}
}

func TestMetadataAndListing(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"team/b", "team/a", "team/deep/x", "other"} {
		if status, body := w.ask(rootToken, "POST", "secret/data/"+path, `{"data":{"k":"v"}}`); status != 200 {
			t.Fatal(status, body)
		}
	}
	for _, method := range []string{"LIST", "GET"} {
		_, body := w.ask(rootToken, method, "secret/metadata/team?list=true", "")
		if diff := cmp.Diff([]any{"a", "b", "deep/"}, pick(t, body, "data", "keys")); diff != "" {
			t.Error(method, diff)
		}
	}
	status, _ := w.ask(rootToken, "POST", "secret/metadata/other", `{"custom_metadata":{"by":"me"},"max_versions":2,"cas_required":true}`)
	if status != 204 {
		t.Fatal(status)
	}
	if _, body := w.ask(rootToken, "POST", "secret/data/other", `{"data":{}}`); body != `{"errors":["check-and-set parameter required for this call"]}` {
		t.Error(body)
	}
	_, body := w.ask(rootToken, "POST", "secret/data/other", `{"data":{},"options":{"cas":1}}`)
	if got := pick(t, body, "data", "custom_metadata", "by"); got != "me" {
		t.Errorf("custom metadata %v did not survive a write", got)
	}
	for name, body := range map[string]string{
		"value too long": `{"custom_metadata":{"a":"` + strings.Repeat("x", 513) + `"}}`,
		"value empty":    `{"custom_metadata":{"a":""}}`,
		"control":        `{"custom_metadata":{"a":"\u0001"}}`,
	} {
		if status, _ := w.ask(rootToken, "POST", "secret/metadata/other", body); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// Vault itself rounds numbers when it reads a secret; text it returns untouched.
func TestNumbersAreRoundedAsVaultDoes(t *testing.T) {
	w := newWorld(t)
	w.ask(rootToken, "POST", "secret/data/n", `{"data":{"n":9007199254740993,"s":"9007199254740993"}}`)
	if _, body := w.ask(rootToken, "GET", "secret/data/n", ""); !strings.Contains(body, `{"n":9007199254740992,"s":"9007199254740993"}`) {
		t.Error(body)
	}
}

func TestTokensLiveAndDie(t *testing.T) {
	w := newWorld(t)
	token := w.login(t, "auth/approle/login", `{"role_id":"role","secret_id":"sid"}`)
	if status, _ := w.ask(token, "POST", "valetkey/data/k", `{"data":{}}`); status != 200 {
		t.Fatalf("write with a token of the role: %d", status)
	}
	_, body := w.ask(token, "GET", "auth/token/lookup-self", "")
	if pick(t, body, "data", "ttl") != float64(3600) || pick(t, body, "data", "display_name") != "approle" {
		t.Error(body)
	}
	w.pass(50 * time.Minute)
	if _, body := w.ask(token, "POST", "auth/token/renew-self", `{"increment":"90m"}`); pick(t, body, "auth", "lease_duration") != float64(5400) {
		t.Error(body)
	}
	w.pass(80 * time.Minute)
	if status, _ := w.ask(token, "GET", "auth/token/lookup-self", ""); status != 200 {
		t.Errorf("a renewed token died early: %d", status)
	}
	if _, body := w.ask(token, "POST", "auth/token/renew-self", `{"increment":360000}`); !strings.Contains(body, "capped") {
		t.Errorf("no warning: %s", body)
	}
	w.pass(24 * time.Hour)
	if status, _ := w.ask(token, "GET", "auth/token/lookup-self", ""); status != 403 {
		t.Errorf("a token outlived its longest life: %d", status)
	}
	alice := w.login(t, "auth/userpass/login/Alice", `{"password":"pw"}`)
	if status, _ := w.ask(alice, "POST", "auth/token/revoke-self", ""); status != 204 {
		t.Errorf("revoke: %d", status)
	}
	if status, _ := w.ask(alice, "GET", "secret/data/x", ""); status != 403 {
		t.Errorf("a revoked token works: %d", status)
	}
	_, body = w.ask(rootToken, "POST", "auth/token/create", `{"policies":["valetkey-read"],"ttl":"1h"}`)
	reader, _ := pick(t, body, "auth", "client_token").(string)
	if status, _ := w.ask(reader, "GET", "valetkey/data/k", ""); status != 200 {
		t.Errorf("reader reads: %d", status)
	}
	if status, _ := w.ask(reader, "POST", "valetkey/data/k", `{"data":{}}`); status != 403 {
		t.Errorf("reader writes: %d", status)
	}
}

func TestSeal(t *testing.T) {
	w := newWorld(t)
	if status, _ := w.ask(rootToken, "PUT", "sys/seal", ""); status != 204 {
		t.Fatal(status)
	}
	for _, path := range []string{"secret/data/x", "auth/token/lookup-self", "nope"} {
		if status, body := w.ask(rootToken, "GET", path, ""); status != 503 || body != `{"errors":["Vault is sealed"]}` {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := w.ask("", "GET", "sys/health", ""); status != 503 || pick(t, body, "sealed") != true {
		t.Errorf("health: %d %s", status, body)
	}
	if status, _ := w.ask("", "PUT", "sys/unseal", `{"key":"00"}`); status != 400 {
		t.Errorf("a wrong key unseals: %d", status)
	}
	if status, body := w.ask("", "PUT", "sys/unseal", `{"key":"`+w.UnsealKey().Reveal()+`"}`); status != 200 || pick(t, body, "sealed") != false {
		t.Errorf("unseal: %d %s", status, body)
	}
	if status, _ := w.ask("", "GET", "sys/health", ""); status != 200 {
		t.Errorf("health: %d", status)
	}
}

func TestMountVersions(t *testing.T) {
	w := newWorld(t)
	for mount, want := range map[string]string{"secret": "2", "valetkey/a/b": "2", "old": "1"} {
		_, body := w.ask(rootToken, "GET", "sys/internal/ui/mounts/"+mount, "")
		if got := pick(t, body, "data", "options", "version"); got != want {
			t.Errorf("%s: version %v in %s", mount, got, body)
		}
	}
	_, body := w.ask(rootToken, "GET", "sys/mounts", "")
	if pick(t, body, "secret/", "type") != "kv" || pick(t, body, "data", "old/", "type") != "kv" {
		t.Error(body)
	}
	if status, _ := w.ask(rootToken, "POST", "old/data/x", `{"a":1}`); status != 204 {
		t.Errorf("kv v1 write: %d", status)
	}
	if _, body := w.ask(rootToken, "GET", "old/data/x", ""); pick(t, body, "data", "a") != float64(1) {
		t.Error(body)
	}
}

func TestTooLargeRequest(t *testing.T) {
	w := newWorld(t)
	w.SetMaxRequest(1 << 10)
	body := `{"data":{"a":"` + strings.Repeat("x", 1<<10) + `"}}`
	if status, _ := w.ask(rootToken, "POST", "secret/data/x", body); status != 413 {
		t.Errorf("status %d", status)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	w.SetLimit(256 << 10)
	body := `{"data":{"a":"` + strings.Repeat("x", 30<<10) + `"}}`
	var refused int
	for range 12 {
		if status, _ := w.ask(rootToken, "POST", "secret/data/x", body); status == 500 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("more than the limit was taken")
	}
	w.ask(rootToken, "DELETE", "secret/metadata/x", "")
	if status, body := w.ask(rootToken, "POST", "secret/data/x", body); status != 200 {
		t.Errorf("nothing was given back: %d %.200s", status, body)
	}
}

func TestRouteNames(t *testing.T) {
	w := newWorld(t)
	for want, r := range map[string]*http.Request{
		"vault.get_kv_data":         httptest.NewRequest("GET", "/v1/secret/data/a/b", nil),
		"vault.post_kv_data":        httptest.NewRequest("PUT", "/v1/valetkey/data/a", nil),
		"vault.list_kv_metadata":    httptest.NewRequest("GET", "/v1/secret/metadata/a?list=true", nil),
		"vault.get_kv_metadata":     httptest.NewRequest("GET", "/v1/secret/metadata/a", nil),
		"vault.post_approle_login":  httptest.NewRequest("PUT", "/v1/auth/approle/login", nil),
		"vault.post_userpass_login": httptest.NewRequest("POST", "/v1/auth/userpass/login/alice", nil),
		"vault.get_token_self":      httptest.NewRequest("GET", "/v1/auth/token/lookup-self", nil),
		"":                          httptest.NewRequest("GET", "/v1/what", nil),
	} {
		if got := w.Route(r); got != want {
			t.Errorf("%s %s: %q, want %q", r.Method, r.URL, got, want)
		}
	}
	seen := map[string]bool{}
	for _, name := range w.Routes() {
		if seen[name] || !strings.HasPrefix(name, "vault.") {
			t.Errorf("route %q", name)
		}
		seen[name] = true
	}
	if !seen["vault.post_kv_data"] || !seen["vault.post_approle_login"] {
		t.Error(w.Routes())
	}
}

func TestCallerIsNamedForTheLog(t *testing.T) {
	w := newWorld(t)
	user := func(token, method, path, body string) string {
		r := httptest.NewRequest(method, "/v1/"+path, strings.NewReader(body))
		r.Header.Set("X-Vault-Token", token)
		ctx, caller := observe.WithCaller(r.Context())
		w.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
		return caller.User()
	}
	alice := w.login(t, "auth/userpass/login/alice", `{"password":"pw"}`)
	got := []string{
		user(rootToken, "GET", "secret/data/x", ""), user(alice, "GET", "secret/data/x", ""), user("no", "GET", "secret/data/x", ""),
		user("", "POST", "auth/approle/login", `{"role_id":"role","secret_id":"sid"}`),
		user("", "POST", "auth/userpass/login/alice", `{"password":"x"}`),
	}
	if diff := cmp.Diff([]string{"root", "alice", "", "valetkey", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]vaulttest.Options{
		"no root token": {},
		"twice":         {RootToken: secret.FromString("x"), Mounts: []string{"a", "a/"}},
		"empty":         {RootToken: secret.FromString("x"), Mounts: []string{"/"}},
	} {
		if _, err := vaulttest.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Of N writers with the same cas exactly one wins.
func TestCheckAndSetUnderLoad(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if status, _ := w.ask(rootToken, "POST", "secret/data/x", `{"data":{},"options":{"cas":0}}`); status == 200 {
				mu.Lock()
				won++
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
}
