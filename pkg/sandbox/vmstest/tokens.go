package vmstest

import (
	"crypto/subtle"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apiToken is a long-lived token that speaks for its owner.
type apiToken struct {
	id      int
	name    string
	text    string
	owner   string
	created time.Time
	used    time.Time
	expires time.Time // zero: never
	revoked time.Time // zero: not
}

// maxTokens is how many tokens that still work a user may have.
const maxTokens = 5

func (t *apiToken) works(now time.Time) bool {
	return t.revoked.IsZero() && (t.expires.IsZero() || now.Before(t.expires))
}

// checkToken identifies the owner of an API token.
func (c *call) checkToken(text string) error {
	for _, t := range c.s.tokens {
		u, ok := c.s.users[t.owner]
		if ok && t.works(c.now) && subtle.ConstantTimeCompare([]byte(t.text), []byte(text)) == 1 {
			t.used = c.now
			c.identify(u)
			return nil
		}
	}
	return refuse(http.StatusUnauthorized, "Invalid API token.")
}

// plainly refuses with a bare string, as these calls alone do.
func plainly(status int, text string) error { return &refusal{status, text} }

// expiry reads a duration such as 90D: Y, M (30 days), w, d, h, m (minutes), s.
// An empty one is for ever.
func expiry(now time.Time, text string) (time.Time, error) {
	const day = 24 * time.Hour
	if text == "" {
		return time.Time{}, nil
	}
	units := map[byte]time.Duration{
		'Y': 365 * day, 'M': 30 * day, 'w': 7 * day, 'W': 7 * day, 'd': day, 'D': day,
		'h': time.Hour, 'H': time.Hour, 'm': time.Minute, 's': time.Second, 'S': time.Second,
	}
	unit, ok := units[text[len(text)-1]]
	n, err := strconv.Atoi(text[:len(text)-1])
	if !ok || err != nil || n < 1 || n > 100_000 || time.Duration(n) > 100*365*day/unit {
		return time.Time{}, plainly(http.StatusBadRequest, "Invalid expiry_date")
	}
	return now.Add(time.Duration(n) * unit), nil
}

type tokenRequest struct {
	Owner  *string `json:"owner"`
	Name   *string `json:"name"`
	Expiry *string `json:"expiry_date"`
}

// postAPITokens makes a token, which is shown this once.
func (c *call) postAPITokens() (int, any, error) {
	var in tokenRequest
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	t := &apiToken{owner: c.user.name, created: c.now}
	set(&t.owner, in.Owner)
	set(&t.name, in.Name)
	if _, ok := c.s.users[t.owner]; !ok {
		return 0, nil, plainly(http.StatusBadRequest, "Owner does not exist")
	}
	if in.Expiry != nil {
		var err error
		if t.expires, err = expiry(c.now, *in.Expiry); err != nil {
			return 0, nil, err
		}
	}
	live := 0
	for id, other := range c.s.tokens {
		switch {
		case other.owner != t.owner:
		case other.works(c.now):
			live++
		default:
			if len(c.s.tokens) > maxUsers {
				delete(c.s.tokens, id) // what is of no use is not kept for ever
			}
		}
	}
	if live >= maxTokens {
		return 0, nil, plainly(http.StatusServiceUnavailable, "Maximum number of API tokens per user reached")
	}
	raw := make([]byte, 30)
	if _, err := io.ReadFull(c.s.o.Rand, raw); err != nil {
		return 0, nil, err
	}
	t.id, t.text = c.s.id(), base64.RawURLEncoding.EncodeToString(raw)
	c.s.tokens[t.id] = t
	return http.StatusCreated, map[string]any{"id": strconv.Itoa(t.id), "token": t.text}, nil
}

func (c *call) tokenView(t *apiToken) map[string]any {
	view := map[string]any{
		"id": strconv.Itoa(t.id), "name": t.name, "owner": t.owner,
		"created": stamp(t.created), "revoked": !t.revoked.IsZero(),
	}
	for name, when := range map[string]time.Time{"last_used": t.used, "expiry_date": t.expires, "revocation_time": t.revoked} {
		if !when.IsZero() {
			view[name] = stamp(when)
		}
	}
	return view
}

func (c *call) getAPITokens() (int, any, error) {
	query := c.r.URL.Query()
	var items []any
	for _, id := range slices.Sorted(maps.Keys(c.s.tokens)) {
		t := c.s.tokens[id]
		archived := strings.EqualFold(query.Get("archived"), "true")
		if query.Has("owner") && query.Get("owner") != t.owner || query.Has("archived") && archived == t.works(c.now) {
			continue
		}
		items = append(items, c.tokenView(t))
	}
	return c.list(items, false)
}

// token finds the token whose number is in the path.
func (c *call) token() (*apiToken, error) {
	id, err := strconv.Atoi(c.param)
	if t, ok := c.s.tokens[id]; ok && err == nil {
		return t, nil
	}
	return nil, plainly(http.StatusNotFound, "API token does not exist")
}

func (c *call) getAPIToken() (int, any, error) {
	t, err := c.token()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.tokenView(t), nil
}

func (c *call) patchAPIToken() (int, any, error) {
	t, err := c.token()
	if err != nil {
		return 0, nil, err
	}
	var in tokenRequest
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	expires := t.expires
	if in.Expiry != nil {
		if expires, err = expiry(c.now, *in.Expiry); err != nil {
			return 0, nil, err
		}
	}
	set(&t.name, in.Name)
	t.expires = expires
	return http.StatusOK, "updated", nil
}

func (c *call) revokeAPIToken() (int, any, error) {
	t, err := c.token()
	if err != nil {
		return 0, nil, err
	}
	if t.revoked.IsZero() {
		t.revoked = c.now
	}
	return http.StatusOK, "revoked", nil
}
