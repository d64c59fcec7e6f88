package vms

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/wire"
)

// Key is an access key as VMS lists it. No list holds a secret.
type Key struct {
	AccessKey string
	Enabled   bool
	Created   time.Time // zero when VMS does not say, or not so that its zone is known
	User      string    // empty when VMS does not say
	Tenant    string    // empty when VMS does not say
	TenantID  int64     // 0 when VMS does not say
}

// CreateOwnKey makes an access key for the caller, who must be a user of the
// directory (Active Directory or LDAP) that the cluster is joined to. VMS shows
// the secret this once. The request is never repeated: when it may have arrived
// and no usable answer came, errors.Is(err, ErrAnswerLost). A user who holds two
// keys already gets failure.KeyLimit.
//
// VMS answers 201; older releases answer 200.
func (c *Client) CreateOwnKey(ctx context.Context) (id string, sec secret.Text, err error) {
	return c.issue(ctx, call{what: "create access key", method: http.MethodPost, path: []string{"s3keys"}})
}

// issue sends a call that makes a key, once.
func (c *Client) issue(ctx context.Context, what call) (string, secret.Text, error) {
	what.once = true
	a, err := c.exchange(ctx, what)
	if err != nil {
		return "", secret.Text{}, err
	}
	if a.ok() {
		var pair struct {
			AccessKey string `json:"access_key"`
			SecretKey string `json:"secret_key"`
		}
		defer clear(a.body)
		if json.Unmarshal(a.body, &pair) == nil && validAccessKey(pair.AccessKey) && pair.SecretKey != "" {
			return pair.AccessKey, secret.FromString(pair.SecretKey), nil
		}
	}
	if saysKeyLimit(a) {
		return "", secret.Text{}, failure.New(failure.KeyLimit, "%s: the user holds two access keys already", what.what).
			WithDetail("status", a.status)
	}
	switch {
	case a.ok():
		// Whatever the body is, it may hold the secret: not a byte of it is shown.
		return "", secret.Text{}, lost(failure.New(failure.Network, "%s: the answer of %s holds no usable key pair", what.what, c.Address()))
	case a.status >= 500:
		// A server can fail after it did the work.
		return "", secret.Text{}, lost(c.refusal(a))
	case a.status == http.StatusNotFound && a.call.path[0] == "s3keys":
		return "", secret.Text{}, c.noSuchPath(c.refusal(a))
	}
	return "", secret.Text{}, c.refusal(a)
}

// DeleteOwnKey deletes an access key of the caller. An unknown one is
// failure.NotFound, unless the request had to be repeated: then the first
// sending did it.
//
// The key stands in the path; releases of 2024 want it in a body instead, which
// is tried when the path is not known. Since a 404 may mean either, the second
// answer counts.
func (c *Client) DeleteOwnKey(ctx context.Context, id string) error {
	if err := checkAccessKey(id); err != nil {
		return err
	}
	what := call{what: "delete access key " + id, method: http.MethodDelete, path: []string{"s3keys", id}}
	first, err := c.exchange(ctx, what)
	if err != nil {
		return err
	}
	if !pathUnknown(first) {
		return c.outcome(first)
	}
	what.path, what.body = what.path[:1], map[string]string{"access_key": id}
	second, err := c.exchange(ctx, what)
	if err != nil {
		return err
	}
	repeated := first.tries > 1 || second.tries > 1
	switch {
	case second.ok():
		return nil
	case second.status == http.StatusNotFound, first.status == http.StatusNotFound && second.status == http.StatusMethodNotAllowed:
		// Where the body form is not known, the first answer spoke of the key.
		if repeated {
			return nil
		}
		return failure.New(failure.NotFound, "%s: %s does not have it", what.what, c.Address()).
			WithHint("valetkey keys list shows the keys there are")
	}
	return c.refusal(second)
}

func (c *Client) outcome(a *answer) error {
	if a.ok() {
		return nil
	}
	return c.refusal(a)
}

func pathUnknown(a *answer) bool {
	return a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed
}

// validAccessKey accepts any text that is one: 20 capitals and digits now,
// base64 in older releases, and nothing that could be anything else in a path.
func validAccessKey(id string) bool {
	return id != "" && len(id) <= 128 && headerSafe(id) && strings.Trim(id, ".") != ""
}

func checkAccessKey(id string) error {
	if validAccessKey(id) {
		return nil
	}
	return failure.New(failure.Usage, "%q is not an access key", wire.Excerpt(id, 140))
}
