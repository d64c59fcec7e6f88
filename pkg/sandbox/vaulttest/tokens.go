package vaulttest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	systemTTL    = 768 * time.Hour // Vault's default lease and longest lease
	approleTTL   = time.Hour
	approleMax   = 24 * time.Hour
	rootPolicy   = "root"
	readerPolicy = "valetkey-read"
)

// token is a service token.
type token struct {
	id, accessor string
	user         string // for the request log
	displayName  string
	entity       string // the identity behind a login; empty for others
	path         string
	policies     []string
	meta         map[string]string
	issued       time.Time
	renewed      time.Time
	expires      time.Time // zero: never
	ttl, maxTTL  time.Duration
	renewable    bool
	orphan       bool
}

// tokens is the token store. The Server's mutex guards it.
type tokens struct {
	now  func() time.Time
	byID map[string]*token
}

func newTokens(now func() time.Time) *tokens {
	return &tokens{now: now, byID: map[string]*token{}}
}

func (ts *tokens) addRoot(id string) {
	ts.byID[id] = &token{
		id: id, accessor: randomID(12), user: "root", displayName: "root", path: "auth/token/root",
		policies: []string{rootPolicy}, issued: ts.now(), orphan: true,
	}
}

// find returns a living token, or nil.
func (ts *tokens) find(id string) *token {
	t := ts.byID[id]
	if t != nil && !t.expires.IsZero() && !ts.now().Before(t.expires) {
		delete(ts.byID, id)
		return nil
	}
	return t
}

// issue stores a new token. It is false when the store is full of living ones.
func (ts *tokens) issue(t *token) bool {
	if len(ts.byID) >= maxTokens {
		for id := range ts.byID {
			ts.find(id) // drops the dead
		}
		if len(ts.byID) >= maxTokens {
			return false
		}
	}
	if t.id == "" {
		t.id = "hvs." + randomID(24)
	}
	t.accessor, t.issued = randomID(12), ts.now()
	slices.Sort(t.policies)
	t.policies = slices.Compact(t.policies)
	if t.ttl > 0 {
		t.expires = t.issued.Add(t.ttl)
	}
	ts.byID[t.id] = t
	return true
}

func (s *Server) issue(t *token, warnings ...string) reply {
	if !s.tokens.issue(t) {
		return fail(http.StatusInternalServerError, "internal error")
	}
	return reply{auth: t.auth(t.ttl), warnings: warnings}
}

// auth is the auth member of a login's answer.
func (t *token) auth(ttl time.Duration) any {
	return struct {
		ClientToken    string            `json:"client_token"`
		Accessor       string            `json:"accessor"`
		Policies       []string          `json:"policies"`
		TokenPolicies  []string          `json:"token_policies"`
		Metadata       map[string]string `json:"metadata"`
		LeaseDuration  int               `json:"lease_duration"`
		Renewable      bool              `json:"renewable"`
		EntityID       string            `json:"entity_id"`
		TokenType      string            `json:"token_type"`
		Orphan         bool              `json:"orphan"`
		MFARequirement any               `json:"mfa_requirement"`
		NumUses        int               `json:"num_uses"`
	}{
		ClientToken: t.id, Accessor: t.accessor, Policies: t.policies, TokenPolicies: t.policies, Metadata: t.meta,
		LeaseDuration: int(ttl.Seconds()), Renewable: t.renewable, EntityID: t.entity, TokenType: "service", Orphan: t.orphan,
	}
}

func (s *Server) describe(t *token) reply {
	data := map[string]any{
		"id": t.id, "accessor": t.accessor, "policies": t.policies, "path": t.path, "meta": t.meta,
		"display_name": t.displayName, "num_uses": 0, "orphan": t.orphan, "creation_time": t.issued.Unix(),
		"creation_ttl": int64(t.ttl.Seconds()), "expire_time": nil, "ttl": int64(0), "explicit_max_ttl": int64(0),
		"entity_id": t.entity, "type": "service",
	}
	if !t.expires.IsZero() {
		data["expire_time"] = t.expires.UTC().Format(time.RFC3339Nano)
		data["ttl"] = int64(t.expires.Sub(s.now()).Seconds())
		data["issue_time"] = t.issued.UTC().Format(time.RFC3339Nano)
		data["renewable"] = t.renewable
	}
	if !t.renewed.IsZero() {
		data["last_renewal"] = t.renewed.UTC().Format(time.RFC3339Nano)
		data["last_renewal_time"] = t.renewed.Unix()
	}
	return reply{data: data, mountType: "token"}
}

