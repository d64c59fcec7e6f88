package wire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/wire"
)

func TestRedirectsAreRefused(t *testing.T) {
	ca := newAuthority(t, "CA")
	conf := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}, MinVersion: tls.VersionTLS12}
	cases := map[string]struct {
		status           int
		location, target string
	}{
		"other host":  {302, "https://evil.example/steal?token=canary", "https://evil.example;"},
		"plain http":  {301, "http://user:canary@127.0.0.1/x", "http://127.0.0.1;"},
		"relative":    {307, "/login?next=canary", "https://127.0.0.1:"},
		"none":        {308, "", "no address at all"},
		"broken":      {303, "https://%zz", "an unreadable address"},
		"other class": {300, "https://a.example", "https://a.example;"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			calls := 0
			s := serve(t, conf, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				if c.location != "" {
					w.Header().Set("Location", c.location)
				}
				w.WriteHeader(c.status)
			})
			_, err := fetch(t, trusted(t, ca, s.URL), s.URL)
			if !failure.Is(err, failure.Network) || !wire.Redirected(err) || wire.NeverSent(err) {
				t.Fatalf("%v (redirected %v, never sent %v)", err, wire.Redirected(err), wire.NeverSent(err))
			}
			mustContain(t, "message", err.Error(), c.target, "not followed", "no credentials were sent")
			if strings.Contains(err.Error(), "canary") || calls != 1 {
				t.Errorf("%d calls: %v", calls, err)
			}
			if name == "broken" {
				return // net/http itself refuses it
			}
			// On request the caller gets the answer itself; still nothing is followed.
			o := trusted(t, ca, s.URL)
			o.KeepRedirects = true
			if _, err := fetch(t, o, s.URL); err != nil || calls != 2 {
				t.Errorf("kept: %v, %d calls", err, calls)
			}
		})
	}
}

// tunnel is a small CONNECT proxy.
func tunnel(t *testing.T, refuse int) (*url.URL, *[]string) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Method+" "+r.Host)
		mu.Unlock()
		if refuse != 0 {
			w.WriteHeader(refuse)
			return
		}
		upstream, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(upstream, conn); _ = upstream.Close() }()
		_, _ = io.Copy(conn, upstream)
		_ = conn.Close()
	}))
	t.Cleanup(s.Close)
	u, _ := url.Parse(s.URL)
	return u, &asked
}

func TestProxies(t *testing.T) {
	ca := newAuthority(t, "CA")
	s := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}, MinVersion: tls.VersionTLS12}, nil)
	through := func(u *url.URL, err error) wire.Options {
		o := trusted(t, ca, s.URL)
		o.Proxy = func(*url.URL) (*url.URL, error) { return u, err }
		return o
	}
	good, asked := tunnel(t, 0)
	if body, err := fetch(t, through(good, nil), s.URL); err != nil || body != "ok" || len(*asked) != 1 {
		t.Errorf("%q %v, proxy was asked %v", body, err, *asked)
	}
	// Another environment's proxy must not matter.
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	if _, err := fetch(t, trusted(t, ca, s.URL), s.URL); err != nil {
		t.Errorf("the environment was read: %v", err)
	}
	closed := refusedURL(t)
	closed.User = url.UserPassword("u", "canary")
	denies, _ := tunnel(t, http.StatusForbidden)
	wants, _ := tunnel(t, http.StatusProxyAuthRequired)
	cases := map[string]struct {
		proxy *url.URL
		err   error
		part  string
	}{
		"refuses": {denies, nil, "answered 403"},
		"login":   {wants, nil, "answered 407"},
		"closed":  {closed, nil, "through the proxy: connection refused"},
		"invalid": {nil, errors.New("canary"), "not a usable address"},
	}
	for name, c := range cases {
		_, err := fetch(t, through(c.proxy, c.err), s.URL)
		if !failure.Is(err, failure.Network) || !wire.NeverSent(err) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v (never sent %v)", name, err, wire.NeverSent(err))
			continue
		}
		mustContain(t, name, err.Error(), c.part)
		mustContain(t, name, failure.HintOf(err), "HTTPS_PROXY")
	}
}

// refusedURL is an address where nobody listens.
func refusedURL(t *testing.T) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return &url.URL{Scheme: "https", Host: l.Addr().String()}
}

