package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
	"unicode"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/wire"
)

// call is one request of the API.
type call struct {
	method string // GET, POST or LIST
	path   string // below /v1/, segments not escaped
	body   []byte // JSON, or nil
	doing  string // what is being done to what, for messages

	anonymous bool // without the token: a login
	opaque    bool // the body is secret: the server's words may repeat a part of it
	repeat    bool // harmless to repeat though it is a POST
}

// answer is what came back: a status and the members that valetkey reads.
type answer struct {
	status  int
	isVault bool      // the body was a JSON object, as every answer of Vault's is
	at      time.Time // by the server's clock, whole seconds; zero where it does not tell

	Data   json.RawMessage
	Auth   *authMember
	Errors []string
}

// do sends the request and returns any answer of Vault's, a refusal among
// them. Requests that may be repeated are tried three times when the server
// fails or the connection breaks; others once, since a lost answer may have been
// a success: an error that may hide one matches [ErrAnswerLost].
func (c *Client) do(ctx context.Context, q call) (*answer, error) {
	if !q.anonymous && c.currentToken().IsEmpty() {
		return nil, failure.New(failure.Auth, "%s: no vault token", q.doing).
			WithHint("set VALETKEY_VAULT_TOKEN or VAULT_TOKEN, or run valetkey login vault")
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, longest)
		defer cancel()
	}
	if ctx.Err() != nil {
		return nil, c.fault(ctx, q, ctx.Err())
	}
	repeatable := q.method != http.MethodPost || q.repeat
	for wait := 200 * time.Millisecond; ; wait *= 2 {
		a, err := c.once(ctx, q)
		last := !repeatable || wait > 400*time.Millisecond
		switch {
		case err == nil && (last || !passing(a)):
			return a, nil
		case err != nil && (last || !broken(err)):
			told := c.fault(ctx, q, err)
			if !repeatable && !wire.NeverSent(err) {
				told = lost(told)
			}
			return nil, told
		}
		c.trace("vault: %s %s is tried again", q.method, q.path)
		if err := c.pause(ctx, wait); err != nil {
			return nil, c.fault(ctx, q, err)
		}
	}
}

// once sends the request one time. Its errors are raw.
func (c *Client) once(ctx context.Context, q call) (*answer, error) {
	method, query := q.method, ""
	if method == "LIST" {
		// A verb of Vault's own that some proxies refuse; this is its other form.
		method, query = http.MethodGet, "list=true"
	}
	u := c.base.JoinPath("v1")
	u.Path += "/" + q.path
	u.RawPath = "" // let URL escape each segment
	u.RawQuery = query
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Vault-Request", "true")
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.namespace != "" {
		r.Header.Set("X-Vault-Namespace", c.namespace)
	}
	if !q.anonymous {
		r.Header.Set("X-Vault-Token", c.currentToken().Reveal())
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.trace("vault: %s %s: no answer", q.method, q.path)
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	c.trace("vault: %s %s: %d", q.method, q.path, resp.StatusCode)
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxAnswer {
		return nil, failure.New(failure.Network, "the answer of %s is larger than %d MiB", c.base.Host, maxAnswer>>20)
	}
	a := decode(resp.StatusCode, data)
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.at = at.UTC()
	}
	return a, nil
}

// decode reads an answer. What has not the form of Vault's is marked: a proxy
// that answers 404 must not pass for a Vault that has no such secret.
func decode(status int, data []byte) *answer {
	a := &answer{status: status}
	if len(data) == 0 {
		a.isVault = status == http.StatusNoContent
		return a
	}
	if err := json.Unmarshal(data, a); err != nil {
		return &answer{status: status}
	}
	a.isVault = status < 400 || a.Errors != nil || len(a.Data) > 0
	return a
}

// passing reports an answer that a moment later may be a better one. A sealed
// Vault stays sealed until a person comes.
func passing(a *answer) bool {
	switch {
	case a.status == http.StatusNotImplemented || a.sealed() || a.says("value being too large") || a.says("exceeds allowed"):
		return false
	case a.status == http.StatusPreconditionFailed || a.status == http.StatusTooManyRequests:
		return true
	}
	return a.status >= 500
}

// broken reports a connection that was there and broke. An address that
// refuses, a name that does not resolve or a bad certificate stays what it is.
func broken(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "read" || op.Op == "write") && !op.Timeout()
}

// fault gives an error of the transport its kind.
func (c *Client) fault(ctx context.Context, q call, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return failure.Wrap(failure.Cancelled, context.Canceled, "%s", q.doing)
	}
	if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return failure.Wrap(failure.Network, context.DeadlineExceeded, "%s: vault at %s did not answer in time", q.doing, c.base.Host).
			WithHint("--timeout gives it longer")
	}
	var e *failure.Error
	if errors.As(err, &e) {
		return failure.Annotate(e, "%s", q.doing)
	}
	return failure.Annotate(c.explain(err), "%s", q.doing)
}

// pause waits between half of max and max, or until the context ends.
func pause(ctx context.Context, longest time.Duration) error {
	half := longest / 2
	t := time.NewTimer(half + rand.N(half+1)) //nolint:gosec // jitter, not a secret
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func printable(r rune) bool { return unicode.IsPrint(r) && r != unicode.ReplacementChar }

// object builds a JSON object of text members.
func object(members map[string]string) ([]byte, error) {
	b, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return b, nil
}
