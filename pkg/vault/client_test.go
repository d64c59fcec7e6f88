package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/sandbox/vaulttest"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vault"
)

const rootToken = "hvs.root-canary"

func noPause(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// serve starts a TLS server for the handler and returns a client of it.
func serve(t *testing.T, h http.Handler, change ...func(*vault.Config)) *vault.Client {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	hc := srv.Client()
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	conf := vault.Config{Address: srv.URL, HTTP: hc, Token: secret.FromString(rootToken), Pause: noPause}
	for _, f := range change {
		f(&conf)
	}
	c, err := vault.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sandbox(t *testing.T) *vaulttest.Server {
	t.Helper()
	s, err := vaulttest.New(vaulttest.Options{
		RootToken: secret.FromString(rootToken), RoleID: "role", SecretID: "sid-canary",
		Users: map[string]secret.Text{"alice": secret.FromString("pw-canary")}, MountsV1: []string{"old"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantKind(t *testing.T, err error, want failure.Kind) {
	t.Helper()
	if err == nil || failure.KindOf(err) != want {
		t.Errorf("error %v is %v, want %v", err, failure.KindOf(err), want)
	}
}

func TestSecrets(t *testing.T) {
	c, ctx := serve(t, sandbox(t)), t.Context()
	const path = "team one/job %2e+é"
	got, err := c.ReadSecret(ctx, "secret", path)
	if err != nil || got.Version != 0 || got.Data != nil || got.Deleted {
		t.Fatalf("absent: %+v %v", got, err)
	}
	const data = `{"jobName":"a/b","secretsJson":"{\"n\":9007199254740993,\"s\":\"\\ud800<\"}"}`
	wrote, err := c.WriteSecret(ctx, "secret", path, json.RawMessage(data), 0)
	if err != nil || wrote.Version != 1 {
		t.Fatalf("write: %d %v", wrote.Version, err)
	}
	got, err = c.ReadSecret(ctx, "secret/", path)
	if err != nil || got.Version != 1 {
		t.Fatalf("read: %+v %v", got, err)
	}
	var a, b map[string]string
	if json.Unmarshal([]byte(data), &a) != nil || json.Unmarshal(got.Data, &b) != nil {
		t.Fatal("no objects")
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	_, err = c.WriteSecret(ctx, "secret", path, json.RawMessage(`{}`), 0)
	wantKind(t, err, failure.Conflict)
	if v, err := c.WriteSecret(ctx, "secret", path, json.RawMessage(`{}`), 1); err != nil || v.Version != 2 {
		t.Errorf("second write: %+v %v", v, err)
	}
	names, err := c.ListSecrets(ctx, "secret", "")
	if diff := cmp.Diff([]string{"team one/"}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
	names, err = c.ListSecrets(ctx, "secret", "team one")
	if diff := cmp.Diff([]string{"job %2e+é"}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
	names, err = c.ListSecrets(ctx, "secret", "nobody")
	if len(names) != 0 || err != nil {
		t.Error(names, err)
	}
}

func TestDeletedVersionKeepsItsNumber(t *testing.T) {
	s := sandbox(t)
	c, ctx := serve(t, s), t.Context()
	for cas := range 3 {
		if _, err := c.WriteSecret(ctx, "secret", "t/j", json.RawMessage(`{"a":"b"}`), cas); err != nil {
			t.Fatal(err)
		}
	}
	r := httptest.NewRequest("DELETE", "/v1/secret/data/t/j", nil)
	r.Header.Set("X-Vault-Token", rootToken)
	s.ServeHTTP(httptest.NewRecorder(), r)
	got, err := c.ReadSecret(ctx, "secret", "t/j")
	if err != nil || got.Version != 3 || !got.Deleted || got.Data != nil {
		t.Fatalf("%+v %v", got, err)
	}
	if v, err := c.WriteSecret(ctx, "secret", "t/j", json.RawMessage(`{}`), got.Version); err != nil || v.Version != 4 {
		t.Errorf("%+v %v", v, err)
	}
}

// Vault stores "data": null and answers it with 200.
func TestNullDataIsAnEmptyDocument(t *testing.T) {
	s := sandbox(t)
	c := serve(t, s)
	r := httptest.NewRequest("POST", "/v1/secret/data/t/j", strings.NewReader(`{"data":null}`))
	r.Header.Set("X-Vault-Token", rootToken)
	s.ServeHTTP(httptest.NewRecorder(), r)
	got, err := c.ReadSecret(t.Context(), "secret", "t/j")
	if err != nil || got.Version != 1 || string(got.Data) != "{}" {
		t.Errorf("%s %+v %v", got.Data, got, err)
	}
}

func TestMountsThatAreNotKV2(t *testing.T) {
	c, ctx := serve(t, sandbox(t)), t.Context()
	_, err := c.ReadSecret(ctx, "old", "t/j")
	wantKind(t, err, failure.Config)
	_, err = c.WriteSecret(ctx, "old", "t/j", json.RawMessage(`{}`), 0)
	wantKind(t, err, failure.Config)
	_, err = c.ListSecrets(ctx, "old", "t")
	wantKind(t, err, failure.Config)
	_, err = c.ReadSecret(ctx, "nope", "t/j")
	wantKind(t, err, failure.NotFound)
	_, err = c.ReadSecret(ctx, "secret/t", "j")
	wantKind(t, err, failure.Config)
	for _, bad := range []string{"", "a/../b", "a//b", "a\x00b"} {
		_, err = c.ReadSecret(ctx, bad, "t/j")
		wantKind(t, err, failure.Config)
		_, err = c.ReadSecret(ctx, "secret", bad)
		wantKind(t, err, failure.Usage)
	}
}

func TestLogins(t *testing.T) {
	c, ctx := serve(t, sandbox(t)), t.Context()
	c.SetToken(secret.Text{})
	_, err := c.LookupSelf(ctx)
	wantKind(t, err, failure.Auth)
	if !strings.Contains(failure.HintOf(err), "login vault") {
		t.Errorf("hint %q", failure.HintOf(err))
	}

	for name, login := range map[string]func() (vault.Login, error){
		"approle": func() (vault.Login, error) { return c.LoginAppRole(ctx, "", "role", secret.FromString("sid-canary")) },
		"userpass": func() (vault.Login, error) {
			return c.LoginUserpass(ctx, "auth/userpass", "alice", secret.FromString("pw-canary"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := login()
			if err != nil || got.Token.IsEmpty() || got.TTL <= 0 || !got.Renewable || got.Accessor == "" {
				t.Fatalf("%+v %v", got, err)
			}
			c.SetToken(got.Token)
			own, err := c.LookupSelf(ctx)
			if err != nil || own.Accessor != got.Accessor || own.TTL <= 0 || own.Expires.IsZero() || !strings.HasPrefix(own.DisplayName, name) {
				t.Errorf("%+v %v", own, err)
			}
			if diff := cmp.Diff([]string{"default", "valetkey"}, own.Policies); diff != "" {
				t.Error(diff)
			}
			renewed, err := c.RenewSelf(ctx, 30*time.Minute)
			if err != nil || renewed.TTL != 30*time.Minute {
				t.Errorf("%+v %v", renewed, err)
			}
			if err := c.RevokeSelf(ctx); err != nil {
				t.Error(err)
			}
			_, err = c.LookupSelf(ctx)
			wantKind(t, err, failure.Auth)
		})
	}
	for name, login := range map[string]func() (vault.Login, error){
		"secret id": func() (vault.Login, error) { return c.LoginAppRole(ctx, "", "role", secret.FromString("wrong-canary")) },
		"role":      func() (vault.Login, error) { return c.LoginAppRole(ctx, "", "nobody", secret.FromString("sid-canary")) },
		"password": func() (vault.Login, error) {
			return c.LoginUserpass(ctx, "", "alice", secret.FromString("wrong-canary"))
		},
		"nothing": func() (vault.Login, error) { return c.LoginUserpass(ctx, "", "alice", secret.Text{}) },
	} {
		_, err := login()
		wantKind(t, err, failure.Auth)
		if strings.Contains(fmt.Sprint(err, failure.HintOf(err)), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = c.LoginAppRole(ctx, "nomount", "role", secret.FromString("x"))
	wantKind(t, err, failure.Auth) // without a token Vault does not tell what is mounted
	_, err = c.LoginAppRole(ctx, "", " ", secret.FromString("x"))
	wantKind(t, err, failure.Usage)
	_, err = c.LoginUserpass(ctx, "", "a/b", secret.FromString("x"))
	wantKind(t, err, failure.Usage)
	_, err = c.LoginUserpass(ctx, "", "alice", secret.FromString("\xff"))
	wantKind(t, err, failure.Usage)

	c.SetToken(secret.FromString(rootToken))
	_, err = c.RenewSelf(ctx, 0)
	wantKind(t, err, failure.Usage)
	own, err := c.LookupSelf(ctx)
	if err != nil || !own.Expires.IsZero() || own.DisplayName != "root" {
		t.Errorf("%+v %v", own, err)
	}
}

// A 403 is Auth when the token is not taken at all, and Forbidden otherwise.
func TestForbiddenOrNotLoggedIn(t *testing.T) {
	c, ctx := serve(t, sandbox(t)), t.Context()
	c.SetToken(secret.FromString("hvs.dead"))
	_, err := c.ReadSecret(ctx, "secret", "t/j")
	wantKind(t, err, failure.Auth)
	login, err := c.LoginAppRole(ctx, "", "role", secret.FromString("sid-canary"))
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(login.Token)
	_, err = c.ReadSecret(ctx, "old", "t/j")
	wantKind(t, err, failure.Forbidden)
	_, err = c.ListSecrets(ctx, "other", "t")
	wantKind(t, err, failure.Forbidden)
}

func TestSealed(t *testing.T) {
	s := sandbox(t)
	s.Seal()
	var n atomic.Int64
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.Add(1); s.ServeHTTP(w, r) }))
	_, err := c.ReadSecret(t.Context(), "secret", "t/j")
	wantKind(t, err, failure.Network)
	if !strings.Contains(err.Error(), "sealed") || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

// answers plays a server that gives the answers in turn, the last one for ever.
func answers(n *atomic.Int64, list ...func(http.ResponseWriter)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		i := int(n.Add(1)) - 1
		list[min(i, len(list)-1)](w)
	})
}

func say(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }
}

func drop(http.ResponseWriter) { panic(http.ErrAbortHandler) }

const document = `{"data":{"data":{"a":"b"},"metadata":{"version":7}}}`

func TestReadsAreRetriedTwice(t *testing.T) {
	for name, bad := range map[string]func(http.ResponseWriter){
		"500": say(500, `{"errors":["internal error"]}`), "502 of a proxy": say(502, "<html>"), "412": say(412, `{"errors":["required index state not present"]}`),
		"429": say(429, `{"errors":["request path \"x\": rate limit quota exceeded"]}`), "drop": drop,
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			c := serve(t, answers(&n, bad, bad, say(200, document)))
			got, err := c.ReadSecret(t.Context(), "secret", "t/j")
			if err != nil || got.Version != 7 || n.Load() != 3 {
				t.Errorf("%+v %v after %d", got, err, n.Load())
			}
			n.Store(0)
			c = serve(t, answers(&n, bad))
			_, err = c.ReadSecret(t.Context(), "secret", "t/j")
			wantKind(t, err, failure.Network)
			if n.Load() != 3 {
				t.Errorf("%d requests", n.Load())
			}
		})
	}
}

// A write whose answer is lost may have been done: it is sent once.
func TestWritesAreSentOnce(t *testing.T) {
	for name, bad := range map[string]func(http.ResponseWriter){"500": say(500, `{"errors":["x"]}`), "drop": drop, "503": say(503, "")} {
		var n atomic.Int64
		c := serve(t, answers(&n, say(200, document), bad))
		if _, err := c.ReadSecret(t.Context(), "secret", "t/j"); err != nil {
			t.Fatal(err)
		}
		_, err := c.WriteSecret(t.Context(), "secret", "t/j", json.RawMessage(`{"k":"canary"}`), 7)
		wantKind(t, err, failure.Network)
		if n.Load() != 2 {
			t.Errorf("%s: %d requests", name, n.Load())
		}
	}
}

func TestStrangeAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   failure.Kind
		word   string
	}{
		{"html 500", 500, "<html>oops</html>", failure.Network, "not vault's"},
		{"html 200", 200, "<html>log in</html>", failure.Network, "not vault's"},
		{"html 404", 404, "<html>", failure.Network, "not vault's"},
		{"empty 404", 404, "", failure.Network, "not vault's"},
		{"json 404 of another server", 404, `{"message":"no"}`, failure.Network, "not vault's"},
		{"array", 200, `[1]`, failure.Network, "not vault's"},
		{"null", 200, `null`, failure.Network, ""},
		{"data is a list", 200, `{"data":[]}`, failure.Network, ""},
		{"no metadata", 200, `{"data":{"data":{}}}`, failure.Network, ""},
		{"data is text", 200, `{"data":{"data":"x","metadata":{"version":1}}}`, failure.Network, "no data"},
		{"version is text", 200, `{"data":{"data":{},"metadata":{"version":"1"}}}`, failure.Network, ""},
		{"deep", 200, `{"data":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, failure.Network, "not vault's"},
		{"redirect", 307, `{"errors":[]}`, failure.Network, "redirect"},
		{"standby", 473, `{"errors":[]}`, failure.Network, "standby"},
		{"dr secondary", 472, `{"errors":[]}`, failure.Network, "standby"},
		{"uninitialized", 501, `{"errors":["Vault is not initialized"]}`, failure.Network, "initialized"},
		{"too large", 413, `{"errors":["http: request body too large"]}`, failure.TooLarge, ""},
		{"too large for storage", 500, `{"errors":["1 error occurred:\n\t* put failed due to value being too large; got 9 bytes, max: 8 bytes\n\n"]}`, failure.TooLarge, ""},
		{"too long a string", 500, `{"errors":["JSON string value exceeds allowed length"]}`, failure.TooLarge, ""},
		{"bad request", 400, `{"errors":["what\n\u0007now"]}`, failure.Internal, "what now"},
		{"unsupported", 405, `{"errors":["unsupported operation"]}`, failure.Network, "405"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n atomic.Int64
			client := serve(t, answers(&n, say(c.status, c.body)))
			_, err := client.ReadSecret(t.Context(), "secret", "t/j")
			wantKind(t, err, c.want)
			if err != nil && (!strings.Contains(err.Error(), c.word) || strings.ContainsAny(err.Error(), "\n\a")) {
				t.Errorf("message %q", err)
			}
		})
	}
}

// What the server says about a write could repeat the secret.
func TestServerWordsDoNotRepeatSecrets(t *testing.T) {
	for _, body := range []string{`{"errors":["error converting input {canary}"]}`, `{"errors":["invalid secret_id \"canary\""]}`} {
		var n atomic.Int64
		c := serve(t, answers(&n, say(200, document), say(400, body)))
		_, err := c.ReadSecret(t.Context(), "secret", "t/j")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.WriteSecret(t.Context(), "secret", "t/j", json.RawMessage(`{"k":"canary"}`), 7)
		_, err2 := c.LoginAppRole(t.Context(), "", "r", secret.FromString("canary"))
		for _, err := range []error{err, err2} {
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v", err)
			}
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	var sent atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":"`)
		chunk := []byte(strings.Repeat("x", 1<<20))
		for range 2048 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			sent.Add(1)
		}
	})
	_, err := serve(t, h).ReadSecret(t.Context(), "secret", "t/j")
	wantKind(t, err, failure.Network)
	if sent.Load() > 100 {
		t.Errorf("%d MiB were taken", sent.Load())
	}
}

func TestDeadlineAndCancel(t *testing.T) {
	release := make(chan struct{})
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })
	c := serve(t, h)
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.ReadSecret(ctx, "secret", "t/j")
	wantKind(t, err, failure.Network)
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, err = c.ReadSecret(ctx, "secret", "t/j")
	wantKind(t, err, failure.Cancelled)
}

