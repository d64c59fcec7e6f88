package vms

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/wire"
)

// maxWords bounds what of the server's text is repeated, in bytes.
const maxWords = 300

// words is what VMS said about a refusal, fit to be shown.
type words struct {
	text   string
	fields bool // it names fields of the request
}

// words reads the shapes in which VMS words a refusal: {"detail":…} with or
// without a "code", {"field":["…"]}, a bare JSON string, an HTML page, nothing.
// Secrets that a server repeats are taken out.
func (c *Client) words(a *answer, more ...secret.Text) words {
	body := bytes.TrimSpace(a.body)
	var w words
	var v any
	switch {
	case len(body) == 0:
	case body[0] == '<', strings.Contains(a.header.Get("Content-Type"), "html"):
		w.text = "an HTML page"
	case json.Unmarshal(body, &v) == nil:
		w = wordsOf(v)
	case body[0] == '{', body[0] == '[', body[0] == '"':
		w.text = "an answer that breaks off"
	default:
		w.text = string(body)
	}
	w.text = wire.Excerpt(scrub(w.text, append(more, a.as.secrets()...)...), maxWords)
	return w
}

func wordsOf(v any) words {
	members, ok := v.(map[string]any)
	if !ok {
		return words{text: flatten(v)}
	}
	for _, name := range []string{"detail", "message", "error"} {
		if text := flatten(members[name]); text != "" {
			return words{text: text}
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if text := flatten(members[name]); text != "" {
			parts = append(parts, name+": "+text)
		}
	}
	return words{text: strings.Join(parts, "; "), fields: len(parts) > 0}
}

// flatten joins the strings of a value.
func flatten(v any) string {
	var parts []string
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, member := range v {
			if text := flatten(member); text != "" {
				parts = append(parts, text)
			}
		}
	case map[string]any:
		return wordsOf(v).text
	}
	return strings.Join(parts, ", ")
}

func scrub(text string, secrets ...secret.Text) string {
	for _, s := range secrets {
		// A shorter one would blot out words by accident.
		if s.Len() < 4 {
			continue
		}
		text = strings.ReplaceAll(text, s.Reveal(), secret.Redacted)
		text = strings.ReplaceAll(text, base64.StdEncoding.EncodeToString(s.Bytes()), secret.Redacted)
	}
	return text
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// saysExpired is true for a refusal that a new token may turn. Servers of
// different releases answer an expired one with 401, or with 403 and this text.
func saysExpired(a *answer) bool {
	switch a.status {
	case http.StatusUnauthorized:
		return !saysDenied(a)
	case http.StatusForbidden:
		return !saysDenied(a) && contains(a.body, "token is invalid or expired")
	}
	return false
}

// saysDenied is true when VMS knows the caller and will not have it, whatever the status.
func saysDenied(a *answer) bool { return contains(a.body, "permission_denied") }

// unknownCaller are texts with which a 403 means that VMS does not know the caller.
var unknownCaller = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)token is invalid or expired|invalid username|invalid token|` +
		`credentials were not provided|(invalid|incorrect|wrong) (authentication )?credentials|unable to log in`)
})

func contains(body []byte, lower string) bool {
	return bytes.Contains(bytes.ToLower(body), []byte(lower))
}

// keyLimit is how VMS says that a user holds two keys already. The status is not
// documented, so the text decides.
var keyLimit = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)more\s+than\s+(two|2)\s+(s3\s+)?(access\s+)?keys?\b`)
})

func saysKeyLimit(a *answer) bool { return keyLimit().Match(a.body) }

// refusal turns an answer that is no success into an error in the server's words.
func (c *Client) refusal(a *answer, more ...secret.Text) error {
	w := c.words(a, more...)
	said := ""
	if w.text != "" {
		said = ": " + w.text
	}
	fail := func(kind failure.Kind, reason string) *failure.Error {
		return failure.New(kind, "%s: %s%s", a.call.what, reason, said).WithDetail("status", a.status)
	}
	at := c.Address()
	switch {
	case a.status == http.StatusForbidden && (saysDenied(a) || !unknownCaller().Match(a.body)), a.status == http.StatusUnauthorized && saysDenied(a):
		f := fail(failure.Forbidden, at+" does not allow it")
		if c.tenant != "" {
			f.Hint = "vms.tenant is set: administrators of the whole cluster are refused with it"
		}
		return f
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return c.unknown(a, fail)
	case a.status == http.StatusNotFound:
		return fail(failure.NotFound, at+" does not have it")
	case a.status == http.StatusMethodNotAllowed:
		return fail(failure.Network, at+" does not know this request").WithHint("check vms.api_version")
	case a.status == http.StatusConflict:
		return fail(failure.Conflict, at+" refuses it as a conflict")
	case a.status == http.StatusTooManyRequests:
		return fail(failure.Network, at+" is asked too often").WithHint("try again later")
	case a.status >= 500:
		return fail(failure.Network, at+" fails with "+statusText(a.status)).WithHint("try again later, or ask the cluster's administrator")
	case a.status >= 400:
		return fail(failure.Internal, at+" refuses the request with "+statusText(a.status))
	}
	return fail(failure.Network, at+" answers "+statusText(a.status)+", which means nothing here")
}

// statusText is a status as people know it.
func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// unknown is the error of a caller whom VMS does not know.
func (c *Client) unknown(a *answer, fail func(failure.Kind, string) *failure.Error) error {
	switch a.as.form {
	case apiToken:
		return fail(failure.Auth, c.Address()+" does not accept the API token").WithHint("check vms.token: it may have expired or been revoked")
	case bearer:
		return fail(failure.Auth, c.Address()+" does not accept the login").WithHint("valetkey login vms")
	}
	return fail(failure.Auth, c.Address()+" does not accept user name and password of "+wire.Visible(a.as.username)).
		WithHint("check user name, password and tenant")
}

// noSuchPath is what a 404 means for a path that every VMS has.
func (c *Client) noSuchPath(err error) error {
	if !failure.Is(err, failure.NotFound) {
		return err
	}
	return failure.Wrap(failure.Network, err, "%s does not answer as VMS does", c.Address()).
		WithHint("check vms.api_version, and that vms.address is the address of VMS")
}

// noSuchList is what a 404 means for a list: nothing, or an older VMS.
func (c *Client) noSuchList(what call, err error) error {
	if what.since == "" || what.target != nil || !failure.Is(err, failure.NotFound) {
		return c.noSuchPath(err)
	}
	return failure.New(failure.Network, "%s: %s has no such list; %s and later have it", what.what, c.Address(), what.since).
		WithHint("check vms.api_version if the cluster is not older than that")
}
