package vault

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// Login is a token that Vault has just issued or renewed.
type Login struct {
	Token     secret.Text
	Accessor  string
	Policies  []string
	TTL       time.Duration // 0: it does not expire
	Renewable bool
}

type authMember struct {
	ClientToken   string `json:"client_token"`
	Accessor      string
	Policies      []string
	LeaseDuration int64 `json:"lease_duration"`
	Renewable     bool
}

// LoginAppRole logs in with a role id and a secret id. The mount is that of
// the AppRole method, "approle" when empty. A refusal is Auth. The client goes
// on with the token it had: hand the new one to [Client.SetToken].
func (c *Client) LoginAppRole(ctx context.Context, mount, roleID string, secretID secret.Text) (Login, error) {
	mount, err := authMount(mount, "approle")
	if err != nil {
		return Login{}, err
	}
	if strings.TrimSpace(roleID) == "" {
		return Login{}, failure.New(failure.Usage, "log in to vault by AppRole: no role id").WithHint("set VALETKEY_VAULT_ROLE_ID or vault.auth.role_id")
	}
	return c.login(ctx, "auth/"+mount+"/login", "log in to vault by AppRole",
		map[string]string{"role_id": roleID, "secret_id": secretID.Reveal()})
}

// LoginUserpass logs in with a user name and a password, as LoginAppRole does
// with ids. The mount is "userpass" when empty.
func (c *Client) LoginUserpass(ctx context.Context, mount, username string, password secret.Text) (Login, error) {
	mount, err := authMount(mount, "userpass")
	if err != nil {
		return Login{}, err
	}
	name, err := cleanPath(failure.Usage, "the vault user name", username)
	if err != nil || strings.Contains(name, "/") || name != username {
		return Login{}, failure.New(failure.Usage, "%q is no vault user name", username)
	}
	return c.login(ctx, "auth/"+mount+"/login/"+name, "log in to vault as "+name, map[string]string{"password": password.Reveal()})
}

func authMount(mount, usual string) (string, error) {
	if mount == "" {
		return usual, nil
	}
	return cleanPath(failure.Config, "vault.auth.mount", strings.TrimPrefix(mount, "auth/"))
}

func (c *Client) login(ctx context.Context, path, doing string, members map[string]string) (Login, error) {
	for _, v := range members {
		if !utf8.ValidString(v) {
			return Login{}, failure.New(failure.Usage, "%s: the credential is not UTF-8", doing)
		}
	}
	body, err := object(members)
	if err != nil {
		return Login{}, err
	}
	return c.tokenFrom(ctx, call{method: http.MethodPost, path: path, body: body, doing: doing, anonymous: true, opaque: true})
}

func (c *Client) tokenFrom(ctx context.Context, q call) (Login, error) {
	a, err := c.do(ctx, q)
	if err != nil {
		return Login{}, err
	}
	if a.status != http.StatusOK || !a.isVault {
		return Login{}, c.refusal(ctx, q, a)
	}
	if a.Auth == nil || a.Auth.ClientToken == "" {
		// Among others: the login wants a second factor, which is asked for elsewhere.
		return Login{}, failure.New(failure.Network, "%s: the answer holds no token", q.doing)
	}
	return Login{
		Token: secret.FromString(a.Auth.ClientToken), Accessor: a.Auth.Accessor, Policies: a.Auth.Policies,
		TTL: time.Duration(a.Auth.LeaseDuration) * time.Second, Renewable: a.Auth.Renewable,
	}, nil
}

// Token is what Vault tells of the client's own token.
type Token struct {
	Accessor    string
	DisplayName string
	Policies    []string
	TTL         time.Duration // what is left; 0 with a zero Expires: it does not expire
	Expires     time.Time     // by Vault's clock; zero: never
	Renewable   bool
	Type        string // service or batch
	Path        string // of the login that made it
}

// LookupSelf describes the client's own token. A token that is not taken is Auth.
func (c *Client) LookupSelf(ctx context.Context) (Token, error) {
	q := call{method: http.MethodGet, path: "auth/token/lookup-self", doing: "look up the vault token"}
	a, err := c.do(ctx, q)
	if err != nil {
		return Token{}, err
	}
	if a.status != http.StatusOK || !a.isVault {
		return Token{}, c.refusal(ctx, q, a)
	}
	var t struct {
		Accessor    string
		DisplayName string `json:"display_name"`
		Policies    []string
		TTL         int64
		ExpireTime  *time.Time `json:"expire_time"`
		Renewable   bool
		Type        string
		Path        string
	}
	if err := json.Unmarshal(a.Data, &t); err != nil {
		return Token{}, failure.New(failure.Network, "%s: the answer describes no token", q.doing)
	}
	own := Token{
		Accessor: t.Accessor, DisplayName: t.DisplayName, Policies: t.Policies, TTL: time.Duration(t.TTL) * time.Second,
		Renewable: t.Renewable, Type: t.Type, Path: t.Path,
	}
	if t.ExpireTime != nil {
		own.Expires = t.ExpireTime.UTC()
	}
	return own, nil
}

// RenewSelf asks for more life of the client's own token: increment from now
// on, or what its login grants when 0. The answer's TTL counts, not the wish:
// Vault caps it silently. A token that cannot be renewed is Usage.
func (c *Client) RenewSelf(ctx context.Context, increment time.Duration) (Login, error) {
	members := map[string]string{}
	if increment > 0 {
		members["increment"] = (increment.Truncate(time.Second)).String()
	}
	body, err := object(members)
	if err != nil {
		return Login{}, err
	}
	q := call{method: http.MethodPost, path: "auth/token/renew-self", body: body, doing: "renew the vault token"}
	a, err := c.tokenFrom(ctx, q)
	// The second is what Vault says of a root token, which has no lease.
	if failure.Is(err, failure.Internal) && (strings.Contains(err.Error(), "not renewable") || strings.Contains(err.Error(), "invalid lease ID")) {
		return Login{}, failure.New(failure.Usage, "%s: it cannot be renewed", q.doing)
	}
	return a, err
}

// RevokeSelf ends the client's own token, and every lease that it made.
func (c *Client) RevokeSelf(ctx context.Context) error {
	q := call{method: http.MethodPost, path: "auth/token/revoke-self", doing: "revoke the vault token"}
	a, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	if (a.status != http.StatusNoContent && a.status != http.StatusOK) || !a.isVault {
		return c.refusal(ctx, q, a)
	}
	return nil
}