func TestExplainAndNeverRetriedFaults(t *testing.T) {
	explained := failure.New(failure.Network, "vault.address: refused")
	var seen int
	c, err := vault.New(vault.Config{
		Address: "https://127.0.0.1:1", HTTP: &http.Client{}, Token: secret.FromString("x"), Pause: noPause,
		Explain: func(error) error { seen++; return explained },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.ReadSecret(t.Context(), "secret", "t/j")
	if !errors.Is(err, explained) || seen != 1 {
		t.Errorf("%v, explained %d times", err, seen)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]vault.Config{
		"no address":  {HTTP: &http.Client{}},
		"plain http":  {HTTP: &http.Client{}, Address: "http://x"},
		"password":    {HTTP: &http.Client{}, Address: "https://u:canary@x"},
		"query":       {HTTP: &http.Client{}, Address: "https://x?a"},
		"namespace":   {HTTP: &http.Client{}, Address: "https://x", Namespace: "a\nb"},
		"socket":      {HTTP: &http.Client{}, Address: "unix:///run/x"},
		"no hostname": {HTTP: &http.Client{}, Address: "https://"},
	} {
		_, err := vault.New(c)
		wantKind(t, err, failure.Config)
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := vault.New(vault.Config{Address: "https://x"})
	wantKind(t, err, failure.Internal)
}

// Not one of the variables that Vault's own tools read has a say.
func TestEnvironmentHasNoSay(t *testing.T) {
	for _, name := range []string{
		"VAULT_ADDR", "VAULT_AGENT_ADDR", "VAULT_CACERT", "VAULT_CACERT_BYTES", "VAULT_CAPATH", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY",
		"VAULT_CLIENT_TIMEOUT", "VAULT_SRV_LOOKUP", "VAULT_SKIP_VERIFY", "VAULT_NAMESPACE", "VAULT_TLS_SERVER_NAME", "VAULT_WRAP_TTL",
		"VAULT_MAX_RETRIES", "VAULT_TOKEN", "VAULT_MFA", "VAULT_RATE_LIMIT", "VAULT_HTTP_PROXY", "VAULT_PROXY_ADDR", "VAULT_HEADERS",
		"VAULT_DISABLE_REDIRECTS", "VAULT_FORMAT",
	} {
		t.Setenv(name, "hostile")
	}
	var mu sync.Mutex
	var seen http.Header
	s := sandbox(t)
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = r.Header.Clone()
		mu.Unlock()
		s.ServeHTTP(w, r)
	}))
	if _, err := c.WriteSecret(t.Context(), "secret", "t/j", json.RawMessage(`{"a":"b"}`), 0); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"X-Vault-Token": {rootToken}, "X-Vault-Request": {"true"}, "Content-Type": {"application/json"},
		"Content-Length": {"38"}, "User-Agent": {"Go-http-client/1.1"}, "Accept-Encoding": {"gzip"},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

func TestNamespaceAndLoginHeaders(t *testing.T) {
	var mu sync.Mutex
	var seen []http.Header
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Clone())
		mu.Unlock()
		w.WriteHeader(400)
		_, _ = io.WriteString(w, `{"errors":["invalid credentials"]}`)
	})
	var lines []string
	c := serve(t, h, func(c *vault.Config) {
		c.Namespace = "/org/team/"
		c.Trace = func(f string, a ...any) { lines = append(lines, fmt.Sprintf(f, a...)) }
	})
	_, _ = c.LoginAppRole(t.Context(), "", "r", secret.FromString("sid-canary"))
	_, _ = c.LookupSelf(t.Context())
	if len(seen) != 2 || seen[0].Get("X-Vault-Token") != "" || seen[0].Get("X-Vault-Namespace") != "org/team" || seen[1].Get("X-Vault-Token") != rootToken {
		t.Errorf("%v", seen)
	}
	if trace := strings.Join(lines, "\n"); strings.Contains(trace, "canary") || !strings.Contains(trace, "POST auth/approle/login: 400") {
		t.Errorf("trace %s", trace)
	}
}