func TestNeverSentIsOnlyTrueBeforeTheFirstByte(t *testing.T) {
	ca := newAuthority(t, "CA")
	conf := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}, MinVersion: tls.VersionTLS12}
	handlers := map[string]http.HandlerFunc{
		"drop": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hang": func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"truncate": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	}
	for name, handler := range handlers {
		for _, http2 := range []bool{true, false} {
			s := httptest.NewUnstartedServer(handler)
			s.TLS, s.EnableHTTP2 = conf.Clone(), http2
			s.StartTLS()
			o := trusted(t, ca, s.URL)
			client, err := wire.NewHTTP(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			request, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, nil)
			answer, err := client.Do(request)
			if err == nil {
				_, err = wire.ReadBody(answer.Body, 1000)
				_ = answer.Body.Close()
			}
			err = wire.Explain(o, err)
			if !failure.Is(err, failure.Network) || wire.NeverSent(err) {
				t.Errorf("%s, http2 %v: never sent %v: %v", name, http2, wire.NeverSent(err), err)
			}
			cancel()
			client.CloseIdleConnections()
			s.Close()
		}
	}
	u := refusedURL(t)
	o := trusted(t, ca, u.String())
	_, err := fetch(t, o, u.String())
	if !failure.Is(err, failure.Network) || !wire.NeverSent(err) {
		t.Errorf("refused: %v", err)
	}
	mustContain(t, "refused", err.Error(), "connection refused", u.String())
	mustContain(t, "refused", failure.HintOf(err), "vms.address (flag --vms-address)")
}

// A server that accepts and never shakes hands is given up at the caller's deadline.
func TestSilentHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	where := "https://" + l.Addr().String()
	o := trusted(t, newAuthority(t, "CA"), where)
	client, err := wire.NewHTTP(o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for name, c := range map[string]struct {
		end  error
		kind failure.Kind
	}{"late": {context.DeadlineExceeded, failure.Network}, "interrupted": {context.Canceled, failure.Cancelled}} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if errors.Is(c.end, context.Canceled) {
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		request, _ := http.NewRequestWithContext(ctx, http.MethodPost, where, nil)
		_, err = client.Do(request) //nolint:bodyclose // there is none
		cancel()
		if err = wire.Explain(o, err); !failure.Is(err, c.kind) || !wire.NeverSent(err) {
			t.Errorf("%s: never sent %v: %v", name, wire.NeverSent(err), err)
		}
		if c.kind == failure.Network {
			mustContain(t, name, err.Error(), "in time", where)
			mustContain(t, name, failure.HintOf(err), "--timeout")
		}
	}
}

func TestExplain(t *testing.T) {
	o := wire.Options{Group: "s3", Address: wire.Origin{Value: "https://user:canary@s3.example/x?canary", Source: "env S3"}}
	wrap := func(err error) error { return &url.Error{Op: "Get", URL: "https://s3.example/x?canary=1", Err: err} }
	cases := map[string]struct {
		err  error
		kind failure.Kind
		part string
	}{
		"cancelled": {wrap(context.Canceled), failure.Cancelled, "interrupted"},
		"deadline":  {wrap(context.DeadlineExceeded), failure.Network, "in time"},
		"no host":   {wrap(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "s3.\x1bexample", IsNotFound: true}}), failure.Network, `no such host "s3.\x1bexample"`},
		"eof":       {wrap(io.EOF), failure.Network, "was lost"},
		"known":     {wrap(failure.New(failure.TooLarge, "x")), failure.TooLarge, "x"},
		"other":     {wrap(errors.New("odd\nthing")), failure.Network, `odd\nthing`},
		"not TLS":   {wrap(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), failure.Network, "does not speak TLS"},
	}
	for name, c := range cases {
		err := wire.Explain(o, c.err)
		if failure.KindOf(err) != c.kind || strings.Contains(err.Error(), "canary") || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %v %v", name, failure.KindOf(err), err)
		}
		mustContain(t, name, err.Error(), c.part)
	}
	if wire.Explain(o, nil) != nil {
		t.Error("nil became an error")
	}
	if !errors.Is(wire.Explain(o, wrap(io.EOF)), io.EOF) {
		t.Error("the cause is gone")
	}
}

// A server may send back what it was sent: what cannot be parsed is not repeated.
func TestNoHTTPIsNotRepeated(t *testing.T) {
	ca := newAuthority(t, "CA")
	conf := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	for name, answer := range map[string]string{
		"header": "HTTP/1.1 200 OK\r\nLocation: canary\x1b\r\n\r\n", "status": "HTTP/1.1 canary\r\n\r\n", "no HTTP": "SSH-2.0-canary\r\n",
	} {
		s := serve(t, conf, func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		})
		_, err := fetch(t, trusted(t, ca, s.URL), s.URL)
		if !failure.Is(err, failure.Network) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		} else {
			mustContain(t, name, err.Error(), "not HTTP")
		}
	}
}

