package vault_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vault"
	"github.com/valetkey/valetkey/pkg/wire"
)

const wrote = `{"data":{"version":8}}`

func dated(at string, next func(http.ResponseWriter)) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.Header()["Date"] = []string{at}; next(w) }
}

// The server's clock comes with the answer, not from ours.
func TestAnswersTellTheTime(t *testing.T) {
	const at = "Tue, 01 Dec 2026 12:00:07 GMT"
	want := time.Date(2026, 12, 1, 12, 0, 7, 0, time.UTC)
	var n atomic.Int64
	c := serve(t, answers(&n, dated(at, say(200, document)), dated(at, say(200, wrote)), dated("", say(200, document)), dated("noon", say(200, wrote))))
	for _, want := range []time.Time{want, {}} {
		doc, err := c.ReadSecret(t.Context(), "secret", "t/j")
		if err != nil || !doc.At.Equal(want) {
			t.Errorf("read at %v, %v", doc.At, err)
		}
		w, err := c.WriteSecret(t.Context(), "secret", "t/j", json.RawMessage(`{}`), 7)
		if err != nil || w.Version != 8 || !w.At.Equal(want) {
			t.Errorf("written %+v, %v", w, err)
		}
	}
}

// Whether a write was done is left open only where nothing can decide it.
func TestLostOrRefused(t *testing.T) {
	for name, c := range map[string]struct {
		bad  func(http.ResponseWriter)
		lost bool
		kind failure.Kind
	}{
		"drop":                 {drop, true, failure.Network},
		"cut in the middle":    {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "99"); say(200, wrote[:9])(w) }, true, failure.Network},
		"500":                  {say(500, `{"errors":["internal error"]}`), true, failure.Network},
		"502 of a proxy":       {say(502, "<html>"), true, failure.Network},
		"no version":           {say(200, `{"data":{}}`), true, failure.Network},
		"page":                 {say(200, "<html>"), true, failure.Network},
		"somebody was first":   {say(400, `{"errors":["check-and-set parameter did not match the current version"]}`), false, failure.Conflict},
		"sealed":               {say(503, `{"errors":["Vault is sealed"]}`), false, failure.Network},
		"uninitialized":        {say(501, `{"errors":["Vault is not initialized"]}`), false, failure.Network},
		"standby":              {say(473, `{"errors":[]}`), false, failure.Network},
		"quota":                {say(429, `{"errors":["rate limit quota exceeded"]}`), false, failure.Network},
		"too large":            {say(413, `{"errors":["http: request body too large"]}`), false, failure.TooLarge},
		"redirect":             {say(307, `{"errors":[]}`), false, failure.Network},
		"redirect of a proxy":  {say(302, ""), false, failure.Network},
		"403 of a proxy":       {say(403, "<html>"), false, failure.Network},
		"too large for raft":   {say(500, `{"errors":["put failed due to value being too large; got 9 bytes, max: 8 bytes"]}`), false, failure.TooLarge},
		"no check-and-set yet": {say(400, `{"errors":["Upgrading from non-versioned to versioned data"]}`), false, failure.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			client := serve(t, answers(&n, say(200, document), c.bad))
			if _, err := client.ReadSecret(t.Context(), "secret", "t/j"); err != nil {
				t.Fatal(err)
			}
			_, err := client.WriteSecret(t.Context(), "secret", "t/j", json.RawMessage(`{}`), 7)
			wantKind(t, err, c.kind)
			if errors.Is(err, vault.ErrAnswerLost) != c.lost || n.Load() != 2 {
				t.Errorf("lost %v after %d requests: %v", !c.lost, n.Load(), err)
			}
		})
	}
}

