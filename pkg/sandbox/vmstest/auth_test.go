package vmstest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/sandbox/observe"
	"github.com/valetkey/valetkey/pkg/sandbox/vmstest"
)

func (w *world) login(name string) (access, refresh string) {
	w.t.Helper()
	r := w.ask("", "POST /api/token/", `{"username":"`+name+`","password":"`+name+`-pw"}`)
	if r.status != http.StatusOK {
		w.t.Fatalf("login: %d %s", r.status, r.text)
	}
	m := r.object(w.t)
	return m["access"].(string), m["refresh"].(string)
}

func TestTokensExpireAndRefresh(t *testing.T) {
	w := newWorld(t)
	access, refresh := w.login("alice")
	if r := w.ask(as("Bearer "+access), "GET /api/s3keys/", ""); r.status != http.StatusOK {
		t.Fatalf("fresh: %d %s", r.status, r.text)
	}
	w.clock.Store(int64(time.Hour/time.Second) - 1)
	if r := w.ask(as("Bearer "+access), "GET /api/s3keys/", ""); r.status != http.StatusOK {
		t.Errorf("a second before its end: %d", r.status)
	}
	w.clock.Add(1)
	r := w.ask(as("Bearer "+access), "GET /api/s3keys/", "")
	if r.status != http.StatusForbidden || !strings.Contains(r.text, "Token is invalid or expired") || strings.Contains(r.text, "permission_denied") {
		t.Errorf("expired: %d %s", r.status, r.text)
	}
	if date := r.header.Get("Date"); date != "Sun, 01 Mar 2026 13:00:00 GMT" {
		t.Errorf("Date is not the server's time: %s", date)
	}
	renewed := w.ask("", "POST /api/token/refresh/", `{"refresh":"`+refresh+`"}`)
	if renewed.status != http.StatusOK {
		t.Fatalf("refresh: %d %s", renewed.status, renewed.text)
	}
	if r := w.ask(as("Bearer "+renewed.object(t)["access"].(string)), "GET /api/s3keys/", ""); r.status != http.StatusOK {
		t.Errorf("renewed: %d", r.status)
	}
	w.clock.Store(int64(24 * time.Hour / time.Second))
	if r := w.ask("", "POST /api/token/refresh/", `{"refresh":"`+refresh+`"}`); r.status != http.StatusUnauthorized {
		t.Errorf("a refresh token of yesterday: %d", r.status)
	}
}

func TestTokensCannotBeForged(t *testing.T) {
	w := newWorld(t)
	access, refresh := w.login("carol")
	parts := strings.Split(access, ".")
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	claims["username"] = "admin"
	forged, _ := json.Marshal(claims)
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	other := newWorld(t)
	foreign, _ := other.login("carol")
	for name, token := range map[string]string{
		"another payload":  parts[0] + "." + base64.RawURLEncoding.EncodeToString(forged) + "." + parts[2],
		"no algorithm":     none + "." + parts[1] + ".",
		"no signature":     parts[0] + "." + parts[1] + ".",
		"another server's": foreign,
		"a refresh token":  refresh,
		"nothing":          "",
		"dots":             "..",
	} {
		if r := w.ask(as("Bearer "+token), "GET /api/s3keys/", ""); r.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
	if r := w.ask("", "POST /api/token/refresh/", `{"refresh":"`+access+`"}`); r.status != http.StatusUnauthorized {
		t.Errorf("an access token refreshes: %d", r.status)
	}
}

func TestLoginRefusals(t *testing.T) {
	w := newWorld(t)
	for body, status := range map[string]int{
		`{"username":"alice","password":"wrong"}`: 401,
		`{"username":"nobody","password":"x"}`:    401,
		`{"username":"alice","password":""}`:      401,
		`{"username":"alice"}`:                    400,
		`{"password":"x"}`:                        400,
		`{"username":["alice"],"password":"x"}`:   400,
		``:                                        400,
	} {
		if r := w.raw("", "POST /api/token/", body); r.status != status {
			t.Errorf("%s: %d, want %d", body, r.status, status)
		}
	}
	empty := newWorld(t, func(o *vmstest.Options) { o.Users = []vmstest.User{{Name: "eve"}} })
	if r := empty.ask("", "POST /api/token/", `{"username":"eve","password":""}`); r.status != http.StatusUnauthorized {
		t.Errorf("a user without a password logs in: %d", r.status)
	}
}

func TestTheCallerIsNoted(t *testing.T) {
	w := newWorld(t)
	for who, want := range map[as]string{"alice": "alice", "": "", "Basic YWxpY2U6d3Jvbmc=": "", "dora": "dora"} {
		r := w.request(who, "POST /api/s3keys/", "")
		ctx, caller := observe.WithCaller(r.Context())
		w.send(r.WithContext(ctx))
		if caller.User() != want {
			t.Errorf("%q: noted as %q", who, caller.User())
		}
	}
}

func TestAPITokens(t *testing.T) {
	w := newWorld(t)
	made := w.ask("admin", "POST /api/apitokens/", `{"owner":"bob","name":"ci","expiry_date":"1D"}`)
	if made.status != http.StatusCreated {
		t.Fatalf("%d %s", made.status, made.text)
	}
	m := made.object(t)
	bob, path := as("Api-Token "+m["token"].(string)), "/api/apitokens/"+m["id"].(string)+"/"
	ask := func() int { return w.ask(bob, "GET /api/s3keys/", "").status }
	if got := ask(); got != http.StatusOK {
		t.Errorf("fresh: %d", got)
	}
	if shown := w.ask("admin", "GET "+path, ""); strings.Contains(shown.text, m["token"].(string)) || shown.object(t)["owner"] != "bob" {
		t.Errorf("shown again: %s", shown.text)
	}
	w.clock.Store(int64(24 * time.Hour / time.Second))
	if got := ask(); got != http.StatusUnauthorized {
		t.Errorf("expired: %d", got)
	}
	if r := w.ask("admin", "PATCH "+path, `{"expiry_date":"2w"}`); r.status != http.StatusOK || ask() != http.StatusOK {
		t.Errorf("prolonged: %d %s", r.status, r.text)
	}
	if r := w.ask("admin", "PATCH "+path+"revoke/", ""); r.status != http.StatusOK || ask() != http.StatusUnauthorized {
		t.Errorf("revoked: %d %s", r.status, r.text)
	}
	if list := w.ask("admin", "GET /api/apitokens/?owner=bob", "").array(t); len(list) != 1 {
		t.Errorf("%v", list)
	}
	for body, status := range map[string]int{
		`{"owner":"nobody"}`: 400, `{"expiry_date":"soon"}`: 400, `{"expiry_date":"0d"}`: 400, `{"expiry_date":"99999999999Y"}`: 400,
	} {
		if r := w.ask("admin", "POST /api/apitokens/", body); r.status != status {
			t.Errorf("%s: %d %s", body, r.status, r.text)
		}
	}
	for range 5 {
		w.ask("admin", "POST /api/apitokens/", `{"owner":"carol"}`)
	}
	if r := w.ask("admin", "POST /api/apitokens/", `{"owner":"carol"}`); r.status != http.StatusServiceUnavailable {
		t.Errorf("a sixth: %d", r.status)
	}
	if r := w.ask("alice", "POST /api/apitokens/", `{}`); r.status != http.StatusForbidden {
		t.Errorf("alice: %d", r.status)
	}
}
