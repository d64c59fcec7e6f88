// Package vault is valetkey's client of HashiCorp Vault: logins, the token's
// own affairs, and KV v2 with check-and-set.
//
// It speaks the HTTP API itself, over the http.Client it is given. Vault's own
// Go client was weighed and left out of the program: its constructor always
// reads the VAULT_ variables and opens the files they name, it follows
// redirects and reads answers of any size, and linking it costs every command
// more than a millisecond at start. Here nothing takes effect that is not in
// [Config]. (The sandbox's Vault is tested with HashiCorp's client.)
//
// Errors are of package failure. A 403 is Auth when the token itself is not
// taken, else Forbidden; a lost check-and-set is Conflict; sealed,
// uninitialized, standby, failing or unintelligible servers are Network.
package vault

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

const (
	// maxAnswer bounds every answer. Vault takes requests of 32 MiB by
	// default, so nothing it stored is larger.
	maxAnswer = 32 << 20
	// longest is the deadline of a request whose context has none.
	longest = time.Minute
)

// Config is all that a Client knows.
type Config struct {
	Address   string       // https://host[:port]; a path in front of /v1/ is kept
	Namespace string       // of Vault Enterprise; empty is the root
	Token     secret.Text  // empty: only logins work until [Client.SetToken]
	HTTP      *http.Client // required; it holds TLS, proxies and the refusal of redirects

	// Explain turns an error of HTTP into one that names the setting at
	// fault. Nil wraps it as a network failure.
	Explain func(error) error
	// Trace is told of every request and answer: method, path, status, never
	// a header or a body. It may be nil.
	Trace func(format string, args ...any)
	// Pause waits up to max before a retry, less at random, and ends early
	// with the context's error. Nil is a timer with jitter.
	Pause func(ctx context.Context, max time.Duration) error
}

// Client talks to one Vault in one namespace. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	namespace string
	http      *http.Client
	explain   func(error) error
	trace     func(string, ...any)
	pause     func(context.Context, time.Duration) error

	mu    sync.Mutex
	token secret.Text
	kv2   map[string]bool // mounts known to be KV v2
}

// New returns a client; nothing is sent. A bad address is failure.Config.
func New(c Config) (*Client, error) {
	if c.HTTP == nil {
		return nil, failure.New(failure.Internal, "vault client without an HTTP client")
	}
	if c.Address == "" {
		return nil, failure.New(failure.Config, "no vault address").
			WithHint("set VALETKEY_VAULT_ADDRESS or VAULT_ADDR, or give --vault-address")
	}
	base, err := url.Parse(c.Address)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		// The address is not repeated: it may hold a password.
		return nil, failure.New(failure.Config, "vault.address is not an address of the form https://host[:port]")
	}
	if err := checkNamespace(c.Namespace); err != nil {
		return nil, err
	}
	client := &Client{
		base: base, namespace: strings.Trim(c.Namespace, "/"), http: c.HTTP, explain: c.Explain, trace: c.Trace, pause: c.Pause,
		token: c.Token, kv2: map[string]bool{},
	}
	if client.explain == nil {
		client.explain = func(err error) error { return failure.Wrap(failure.Network, err, "reach vault at %s", base.Host) }
	}
	if client.trace == nil {
		client.trace = func(string, ...any) {}
	}
	if client.pause == nil {
		client.pause = pause
	}
	return client, nil
}

func checkNamespace(ns string) error {
	for _, r := range ns {
		if r <= ' ' || r > '~' {
			return failure.New(failure.Config, "vault.namespace holds a character that a namespace cannot have")
		}
	}
	return nil
}

// SetToken makes t the token of all later requests. An empty one is none.
func (c *Client) SetToken(t secret.Text) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = t
}

func (c *Client) currentToken() secret.Text {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

// cleanPath checks a path of a mount or a secret and returns its segments
// joined by slashes, unescaped. Every segment is one folder: none can climb
// out of its place or reach into the query.
func cleanPath(kind failure.Kind, what, path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", failure.New(kind, "%s is empty", what)
	}
	for _, segment := range strings.Split(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", failure.New(kind, "%s %q has an empty part, or one that is . or ..", what, path)
		}
		for _, r := range segment {
			// Vault answers a path with unprintable characters with an empty 400.
			if !printable(r) {
				return "", failure.New(kind, "%s %q has a character that cannot be printed", what, path)
			}
		}
	}
	return path, nil
}