// What never left is not lost: no address, no server, no time.
func TestUnsentIsNotLost(t *testing.T) {
	options := wire.Options{Group: "vault", Address: wire.Origin{Value: "https://127.0.0.1:1"}}
	hc, err := wire.NewHTTP(options)
	if err != nil {
		t.Fatal(err)
	}
	c, err := vault.New(vault.Config{
		Address: "https://127.0.0.1:1", HTTP: hc, Token: secret.FromString("x"), Pause: noPause,
		Explain: func(err error) error { return wire.Explain(options, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.DestroyVersions(t.Context(), "secret", "t/j", []int{1})
	wantKind(t, err, failure.Network)
	_, err = c.WriteSecret(t.Context(), "secret", "t/j", json.RawMessage(`{}`), 7)
	wantKind(t, err, failure.Network)
	if errors.Is(err, vault.ErrAnswerLost) {
		t.Errorf("lost: %v", err)
	}
}

func TestHistoryAndDestroy(t *testing.T) {
	c, ctx := serve(t, sandbox(t)), t.Context()
	h, err := c.SecretHistory(ctx, "secret", "t/j")
	if err != nil || h.Current != 0 || len(h.Versions) != 0 {
		t.Fatalf("absent: %+v %v", h, err)
	}
	for cas := range 3 {
		if _, err := c.WriteSecret(ctx, "secret", "t/j", json.RawMessage(`{"a":"b"}`), cas); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what is destroyed already, or not there, is none to worry about
		if err := c.DestroyVersions(ctx, "secret", "t/j", []int{1, 2, 9}); err != nil {
			t.Fatal(err)
		}
	}
	h, err = c.SecretHistory(ctx, "secret", "t/j")
	if err != nil || h.Current != 3 {
		t.Fatalf("%+v %v", h, err)
	}
	got := map[int]bool{}
	for i, v := range h.Versions {
		got[v.Number] = v.Destroyed
		if v.Created.IsZero() || i > 0 && v.Number <= h.Versions[i-1].Number {
			t.Errorf("%+v", h.Versions)
		}
	}
	if diff := cmp.Diff(map[int]bool{1: true, 2: true, 3: false}, got); diff != "" {
		t.Error(diff)
	}
	if err := c.DestroyVersions(ctx, "secret", "t/j", nil); err != nil {
		t.Error(err)
	}
	_, err = c.SecretHistory(ctx, "old", "t/j")
	wantKind(t, err, failure.Config)
	wantKind(t, c.DestroyVersions(ctx, "old", "t/j", []int{1}), failure.Config)
	_, err = c.SecretHistory(ctx, "nope", "t/j")
	wantKind(t, err, failure.NotFound)
	wantKind(t, c.CheckKV2(ctx, "old"), failure.Config)
	wantKind(t, c.CheckKV2(ctx, "nope"), failure.Forbidden)
	if err := c.CheckKV2(ctx, "valetkey/"); err != nil {
		t.Error(err)
	}
}

// A version that Vault will delete by itself says so.
func TestVersionThatEnds(t *testing.T) {
	var n atomic.Int64
	c := serve(t, answers(&n,
		say(200, `{"data":{"data":{"a":"b"},"metadata":{"version":7,"deletion_time":"2026-12-01T16:00:02.75Z"}}}`),
		say(200, `{"data":{"current_version":7,"versions":{"7":{"created_time":"2026-12-01T15:00:02Z","deletion_time":"2026-12-01T16:00:02Z","destroyed":false}}}}`),
	))
	doc, err := c.ReadSecret(t.Context(), "secret", "t/j")
	if err != nil || doc.Expires.Format(time.RFC3339) != "2026-12-01T16:00:02Z" || doc.Deleted {
		t.Errorf("%+v %v", doc, err)
	}
	h, err := c.SecretHistory(t.Context(), "secret", "t/j")
	if err != nil || len(h.Versions) != 1 || h.Versions[0].Deleted.Hour() != 16 {
		t.Errorf("%+v %v", h, err)
	}
}

func TestCapabilities(t *testing.T) {
	s := sandbox(t)
	c, ctx := serve(t, s), t.Context()
	may, err := c.Capabilities(ctx, "secret/data/a", "sys/mounts")
	if diff := cmp.Diff(map[string][]string{"secret/data/a": {"root"}, "sys/mounts": {"root"}}, may); diff != "" || err != nil {
		t.Error(diff, err)
	}
	c.SetToken(limited(t, s, `
# a comment
path "secret/data/team/+"     { capabilities = ["read"] }
path "secret/data/team/a"     { capabilities = ["create", "update"] }
path "secret/data/*"          { capabilities = ["list"] }
path "secret/data/team/no"    { capabilities = ["deny"] }`))
	may, err = c.Capabilities(ctx, "secret/data/team/a", "/secret/data/team/b", "secret/data/team/b/c", "secret/data/team/no", "other")
	want := map[string][]string{
		"secret/data/team/a": {"create", "update"}, "secret/data/team/b": {"read"},
		"secret/data/team/b/c": {"list"}, "secret/data/team/no": {"deny"}, "other": {"deny"},
	}
	if diff := cmp.Diff(want, may); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := c.WriteSecret(ctx, "secret", "team/a", json.RawMessage(`{}`), 0); err != nil {
		t.Error(err)
	}
	_, err = c.ReadSecret(ctx, "secret", "team/a")
	wantKind(t, err, failure.Forbidden)
	c.SetToken(secret.FromString("hvs.dead"))
	_, err = c.Capabilities(ctx, "secret/data/team/a")
	wantKind(t, err, failure.Auth)
}

// limited is a token with one policy of its own.
func limited(t *testing.T, s http.Handler, policy string) secret.Text {
	t.Helper()
	ask := func(path string, body any) []byte {
		text, _ := json.Marshal(body)
		r := httptest.NewRequest("POST", "/v1/"+path, strings.NewReader(string(text)))
		r.Header.Set("X-Vault-Token", rootToken)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		answer, _ := io.ReadAll(rec.Body)
		if rec.Code >= 300 {
			t.Fatalf("%s: %d %s", path, rec.Code, answer)
		}
		return answer
	}
	ask("sys/policies/acl/limited", map[string]string{"policy": policy})
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	if err := json.Unmarshal(ask("auth/token/create", map[string]any{"policies": []string{"limited"}}), &made); err != nil {
		t.Fatal(err)
	}
	return secret.FromString(made.Auth.Token)
}

// Asking and destroying may be repeated, so they are.
func TestHarmlessPostsAreRetried(t *testing.T) {
	var n atomic.Int64
	c := serve(t, answers(&n, say(200, document), drop, say(204, ""), say(503, ""), say(200, `{"data":{"a":["read"]}}`)))
	if _, err := c.ReadSecret(t.Context(), "secret", "t/j"); err != nil {
		t.Fatal(err)
	}
	if err := c.DestroyVersions(t.Context(), "secret", "t/j", []int{1}); err != nil || n.Load() != 3 {
		t.Errorf("%v after %d", err, n.Load())
	}
	if _, err := c.Capabilities(t.Context(), "a"); err != nil || n.Load() != 5 {
		t.Errorf("%v after %d", err, n.Load())
	}
}
