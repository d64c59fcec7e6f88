package vaulttest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// These answers were taken from Vault 1.21 with the same policy.
func TestPolicies(t *testing.T) {
	w := newWorld(t)
	policy := `path "valetkey/data/h:8443/-/alice"     { capabilities = ["create", "read", "update"] }
path "valetkey/metadata/h:8443/-/alice" { capabilities = ["read"] }
path "valetkey/destroy/h:8443/-/alice"  { capabilities = ["update"] }
path "valetkey/data/team/+/x*"          { capabilities = ["read"] }`
	body, _ := json.Marshal(map[string]string{"policy": policy})
	if status, answer := w.ask(rootToken, "PUT", "sys/policies/acl/fleet", string(body)); status != 204 {
		t.Fatal(status, answer)
	}
	_, answer := w.ask(rootToken, "POST", "auth/token/create", `{"policies":["fleet"]}`)
	token, _ := pick(t, answer, "auth", "client_token").(string)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "valetkey/data/h:8443/-/alice", "", 404},
		{"POST", "valetkey/data/h:8443/-/alice", `{"data":{}}`, 200},
		{"GET", "valetkey/metadata/h:8443/-/alice", "", 200},
		{"POST", "valetkey/destroy/h:8443/-/alice", `{"versions":[1]}`, 204},
		{"POST", "valetkey/metadata/h:8443/-/alice", `{"max_versions":1}`, 403},
		{"DELETE", "valetkey/data/h:8443/-/alice", "", 403},
		{"GET", "valetkey/data/h:8443/-/alice/x", "", 403},
		{"GET", "valetkey/data/h:8443/-/bob", "", 403},
		{"LIST", "valetkey/metadata/h:8443", "", 403},
		{"GET", "sys/internal/ui/mounts/valetkey", "", 200},
		{"GET", "sys/internal/ui/mounts/secret", "", 403},
		{"GET", "auth/token/lookup-self", "", 200},
		{"POST", "sys/mounts/x", `{"type":"kv"}`, 403},
	} {
		if status, answer := w.ask(token, c.method, c.path, c.body); status != c.want {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, answer)
		}
	}
	_, answer = w.ask(token, "POST", "sys/capabilities-self", `{"paths":["valetkey/data/h:8443/-/alice","valetkey/data/team/a/xyz","valetkey/data/team/a/b/xyz"]}`)
	want := map[string]any{
		"valetkey/data/h:8443/-/alice": []any{"create", "read", "update"},
		"valetkey/data/team/a/xyz":     []any{"read"}, "valetkey/data/team/a/b/xyz": []any{"deny"},
	}
	if diff := cmp.Diff(want, pick(t, answer, "data")); diff != "" {
		t.Error(diff)
	}
	for text, says := range map[string]string{
		`path "a/+*" { capabilities = ["read"] }`:     "invalid use of wildcards",
		`path "a" { capabilities = ["fly"] }`:         `invalid capability \"fly\"`,
		`path "a" { policy = "write" }`:               "the sandbox plays",
		`path "{{a}}" { capabilities = ["read"] }`:    "templated",
		`path "a" { capabilities = ["read"] } garble`: "the sandbox plays",
	} {
		body, _ := json.Marshal(map[string]string{"policy": text})
		if status, answer := w.ask(rootToken, "PUT", "sys/policies/acl/bad", string(body)); status != 400 || !strings.Contains(answer, says) {
			t.Errorf("%s: %d %s", text, status, answer)
		}
	}
}

func TestMountsComeAndGo(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "team/data/x", "", 404},
		{"POST", "sys/mounts/team", `{"type":"kv","options":{"version":"2"}}`, 204},
		{"POST", "sys/mounts/team", `{"type":"kv"}`, 400},
		{"POST", "sys/mounts/team/deep", `{"type":"kv"}`, 400},
		{"POST", "sys/mounts/else", `{"type":"pki"}`, 400},
		{"POST", "team/data/x", `{"data":{"a":"b"}}`, 200},
		{"DELETE", "sys/mounts/team", "", 204},
		{"DELETE", "sys/mounts/team", "", 204},
		{"GET", "team/data/x", "", 404},
		{"POST", "sys/mounts/team", `{"type":"kv"}`, 204},
		{"POST", "team/data/x", `{"a":"b"}`, 204},
	} {
		if status, answer := w.ask(rootToken, c.method, c.path, c.body); status != c.want {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, answer)
		}
	}
	_, answer := w.ask(rootToken, "GET", "sys/internal/ui/mounts/team", "")
	if got := pick(t, answer, "data", "options", "version"); got != "1" {
		t.Errorf("version %v", got)
	}
}