func TestOldTLS(t *testing.T) {
	ca := newAuthority(t, "CA")
	s := serve(t, &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))},
		MinVersion:   tls.VersionTLS10, MaxVersion: tls.VersionTLS11, // #nosec G402 -- that is the test
	}, nil)
	_, err := fetch(t, trusted(t, ca, s.URL), s.URL)
	if !failure.Is(err, failure.Network) {
		t.Fatal(err)
	}
	mustContain(t, "old TLS", failure.HintOf(err), "TLS 1.2")
}

func TestTraceTellsNoSecrets(t *testing.T) {
	ca := newAuthority(t, "CA")
	s := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}, MinVersion: tls.VersionTLS12},
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Seen-Agent", r.UserAgent())
			_, _ = io.WriteString(w, r.UserAgent())
		})
	var lines []string
	o := trusted(t, ca, s.URL)
	o.UserAgent = "valetkey/1"
	o.Trace = func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	body, err := fetch(t, o, s.URL+"/api/s3keys/CANARY%2FKEY%3D/?q=CANARY")
	if err != nil || body != "valetkey/1" {
		t.Fatalf("%q %v", body, err)
	}
	if len(lines) != 1 || strings.Contains(lines[0], "CANARY") || !strings.HasPrefix(lines[0], "GET /api/s3keys/****/ 200 ") {
		t.Errorf("%q", lines)
	}
}

func TestReadBody(t *testing.T) {
	if b, err := wire.ReadBody(strings.NewReader("12345"), 5); err != nil || string(b) != "12345" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := wire.ReadBody(strings.NewReader("123456"), 5); !failure.Is(err, failure.Network) || !strings.Contains(err.Error(), "5 bytes") {
		t.Errorf("%v", err)
	}
	if _, err := wire.ReadBody(bufio.NewReader(endless{}), 1<<20); !failure.Is(err, failure.Network) || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("%v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestNormalizeAddress(t *testing.T) {
	good := map[string]string{
		"vms":                       "https://vms",
		" VMS.Example. ":            "https://vms.example.",
		"vms:443":                   "https://vms",
		"vms:08443":                 "https://vms:8443",
		"https://Vms.Example:8443/": "https://vms.example:8443",
		"HTTPS://vms":               "https://vms",
		"10.0.0.1":                  "https://10.0.0.1",
		"::1":                       "https://[::1]",
		"[::1]:8443":                "https://[::1]:8443",
		"[FE80:0::1]":               "https://[fe80::1]",
		"my_lab-1":                  "https://my_lab-1",
	}
	for raw, want := range good {
		if u, err := wire.NormalizeAddress(raw); err != nil || u.String() != want {
			t.Errorf("%q: %v %v, want %s", raw, u, err, want)
		}
	}
	for _, raw := range []string{
		"", " ", "http://vms", "ftp://vms", "https://", "https://u:canary@vms", "canary@vms", "vms/api", "https://vms/?x", "vms#x", "vms:", "vms:0", "vms:65536", "vms:x",
		"a b", "a\nb", "vms:1:2", "[vms]", "[::1", "fe80::1%eth0", "münchen", "..", "a\\b", "https:/vms", "https://https://vms",
	} {
		u, err := wire.NormalizeAddress(raw)
		if !failure.Is(err, failure.Config) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v %v", raw, u, err)
		}
	}
}

func FuzzNormalizeAddress(f *testing.F) {
	for _, seed := range []string{"vms", "https://vms:8443/", "[::1]:1", "::1", "a@b", "x:y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := wire.NormalizeAddress(raw)
		if err != nil {
			return
		}
		again, err := wire.NormalizeAddress(u.String())
		if err != nil || again.String() != u.String() {
			t.Errorf("%q: %v then %v %v", raw, u, again, err)
		}
		if parsed, err := url.Parse(u.String()); err != nil || parsed.Host != u.Host || parsed.Path != "" || parsed.User != nil {
			t.Errorf("%q: %v %v", raw, parsed, err)
		}
	})
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü 漢": "plain ü 漢", "a\nb\tc": `a\nb\tc`, "\x1b[31m": `\x1b[31m`, "\xff": `\xff`, "\u202e": `\u202e`, "\u200b": `\u200b`, "\uFFFD": "\uFFFD", "\u00a0": `\u00a0`,
	} {
		if got := wire.Visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := wire.Excerpt("  äää ", 3); got != "ä…" {
		t.Errorf("%q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		out := wire.Visible(string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")))
		for _, r := range out {
			if unicode.IsControl(r) {
				t.Fatalf("%q", out)
			}
		}
	})
}
