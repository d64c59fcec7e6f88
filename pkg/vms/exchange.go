package vms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/wire"
)

// ErrAnswerLost marks a call that may have made an access key whose secret
// nobody has: the request may have arrived, and no usable answer came back.
var ErrAnswerLost = errors.New("the answer was lost")

// call is one request to VMS, before authentication.
type call struct {
	what   string     // what is being done, for errors: "delete access key AK1"
	method string     //
	path   []string   // segments below the prefix, not escaped
	target *url.URL   // instead of path: a further page
	query  url.Values //
	body   any        // encoded as JSON, or nil

	once   bool   // makes a key: never sent twice once it may have arrived
	repeat bool   // harmless to repeat though it is a POST
	token  bool   // a call for tokens: no version in its path, no credentials in its header
	stream bool   // leave the body of a success unread
	since  string // the release that brought it, where older ones are in use
}

// answer is what VMS said to a call.
type answer struct {
	call   call
	status int
	header http.Header
	body   []byte        // read whole, unless
	stream io.ReadCloser // a success of a call that asked for it; closing it ends the call
	tries  int           // how often the request was sent
	as     credential    // as whom
}

func (a *answer) ok() bool { return a.status >= 200 && a.status < 300 }

const maxTries = 3

// pause is the time before the given repetition: about 0.2 s, then 0.6 s, with
// jitter, so that many processes do not come back at once.
func pause(try int) time.Duration {
	base := 200 * time.Millisecond
	for range try - 1 {
		base *= 3
	}
	return base/2 + rand.N(base) //nolint:gosec // spreads load, guards nothing
}

// do sends the call and wants a success.
func (c *Client) do(ctx context.Context, what call) (*answer, error) {
	a, err := c.exchange(ctx, what)
	if err != nil {
		return nil, err
	}
	if !a.ok() {
		return nil, c.refusal(a)
	}
	return a, nil
}

// exchange sends the call until VMS gives an answer worth having, whatever its
// status, and renews a login on the way. The caller's context bounds everything;
// the client's timeout bounds all but the asking for a password; of a stream it
// bounds the wait for each part.
func (c *Client) exchange(ctx context.Context, what call) (*answer, error) {
	var as credential
	var err error
	if !what.token {
		if as, err = c.auth.current(ctx); err != nil {
			return nil, failure.Annotate(err, "%s", what.what)
		}
	}
	a, err := c.persist(ctx, what, as)
	if err != nil || what.token || as.form != bearer || !saysExpired(a) {
		return a, err
	}
	// VMS refused the token before it did anything: sending again is no repetition.
	if as, err = c.auth.renew(ctx, as); err != nil {
		return nil, failure.Annotate(err, "%s", what.what)
	}
	return c.persist(ctx, what, as)
}

// persist sends the call with one credential, and again when that is allowed and may help.
func (c *Client) persist(ctx context.Context, what call, as credential) (*answer, error) {
	var idle *time.Timer
	var cancel context.CancelFunc
	if what.stream {
		ctx, idle, cancel = idleLimit(ctx, c.timeout)
	} else {
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
	}
	repeatable := !what.once && (what.method != http.MethodPost || what.repeat)
	for try := 1; ; try++ {
		a, err := c.attempt(ctx, what, as)
		if repeatable && try < maxTries && worthRepeating(a, err) && sleep(ctx, c.pause(try)) {
			continue
		}
		if err != nil {
			if what.stream {
				err = because(ctx, err)
			}
			cancel()
			return nil, c.failed(what, err)
		}
		a.tries = try
		if a.stream != nil {
			idle.Stop()
			a.stream = &bounded{a.stream, ctx, cancel, idle, c.timeout}
		} else {
			cancel()
		}
		return a, nil
	}
}