func (s *Server) lookupSelf(_ context.Context, q *request) reply { return s.describe(q.caller) }

func (s *Server) lookup(_ context.Context, q *request) reply {
	id := q.text("token")
	if id == "" {
		id = q.token
	}
	t := s.tokens.find(id)
	if t == nil {
		return fail(http.StatusForbidden, "bad token")
	}
	return s.describe(t)
}

func (s *Server) renewSelf(_ context.Context, q *request) reply {
	t := q.caller
	if t.expires.IsZero() {
		return fail(http.StatusBadRequest, "invalid lease ID")
	}
	if !t.renewable {
		return fail(http.StatusBadRequest, "lease is not renewable")
	}
	ttl, err := seconds(q.body["increment"])
	if err != nil {
		return fail(http.StatusBadRequest, `Field validation failed: error converting input for field "increment": `+err.Error())
	}
	if ttl <= 0 {
		ttl = t.ttl
	}
	var warnings []string
	now := s.now()
	if left := t.issued.Add(t.maxTTL).Sub(now); ttl > left {
		warnings = append(warnings, fmt.Sprintf(
			"TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", ttl, left.Round(time.Second)))
		ttl = left
	}
	t.expires, t.renewed = now.Add(ttl), now
	return reply{auth: t.auth(ttl), warnings: warnings, mountType: "token"}
}

func (s *Server) revokeSelf(_ context.Context, q *request) reply {
	delete(s.tokens.byID, q.caller.id)
	return done()
}

func (s *Server) createToken(_ context.Context, q *request) reply {
	ttl, err := seconds(q.body["ttl"])
	if err != nil {
		return fail(http.StatusBadRequest, err.Error())
	}
	t := &token{
		id: q.text("id"), path: "auth/token/create", displayName: "token", policies: q.caller.policies,
		ttl: ttl, maxTTL: systemTTL, renewable: true, orphan: q.body["no_parent"] == true,
	}
	if s.tokens.find(t.id) != nil {
		return fail(http.StatusBadRequest, "cannot create a token with a duplicate ID")
	}
	if name := q.text("display_name"); name != "" {
		t.displayName = "token-" + name
	}
	t.user = t.displayName
	if list, ok := q.body["policies"].([]any); ok {
		t.policies = nil
		for _, p := range list {
			if name, ok := p.(string); ok {
				t.policies = append(t.policies, name)
			}
		}
		if q.body["no_default_policy"] != true && !slices.Contains(t.policies, rootPolicy) {
			t.policies = append(t.policies, "default")
		}
	}
	t.policies = slices.Clone(t.policies)
	var warnings []string
	switch {
	case t.ttl > systemTTL:
		warnings = append(warnings, fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", t.ttl, systemTTL))
		t.ttl = systemTTL
	case t.ttl == 0 && !slices.Contains(t.policies, rootPolicy):
		t.ttl = systemTTL
	}
	if renewable, ok := q.body["renewable"].(bool); ok {
		t.renewable = renewable
	}
	a := s.issue(t, warnings...)
	a.mountType = "token"
	return a
}

// seconds reads a duration as Vault takes it: a number of seconds, or text
// such as 90, 90s or 1h. Absent is 0.
func seconds(v any) (time.Duration, error) {
	var text string
	switch v := v.(type) {
	case nil:
		return 0, nil
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return 0, fmt.Errorf("could not parse duration from %T", v)
	}
	if text == "" {
		return 0, nil
	}
	if strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("time: invalid duration %q", text)
	}
	return d, nil
}
