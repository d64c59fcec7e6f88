package vmstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// admit finds out who calls, in which tenant, and whether they may.
//
// Basic, "Bearer JWT" and "Api-Token TOKEN" are all taken in the Authorization
// header. A wrong password is 401; an expired or foreign token is 403 with
// "Token is invalid or expired", upon which clients refresh.
func (c *call) admit(who access) error {
	if err := c.chooseTenant(); err != nil {
		return err
	}
	if who == everybody {
		return nil
	}
	scheme, value, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	var err error
	switch strings.ToLower(scheme) {
	case "":
		err = refuse(http.StatusUnauthorized, "Authentication credentials were not provided.")
	case "basic":
		name, password, _ := c.r.BasicAuth()
		err = c.checkPassword(name, password)
	case "bearer":
		err = c.checkJWT(value)
	case "api-token":
		err = c.checkToken(value)
	default:
		err = refuse(http.StatusUnauthorized, "Unknown authentication scheme.")
	}
	if err != nil {
		return err
	}
	return c.authorize(who)
}

// chooseTenant reads the login realm. What VMS answers to a tenant that it
// does not have is not documented.
func (c *call) chooseTenant() error {
	c.tenant = 1
	name := c.r.Header.Get("X-Tenant-Name")
	if name == "" {
		return nil
	}
	i := slices.Index(c.s.o.Tenants, name)
	if i < 0 {
		return forbid("Tenant %q does not exist or you may not use it.", name)
	}
	c.tenant = i + 1
	return nil
}

func (c *call) authorize(who access) error {
	const denied = "You do not have permission to perform this action."
	switch {
	case c.user.kind == Manager && c.r.Header.Get("X-Tenant-Name") != "":
		// The header is for the administrators and users of a tenant.
		return forbid(denied)
	case who == directory && c.user.kind != Directory:
		return forbid("S3 keys are for users of a directory; an administrator makes those of local users.")
	case who == manager && c.user.kind != Manager:
		return forbid(denied)
	}
	return nil
}

func (c *call) checkPassword(name, password string) error {
	u, ok := c.s.users[name]
	if !ok || u.password == "" || subtle.ConstantTimeCompare([]byte(u.password), []byte(password)) != 1 {
		return refuse(http.StatusUnauthorized, "Invalid username or password.")
	}
	c.identify(u)
	return nil
}

// claims are the content of a JWT.
type claims struct {
	Type    string `json:"token_type"`
	User    string `json:"username"`
	UserID  int    `json:"user_id"`
	Tenant  int    `json:"tenant_id"`
	Issued  int64  `json:"iat"`
	Expires int64  `json:"exp"`
	ID      string `json:"jti"`
}

var errToken error = &refusal{http.StatusForbidden, map[string]any{
	"detail": "Token is invalid or expired", "code": "token_not_valid",
}}

func (c *call) checkJWT(token string) error {
	got, ok := c.s.readJWT(token, "access", c.now)
	u := c.s.users[got.User]
	if !ok || u == nil || u.id != got.UserID {
		return errToken
	}
	if c.r.Header.Get("X-Tenant-Name") == "" {
		c.tenant = got.Tenant
	} else if c.tenant != got.Tenant {
		return forbid("The token was issued for another tenant.")
	}
	c.identify(u)
	return nil
}

// postToken is a login: it answers an access token for an hour and a refresh
// token for a day.
func (c *call) postToken() (int, any, error) {
	var in struct{ Username, Password *string }
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	if in.Username == nil {
		return 0, nil, required("username")
	}
	if in.Password == nil {
		return 0, nil, required("password")
	}
	if err := c.checkPassword(*in.Username, *in.Password); err != nil {
		return 0, nil, err
	}
	return c.issueTokens()
}

// postTokenRefresh trades a refresh token for a new pair; 401 means that only
// a login helps.
func (c *call) postTokenRefresh() (int, any, error) {
	var in struct{ Refresh *string }
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	if in.Refresh == nil {
		return 0, nil, required("refresh")
	}
	got, ok := c.s.readJWT(*in.Refresh, "refresh", c.now)
	u := c.s.users[got.User]
	if !ok || u == nil || u.id != got.UserID {
		return 0, nil, &refusal{http.StatusUnauthorized, map[string]any{
			"detail": "Token is invalid or expired", "code": "token_not_valid",
		}}
	}
	c.identify(u)
	c.tenant = got.Tenant
	return c.issueTokens()
}

func (c *call) issueTokens() (int, any, error) {
	answer := map[string]any{}
	for kind, life := range map[string]time.Duration{"access": accessLife, "refresh": renewLife} {
		token, err := c.s.writeJWT(claims{
			Type: kind, User: c.user.name, UserID: c.user.id, Tenant: c.tenant,
			Issued: c.now.Unix(), Expires: c.now.Add(life).Unix(),
		})
		if err != nil {
			return 0, nil, err
		}
		answer[kind] = token
	}
	return http.StatusOK, answer, nil
}

const jwtHeader = `{"alg":"HS256","typ":"JWT"}`

func (s *Server) writeJWT(c claims) (string, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(s.o.Rand, id); err != nil {
		return "", errors.New("no randomness left")
	}
	c.ID = base64.RawURLEncoding.EncodeToString(id)
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(jwtHeader)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(s.mac(signed)), nil
}

// readJWT checks signature, type and expiry. Only the one algorithm that
// writeJWT uses is known, whatever a header claims.
func (s *Server) readJWT(token, kind string, now time.Time) (claims, bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return claims{}, false
	}
	mac, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil || !hmac.Equal(mac, s.mac(token[:i])) {
		return claims{}, false
	}
	_, middle, _ := strings.Cut(token[:i], ".")
	payload, err := base64.RawURLEncoding.DecodeString(middle)
	var c claims
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}, false
	}
	return c, c.Type == kind && now.Unix() < c.Expires
}

func (s *Server) mac(signed string) []byte {
	h := hmac.New(sha256.New, s.signer)
	h.Write([]byte(signed))
	return h.Sum(nil)
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}