// worthRepeating is true for a lost connection and for a server that fails for
// now. An address that refuses or does not resolve, a certificate and a redirect
// stay what they are.
func worthRepeating(a *answer, err error) bool {
	if err != nil {
		var known *failure.Error
		return !wire.NeverSent(err) && !errors.As(err, &known) && !errors.Is(err, context.Canceled)
	}
	return a.status >= 500 || a.status == http.StatusTooManyRequests
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// failed explains an error of the way, and says when a key may have been made.
func (c *Client) failed(what call, err error) error {
	explained := failure.Annotate(c.explain(err), "%s", what.what)
	if what.once && !wire.NeverSent(err) && !wire.Redirected(err) {
		return lost(explained)
	}
	return explained
}

// lost marks an error after which a key may have been made whose secret nobody
// has. The words are left to the caller, who knows what to do about it.
func lost(err error) error {
	kind := failure.Network
	if failure.Is(err, failure.Cancelled) {
		kind = failure.Cancelled
	}
	return &failure.Error{Kind: kind, Err: failure.Mark(err, ErrAnswerLost)}
}

func (c *Client) attempt(ctx context.Context, what call, as credential) (*answer, error) {
	request, err := c.request(ctx, what, as)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	c.rememberTime(response.Header)
	a := &answer{call: what, status: response.StatusCode, header: response.Header, as: as}
	if what.stream && a.ok() {
		a.stream = response.Body
		return a, nil
	}
	defer func() { _ = response.Body.Close() }()
	if a.body, err = wire.ReadBody(response.Body, wire.MaxJSON); err != nil && a.ok() {
		return nil, because(ctx, err)
	}
	// The status of a refusal says enough, also when its text breaks off.
	return a, nil
}

func (c *Client) request(ctx context.Context, what call, as credential) (*http.Request, error) {
	target := what.target
	if target == nil {
		target = c.url(what)
	}
	var body io.Reader
	if what.body != nil {
		text, err := json.Marshal(what.body)
		if err != nil {
			return nil, failure.Wrap(failure.Internal, err, "encode request")
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, what.method, target.String(), body)
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "make request")
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.tenant != "" {
		request.Header.Set("X-Tenant-Name", c.tenant)
	}
	if as.form != nobody {
		request.Header.Set("Authorization", as.header())
	}
	return request, nil
}

// url is the address of a call. Every path of VMS ends with a slash.
func (c *Client) url(what call) *url.URL {
	u := c.base
	prefix := c.prefix
	if what.token {
		// Tokens are had without a version in the path, whatever the others use.
		prefix = "/api/"
	}
	var plain, escaped strings.Builder
	plain.WriteString(prefix)
	escaped.WriteString(prefix)
	for _, segment := range what.path {
		plain.WriteString(segment + "/")
		escaped.WriteString(escapeSegment(segment) + "/")
	}
	u.Path, u.RawPath, u.RawQuery = plain.String(), escaped.String(), what.query.Encode()
	return &u
}

// escapeSegment escapes "+" and "=" too, which access keys of older releases
// hold and some servers read as something else.
func escapeSegment(s string) string {
	return strings.NewReplacer("+", "%2B", "=", "%3D").Replace(url.PathEscape(s))
}

// idleLimit is a context that ends when its timer does, which can be set anew.
func idleLimit(parent context.Context, d time.Duration) (context.Context, *time.Timer, context.CancelFunc) {
	ctx, end := context.WithCancelCause(parent)
	timer := time.AfterFunc(d, func() { end(context.DeadlineExceeded) })
	return ctx, timer, func() {
		timer.Stop()
		end(nil)
	}
}

// bounded is a body of any length. Each part of it must come in time; what its
// reader does in between, such as waiting for a person who pages through a list,
// counts for nothing.
type bounded struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // it lives as long as the body
	cancel context.CancelFunc
	idle   *time.Timer
	wait   time.Duration
}

func (b *bounded) Read(p []byte) (int, error) {
	b.idle.Reset(b.wait)
	n, err := b.ReadCloser.Read(p)
	b.idle.Stop()
	return n, because(b.ctx, err)
}

func (b *bounded) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// because names the deadline or the interruption as the cause, where it closed
// the connection under a reader.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
