package vault

import (
	"context"
	"net/http"
	"strings"
	"unicode"

	"github.com/valetkey/valetkey/pkg/failure"
)

// says reports whether one of Vault's error texts contains the words.
func (a *answer) says(words string) bool {
	for _, e := range a.Errors {
		if strings.Contains(strings.ToLower(e), strings.ToLower(words)) {
			return true
		}
	}
	return false
}

// sealed reports the answer of a sealed Vault.
func (a *answer) sealed() bool { return a.status >= 500 && a.says("vault is sealed") }

// refusal turns an answer that is no success into an error.
func (c *Client) refusal(ctx context.Context, q call, a *answer) error {
	host := c.base.Host
	text := q.words(a)
	if !a.isVault {
		return failure.New(failure.Network, "%s: %s answered %d with something that is not vault's", q.doing, host, a.status).
			WithHint("is vault.address the address of a vault, and not of a proxy or a login page?")
	}
	switch {
	case a.sealed():
		return failure.New(failure.Network, "%s: vault at %s is sealed", q.doing, host).
			WithHint("somebody who holds the unseal keys must unseal it").WithDetail("reason", "sealed")
	case a.status == http.StatusNotImplemented || a.says("not initialized"):
		return failure.New(failure.Network, "%s: vault at %s is not initialized", q.doing, host).WithDetail("reason", "uninitialized")
	case a.says("check-and-set parameter did not match"):
		return failure.New(failure.Conflict, "%s: somebody else changed it first", q.doing)
	case a.status == http.StatusRequestEntityTooLarge || a.says("value being too large"), a.says("exceeds allowed"):
		// Vault 1.21 bounds the JSON it takes: 1 MiB a string, escapes
		// included, 10,000 members, 300 levels. A listener's max_json_… settings raise it.
		return failure.New(failure.TooLarge, "%s: larger than vault takes%s", q.doing, text)
	case q.anonymous && (a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized || a.status == http.StatusForbidden):
		return failure.New(failure.Auth, "%s: vault refused it%s", q.doing, text)
	case a.status == http.StatusForbidden, a.status == http.StatusUnauthorized:
		return c.forbidden(ctx, q, a)
	case a.status == http.StatusNotFound && (a.says("no handler for route") || a.says("unsupported path")):
		return failure.New(failure.NotFound, "%s: vault has no such mount", q.doing).
			WithHint("vault.mount names the mount of the secrets, vault.auth.mount that of a login")
	case a.status == http.StatusNotFound:
		return failure.New(failure.NotFound, "%s: it is not there", q.doing)
	case a.status == http.StatusTooManyRequests && len(a.Errors) > 0:
		return failure.New(failure.Network, "%s: vault at %s takes no more requests now%s", q.doing, host, text)
	case a.status == http.StatusTooManyRequests, a.status == 472, a.status == 473:
		return failure.New(failure.Network, "%s: vault at %s is a standby that does not answer for the active server", q.doing, host).
			WithDetail("reason", "standby").WithHint("set vault.address to the cluster's own address")
	case a.status == http.StatusPreconditionFailed:
		return failure.New(failure.Network, "%s: vault at %s has not caught up with the last write", q.doing, host)
	case a.status >= 300 && a.status < 400:
		return failure.New(failure.Network, "%s: %s answered with a redirect, which is not followed", q.doing, host)
	case a.status >= 500 || a.status < 400 || a.status == http.StatusMethodNotAllowed:
		return failure.New(failure.Network, "%s: vault at %s answered %d%s", q.doing, host, a.status, text)
	}
	return failure.New(failure.Internal, "%s: vault refused the request with %d%s", q.doing, a.status, text)
}

// forbidden tells a token that is not taken from one that may not do this:
// Vault answers 403 to both. Whoever cannot look up the own token has none.
func (c *Client) forbidden(ctx context.Context, q call, a *answer) error {
	self := call{method: http.MethodGet, path: "auth/token/lookup-self", doing: "look up the vault token"}
	if q.path == self.path {
		return badToken(q)
	}
	if own, err := c.do(ctx, self); err == nil && own.status == http.StatusForbidden {
		return badToken(q)
	}
	e := failure.New(failure.Forbidden, "%s: the vault token may not do this", q.doing).
		WithHint("the token's policies need a capability on %s", q.path)
	if a.says("preflight capability check") {
		e = e.WithHint("the token's policies reach nothing there, or vault has no such mount: see vault.mount")
	}
	return e
}

func badToken(q call) error {
	return failure.New(failure.Auth, "%s: vault does not know the token, or it has expired", q.doing).
		WithHint("valetkey login vault obtains a new one")
}

// harmless are the parts of Vault's words about a request with a secret in it
// that repeat nothing of the secret.
var harmless = []string{
	"invalid role or secret ID", "missing secret_id", "invalid secret_id", "invalid username or password", "invalid credentials",
	"permission denied", "check-and-set parameter", "put failed due to value being too large", "http: request body too large", "exceeds allowed length",
	"exceeds allowed entry count", "exceeds allowed element count", "exceeds allowed nesting depth", "exceeds allowed token count",
	"no data provided", "internal error", "quota exceeded", "unsupported operation",
}

// words are the server's own, fit for one line: nothing of what was sent is
// repeated, control characters are gone, the length is bounded.
func (q call) words(a *answer) string {
	if len(a.Errors) == 0 {
		return ""
	}
	text := strings.Join(a.Errors, "; ")
	if q.opaque {
		known := ""
		for _, h := range harmless {
			if strings.Contains(text, h) {
				known = h
				break
			}
		}
		if known == "" {
			return " (its words are withheld: they may repeat a secret)"
		}
		text = known
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !printable(r) }), " ")
	const most = 300
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return ": " + text
}
