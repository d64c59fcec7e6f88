package vms_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vms"
	"github.com/valetkey/valetkey/pkg/vms/vmsfacts"
	"github.com/valetkey/valetkey/pkg/wire"
)

const canary = "canary-Passw0rd"

var facts = sync.OnceValues(vmsfacts.New)

// fake is a VMS whose answers a test scripts. It holds every request against
// the facts of the API, and keeps what it saw.
type fake struct {
	*httptest.Server
	trace []string

	mu   sync.Mutex
	seen []string // "METHOD path?query body"
	auth []string
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...)
}

func (f *fake) authorizations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.auth...)
}

func newFake(t *testing.T, handler http.HandlerFunc) *fake {
	t.Helper()
	checker, err := facts()
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checker.CheckRequest(r); err != nil {
			t.Errorf("the API does not take this: %v", err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		f.mu.Lock()
		f.seen = append(f.seen, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, body)))
		f.auth = append(f.auth, r.Header.Get("Authorization"))
		f.mu.Unlock()
		handler(w, r)
	}))
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

// client is a client of the fake as alice, with changes.
func (f *fake) client(t *testing.T, changes ...func(*vms.Config)) *vms.Client {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	options := wire.Options{
		Group: "vms", Address: wire.Origin{Value: f.URL}, CAFile: wire.Origin{Value: ca},
		Trace: func(format string, args ...any) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.trace = append(f.trace, fmt.Sprintf(format, args...))
		},
	}
	http, err := wire.NewHTTP(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.CloseIdleConnections)
	config := vms.Config{
		Address: f.URL, Username: "alice", HTTP: http,
		Password: func(context.Context) (secret.Text, error) { return secret.FromString(canary), nil },
		Explain:  func(err error) error { return wire.Explain(options, err) },
	}
	for _, change := range changes {
		change(&config)
	}
	c, err := vms.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c.WithoutPauses()
}

// answers replies with the status and body whatever is asked.
func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) }
}

func reply(w http.ResponseWriter, status int, body string) {
	if strings.HasPrefix(body, "<") {
		w.Header().Set("Content-Type", "text/html")
	} else if body != "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// memory is a LoginStore.
type memory struct {
	mu    sync.Mutex
	login *vms.Login
	saves int
	err   error
}

func (m *memory) Load(context.Context) (*vms.Login, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.login, m.err
}

func (m *memory) Save(_ context.Context, l *vms.Login) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.login = l
	m.saves++
	return m.err
}

func login(access, refresh string) *vms.Login {
	return &vms.Login{Access: secret.FromString(access), Refresh: secret.FromString(refresh)}
}

func mustContain(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: %q lacks %q", what, text, part)
		}
	}
}
