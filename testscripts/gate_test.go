//go:build unix

package testscripts

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

// moment is when something happens to a process, seen from one of its requests.
type moment string

const (
	onArrival moment = "not done"           // the server never sees it
	onceDone  moment = "done, not answered" // the server did it, and the answer is lost
	answered  moment = "answered"
)

// gate stands between valetkey and the servers of a sandbox. It numbers the
// requests of a process, and does something at one of them.
type gate struct {
	vms, s3, ca string // what valetkey is told

	mu    sync.Mutex
	calls []call
	trap  trap
}

// trap is what happens at one request.
type trap struct {
	at   func(n int, what string) bool // n counts from 0; nil is never
	when moment
	do   func()
}

// call is one request: what it was, when it came and when its answer left.
type call struct {
	what       string
	came, left time.Time
}

var accessKey = regexp.MustCompile(`\b[A-Z0-9]{20}\b`)

func newGate(t *testing.T, s *sandbox.Sandbox) *gate {
	t.Helper()
	g := &gate{ca: filepath.Join(t.TempDir(), "gate.pem")}
	authority, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	front := func(server, upstream string) string {
		target, err := url.Parse(upstream)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httptest.NewUnstartedServer(g.handler(server, target, transport))
		proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // the dead shake no hands
		proxy.StartTLS()
		t.Cleanup(proxy.Close)
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})
		if err := os.WriteFile(g.ca, certificate, 0o600); err != nil { // the same for all
			t.Fatal(err)
		}
		return proxy.URL
	}
	g.vms, g.s3 = front("VMS", s.VMS()), front("S3", s.S3())
	return g
}

// env leads valetkey through the gate.
func (g *gate) env() []string {
	return []string{"VALETKEY_VMS_ADDRESS=" + g.vms, "VALETKEY_VMS_CA_FILE=" + g.ca, "VALETKEY_S3_ENDPOINT=" + g.s3, "AWS_CA_BUNDLE=" + g.ca}
}

// watch forgets what was, and sets the trap.
func (g *gate) watch(t trap) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls, g.trap = nil, t
}

func (g *gate) left(n int, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n < len(g.calls) && g.calls[n].what == name {
		g.calls[n].left = time.Now()
	}
}

// seen are the requests since watch.
func (g *gate) seen() []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]call{}, g.calls...)
}

var errGate = errors.New("the gate is shut")

func (g *gate) handler(server string, target *url.URL, transport http.RoundTripper) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Method + " " + accessKey.ReplaceAllString(strings.TrimPrefix(r.URL.Path, "/api/"), "KEY")
		if server == "S3" {
			name = "the proof at S3"
		}
		g.mu.Lock()
		n := len(g.calls)
		g.calls = append(g.calls, call{what: name, came: time.Now()})
		caught := g.trap
		if caught.at == nil || !caught.at(n, name) {
			caught.when = ""
		}
		g.mu.Unlock()
		if caught.when == onArrival {
			caught.do()
			panic(http.ErrAbortHandler)
		}
		proxy := &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(target)
				p.Out.Host = p.In.Host // it is signed
			},
			ModifyResponse: func(*http.Response) error {
				if caught.when == onceDone {
					caught.do()
					return errGate
				}
				return nil
			},
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		}
		proxy.ServeHTTP(w, r)
		_ = http.NewResponseController(w).Flush()
		g.left(n, name)
		if caught.when == answered {
			caught.do()
		}
	})
}
