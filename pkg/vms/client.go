// Package vms is a client of VMS, the management REST API of a VAST cluster.
//
// It authenticates by API token, by a stored login (JWT) or by user name and
// password, accepts the several shapes in which releases of VMS answer, and
// sends credentials to no address but the configured one. Requests that may be
// repeated are repeated twice after a failure of the way or of the server; a
// request that makes an access key is sent once, since its answer holds a secret
// that is shown only then.
//
// Errors are from package failure: Auth when VMS does not know the caller,
// Forbidden when it does and refuses, Network when VMS or the way to it fails or
// the answer makes no sense, NotFound, Conflict and KeyLimit for what these say,
// and Internal when VMS finds fault with the request itself.
package vms

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/wire"
)

// DefaultTimeout bounds one call, its repetitions included.
const DefaultTimeout = 30 * time.Second

// Config says which VMS to talk to and as whom. Of the ways to authenticate the
// first that is there is taken: Token, Login, then Username with Password.
type Config struct {
	// Address is a host, host:port or https URL.
	Address string
	// APIVersion is "" (paths begin with /api/), "latest" or "v" and a number.
	APIVersion string
	// Username of the caller; needed for a password and for Login.
	Username string
	// Password is asked when it is first needed, and at most once. It may prompt:
	// Timeout does not count while it runs. Nil means there is none.
	Password func(context.Context) (secret.Text, error)
	// Token is an API token (VAST 5.3 and later).
	Token secret.Text
	// Login is where the tokens of a login lie; nil means nowhere.
	Login LoginStore
	// Tenant selects the realm to authenticate in (VAST 5.3 and later), or is empty.
	Tenant string
	// HTTP carries the requests; it must not follow redirects (see [wire.NewHTTP]).
	HTTP *http.Client
	// Explain makes errors of HTTP readable; nil means wire.Explain without sources.
	Explain func(error) error
	// Now is the local clock; nil means time.Now.
	Now func() time.Time
	// Timeout bounds one call; zero means [DefaultTimeout].
	Timeout time.Duration
}

// Client talks to one VMS. It is safe for concurrent use.
type Client struct {
	base    url.URL // scheme and host
	prefix  string  // path of every call but those for tokens, as "/api/v5/"
	tenant  string
	http    *http.Client
	explain func(error) error
	now     func() time.Time
	timeout time.Duration
	auth    *auth
	pause   func(try int) time.Duration

	clock struct {
		sync.Mutex
		server, local time.Time // the last Date header, and when it came
	}
}

// knownVersion reports whether v is "latest" or "v" and a number.
func knownVersion(v string) bool {
	digits, found := strings.CutPrefix(v, "v")
	return v == "latest" || found && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// New returns a client. It does no I/O; a wrong value is failure.Config.
func New(c Config) (*Client, error) {
	address, err := wire.NormalizeAddress(c.Address)
	if err != nil {
		return nil, failure.Annotate(err, "vms.address")
	}
	prefix := "/api/"
	if c.APIVersion != "" {
		if !knownVersion(c.APIVersion) {
			return nil, failure.New(failure.Config, "vms.api_version %q is not known", wire.Visible(c.APIVersion)).
				WithHint("leave it empty, or give latest, v5 or another v and number")
		}
		prefix += c.APIVersion + "/"
	}
	// These go into headers, which would carry them nowhere else than meant.
	if strings.Contains(c.Username, ":") {
		return nil, failure.New(failure.Config, "vms.username must not contain a colon")
	}
	for name, value := range map[string]string{"vms.username": c.Username, "vms.tenant": c.Tenant, "vms.token": c.Token.Reveal()} {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, failure.New(failure.Config, "%s contains a control character", name)
		}
	}
	if c.HTTP == nil {
		return nil, failure.New(failure.Internal, "a VMS client needs an HTTP client")
	}
	if c.Explain == nil {
		options := wire.Options{Group: "vms", Address: wire.Origin{Value: address.String()}}
		c.Explain = func(err error) error { return wire.Explain(options, err) }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	client := &Client{
		base: *address, prefix: prefix, tenant: c.Tenant, http: c.HTTP,
		explain: c.Explain, now: c.Now, timeout: c.Timeout, pause: pause,
	}
	client.auth = newAuth(client, c)
	return client, nil
}

// Address is the server in its normal form, https://host[:port].
func (c *Client) Address() string { return c.base.String() }

// ServerTime is the time by the clock of VMS, from the Date header of its
// answers: never later than that clock, and at most a second and the time of one
// answer behind it. A recent answer serves; otherwise one cheap call is made.
func (c *Client) ServerTime(ctx context.Context) (time.Time, error) {
	if t, ok := c.rememberedTime(); ok {
		return t, nil
	}
	// Any answer has the date, a refusal too.
	a, err := c.exchange(ctx, call{what: "ask VMS for its time", method: http.MethodGet, path: []string{"s3keys"}})
	if err != nil {
		return time.Time{}, err
	}
	if t, ok := c.rememberedTime(); ok {
		return t, nil
	}
	if a.status >= 400 {
		return time.Time{}, c.refusal(a)
	}
	return time.Time{}, failure.New(failure.Network, "%s does not tell its time", c.Address())
}

// remembered dates are good for a minute, in which no clock drifts by a second.
const rememberFor = time.Minute

func (c *Client) rememberedTime() (time.Time, bool) {
	c.clock.Lock()
	defer c.clock.Unlock()
	if c.clock.server.IsZero() {
		return time.Time{}, false
	}
	elapsed := c.now().Sub(c.clock.local)
	if elapsed < 0 || elapsed > rememberFor {
		return time.Time{}, false
	}
	return c.clock.server.Add(elapsed), true
}

func (c *Client) rememberTime(header http.Header) {
	date, err := http.ParseTime(header.Get("Date"))
	c.clock.Lock()
	defer c.clock.Unlock()
	if err != nil {
		c.clock.server = time.Time{}
		return
	}
	c.clock.server, c.clock.local = date.UTC(), c.now()
}
