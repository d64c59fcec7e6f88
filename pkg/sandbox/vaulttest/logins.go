package vaulttest

import (
	"context"
	"net/http"
	"strings"

	"github.com/valetkey/valetkey/pkg/sandbox/observe"
	"github.com/valetkey/valetkey/pkg/secret"
)

// logins knows who may log in. It does not change after New.
type logins struct {
	roleID   string
	secretID secret.Text
	users    map[string]secret.Text
	entities map[string]string // of the role and the users, by their name
}

func newLogins(o Options) *logins {
	l := &logins{roleID: o.RoleID, secretID: secret.FromString(o.SecretID), users: map[string]secret.Text{}, entities: map[string]string{"valetkey": uuid()}}
	for name, password := range o.Users {
		l.users[strings.ToLower(name)] = password
		l.entities[strings.ToLower(name)] = uuid()
	}
	return l
}

func (s *Server) loginAppRole(ctx context.Context, q *request) reply {
	roleID, secretID := strings.TrimSpace(q.text("role_id")), strings.TrimSpace(q.text("secret_id"))
	switch {
	case roleID == "":
		// Not a word about credentials: the real server trips over its own lockout.
		return fail(http.StatusInternalServerError, "failed to determine alias name from login request")
	case s.logins.roleID == "" || roleID != s.logins.roleID:
		return fail(http.StatusBadRequest, "invalid role or secret ID")
	case secretID == "":
		return fail(http.StatusBadRequest, "missing secret_id")
	case !s.logins.secretID.Equal(secret.FromString(secretID)):
		return fail(http.StatusBadRequest, "invalid role or secret ID")
	}
	observe.SetUser(ctx, "valetkey")
	return s.issue(&token{
		user: "valetkey", entity: s.logins.entities["valetkey"], displayName: "approle", path: "auth/approle/login", policies: []string{"default", "valetkey"},
		meta: map[string]string{"role_name": "valetkey"}, ttl: approleTTL, maxTTL: approleMax, renewable: true, orphan: true,
	})
}

func (s *Server) loginUserpass(ctx context.Context, q *request) reply {
	name, password := strings.ToLower(q.rest), q.text("password")
	if password == "" {
		return fail(http.StatusBadRequest, "invalid credentials")
	}
	known, ok := s.logins.users[name]
	// Compared even for a user that is not there, as the real server does.
	if !known.Equal(secret.FromString(password)) || !ok {
		return fail(http.StatusBadRequest, "invalid username or password")
	}
	observe.SetUser(ctx, name)
	return s.issue(&token{
		user: name, entity: s.logins.entities[name], displayName: "userpass-" + name, path: "auth/userpass/login/" + name, policies: []string{"default", "valetkey"},
		meta: map[string]string{"username": name}, ttl: systemTTL, maxTTL: systemTTL, renewable: true, orphan: true,
	})
}
