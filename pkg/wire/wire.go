// Package wire is the one HTTP transport under the clients of VMS, Vault and S3.
//
// It verifies TLS (by the system's authorities, a CA file or a public-key pin),
// speaks through the proxy it is given, follows no redirect and turns what goes
// wrong on the way into errors a person can act on. It reads no environment:
// every setting arrives as a value with the place it came from, so that a
// message can name that place.
package wire

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Limits of one connection. What bounds a whole call is the caller's context, and
// it alone bounds the handshake: that is computed on both sides, and a machine
// that is overloaded needs the time it was given.
const (
	dialTimeout    = 10 * time.Second
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 1 << 20
)

// Origin is the value of a setting and where it came from, such as
// "env VALETKEY_VMS_CA_FILE", "flag --vms-ca-file" or "profile x (FILE:7)".
type Origin struct{ Value, Source string }

func (o Origin) set() bool { return o.Value != "" }

// Options say how to reach one server. They are values: nothing is read from
// the environment. The zero value verifies against the system's authorities.
type Options struct {
	// Group is the first part of the settings' names in messages: vms, vault, s3.
	Group string
	// Address of the server; used in messages only.
	Address Origin

	// CAFile is a PEM file whose certificates replace the system's authorities.
	CAFile Origin
	// ServerName is the name the certificate must have, and the SNI sent.
	ServerName Origin
	// PinSHA256 is the SHA-256 of the server's public key (SubjectPublicKeyInfo),
	// as "sha256//BASE64", base64 or hex; several are separated by ";". A pin
	// replaces every other check of the certificate.
	PinSHA256 Origin
	// ClientCert and ClientKey are PEM files; both or neither.
	ClientCert, ClientKey Origin
	// Insecure accepts any certificate; a pin is still checked.
	Insecure bool

	// Proxy chooses the proxy for a URL; nil, or a nil answer, is a direct connection.
	Proxy func(*url.URL) (*url.URL, error)
	// UserAgent is sent with requests that carry none.
	UserAgent string
	// KeepRedirects hands 3xx answers to the caller instead of refusing them.
	// They are never followed either way.
	KeepRedirects bool
	// Trace is told method, path without access keys, status and duration of each
	// request; never a query, a header or a body. It may be nil, and must be safe
	// for concurrent use otherwise.
	Trace func(format string, args ...any)
}

// setting names a setting of the group and its source, as in
// "vms.ca_file (env VALETKEY_VMS_CA_FILE)".
func (o Options) setting(name string, from Origin) string {
	if o.Group == "s3" && name == "address" {
		name = "endpoint" // as it is called there
	}
	if o.Group != "" {
		name = o.Group + "." + name
	}
	if from.Source == "" || from.Source == "default" {
		return name
	}
	return name + " (" + Visible(from.Source) + ")"
}

// where is the server in messages: scheme and host, never user information.
func (o Options) where() string {
	raw := o.Address.Value
	if u, err := NormalizeAddress(raw); err == nil {
		return origin(u)
	}
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return origin(u)
	}
	if o.Group == "" {
		return "the server"
	}
	return "the " + o.Group + " server"
}

// NewHTTP returns a client for the server. It keeps connections alive, speaks
// HTTP/2 where the server does, and never follows a redirect: a 3xx answer is a
// failure.Network that names the target's scheme and host. It has no timeout of
// its own beyond 10 s for dialling: every request needs a context that ends. A
// handshake that nobody waits for any more ends with CloseIdleConnections.
//
// An unreadable or invalid CA file, pin or client certificate is failure.Config,
// naming the setting and its source. The client is safe for concurrent use; its
// errors are made readable by [Explain].
func NewHTTP(o Options) (*http.Client, error) {
	conf, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	base := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        conf,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		// What arrives is what was sent: a small answer cannot unfold into a
		// large one, and a stored gzip object stays as it is.
		DisableCompression: true,
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			return &proxyError{proxy: origin(proxy), reason: fmt.Sprintf("it answered %d", answer.StatusCode), status: answer.StatusCode}
		},
	}
	if o.Proxy != nil {
		base.Proxy = func(r *http.Request) (*url.URL, error) {
			u, err := o.Proxy(r.URL)
			if err != nil {
				return nil, &proxyError{reason: "its setting is not a usable address"}
			}
			return u, nil
		}
	}
	return &http.Client{
		Transport: &transport{base: base, options: o},
		// Only reached with KeepRedirects: the answer goes to the caller as it is.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// transport refuses redirects, notes whether a failed request can have left, and traces.
type transport struct {
	base    *http.Transport
	options Options
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	// A request is written to a connection only after one was obtained, and
	// obtaining includes proxy and handshake. Without one no byte of it left.
	var touched atomic.Bool
	touch := func() { touched.Store(true) }
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn:          func(httptrace.GotConnInfo) { touch() },
		WroteHeaderField: func(string, []string) { touch() },
		WroteHeaders:     touch,
		WroteRequest:     func(httptrace.WroteRequestInfo) { touch() },
	})
	sent := r.WithContext(ctx)
	if t.options.UserAgent != "" && r.Header.Get("User-Agent") == "" {
		sent.Header = r.Header.Clone()
		if sent.Header == nil {
			sent.Header = http.Header{}
		}
		sent.Header.Set("User-Agent", t.options.UserAgent)
	}

	start := time.Now() //nolint:forbidigo // a duration for the trace, not a decision
	answer, err := t.base.RoundTrip(sent)
	t.trace(r, answer, time.Since(start))
	if err != nil {
		if !touched.Load() {
			return nil, failure.Mark(err, errNeverSent)
		}
		return nil, err
	}
	// Callers compare their own request with the answer's, not our copy of it.
	answer.Request = r
	if redirects(answer.StatusCode) && !t.options.KeepRedirects {
		_ = answer.Body.Close()
		return nil, refuseRedirect(r.URL, answer)
	}
	return answer, nil
}

// CloseIdleConnections lets http.Client close what is not in use.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

func (t *transport) trace(r *http.Request, answer *http.Response, took time.Duration) {
	if t.options.Trace == nil {
		return
	}
	took = took.Round(time.Millisecond)
	if answer == nil {
		t.options.Trace("%s %s failed after %s", r.Method, maskPath(r.URL), took)
		return
	}
	t.options.Trace("%s %s %d %s", r.Method, maskPath(r.URL), answer.StatusCode, took)
}

// maskPath is the path with the access key of /s3keys/{access_key}/ hidden.
func maskPath(u *url.URL) string {
	parts := strings.Split(u.EscapedPath(), "/")
	for i := 1; i < len(parts); i++ {
		if parts[i-1] == "s3keys" && parts[i] != "" {
			parts[i] = "****"
		}
	}
	return Visible(strings.Join(parts, "/"))
}
