package cli

import (
	"context"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/logintoken"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vault"
	"github.com/valetkey/valetkey/pkg/vms"
	"github.com/valetkey/valetkey/pkg/wire"
)

// logins keeps logins at VMS and Vault in the store of tokens.store.
func (a *app) logins() (keystore.Store, error) {
	if a.tokens != nil {
		return a.tokens, nil
	}
	s, err := a.set.Keys()
	if err != nil {
		return nil, err
	}
	a.tokens, _, err = a.openStore(s.TokensStore)
	return a.tokens, err
}

// loadLogin returns a stored login, or nil if there is none. One that was made
// while the server was recognised in another way is not sent where the
// environment points.
func (a *app) loadLogin(ctx context.Context, name string, t settings.TLS) (*logintoken.Item, error) {
	store, err := a.logins()
	if err != nil {
		return nil, err
	}
	raw, err := store.Get(ctx, name)
	if failure.Is(err, failure.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	item, err := logintoken.Decode(name, raw)
	if err != nil {
		return nil, keystore.Unreadable(store.Name(), err)
	}
	return &item, t.CheckStored("the stored login", item.Trust)
}

func (a *app) saveLogin(ctx context.Context, item logintoken.Item) error {
	store, err := a.logins()
	if err != nil {
		return err
	}
	raw, err := item.Encode()
	if err != nil {
		return err
	}
	return store.Put(ctx, item.Name(), raw)
}

func (a *app) dropLogin(ctx context.Context, name string) error {
	store, err := a.logins()
	if err != nil {
		return err
	}
	if err := store.Delete(ctx, name); err != nil && !failure.Is(err, failure.NotFound) {
		return err
	}
	return nil
}

// vmsLogin is the stored login of one user at one VMS; it is a vms.LoginStore.
type vmsLogin struct {
	app  *app
	item logintoken.Item // without tokens
	tls  settings.TLS
}

func (a *app) vmsLogins(s settings.VMS) (*vmsLogin, error) {
	address, err := wire.NormalizeAddress(s.Address.Text())
	if err != nil {
		return nil, failure.Annotate(err, "vms.address (%s)", s.Address.Source)
	}
	return &vmsLogin{app: a, tls: s.TLS, item: logintoken.Item{
		Kind: logintoken.VMS, Address: address.Host, Realm: s.Tenant.Text(), User: s.Username.Text(), Trust: s.Trust(),
	}}, nil
}

// Load implements vms.LoginStore.
func (l *vmsLogin) Load(ctx context.Context) (*vms.Login, error) {
	item, err := l.app.loadLogin(ctx, l.item.Name(), l.tls)
	if err != nil || item == nil {
		return nil, err
	}
	return &vms.Login{Access: item.Access, Refresh: item.Refresh, Obtained: item.Obtained}, nil
}

// Save implements vms.LoginStore.
func (l *vmsLogin) Save(ctx context.Context, login *vms.Login) error {
	item := l.item
	item.Access, item.Refresh, item.Obtained = login.Access, login.Refresh, login.Obtained
	return l.app.saveLogin(ctx, item)
}

// vaultMethods are the methods whose stored login is found without naming the method again.
var vaultMethods = []string{"token", "approle", "userpass"}

// vaultPlace says where logins at Vault are kept.
type vaultPlace struct {
	address, namespace, method, mount string
	tls                               settings.TLS
}

func newVaultPlace(s settings.Vault, auth settings.VaultAuth) (vaultPlace, error) {
	address, err := wire.NormalizeAddress(s.Address.Text())
	if err != nil {
		return vaultPlace{}, failure.Annotate(err, "vault.address (%s)", s.Address.Source)
	}
	p := vaultPlace{address: address.Host, namespace: s.Namespace.Text(), method: auth.Method.Text(), mount: auth.Mount.Text(), tls: s.TLS}
	if p.mount == "" {
		p.mount = p.method
	}
	return p, nil
}

// names are the stored logins that may serve, the most likely first.
func (p vaultPlace) names() []string {
	mounts := []string{p.mount}
	if p.method == "token" {
		mounts = vaultMethods
		if p.mount != "token" {
			mounts = append([]string{p.mount}, mounts...)
		}
	}
	var names []string
	for _, m := range mounts {
		names = append(names, logintoken.VaultName(p.address, p.namespace, m))
	}
	return names
}

// storedVaultLogin returns the stored login that may serve, or nil.
func (a *app) storedVaultLogin(ctx context.Context, p vaultPlace) (*logintoken.Item, error) {
	for _, name := range p.names() {
		item, err := a.loadLogin(ctx, name, p.tls)
		if err != nil {
			return nil, err
		}
		if item != nil && item.Valid(a.clock()) {
			return item, nil
		}
	}
	return nil, nil
}

// vaultSession returns a client with a token: from the environment or a flag,
// from a stored login, from ~/.vault-token or the profile, or by logging in
// with what is at hand.
func (a *app) vaultSession(ctx context.Context) (*vault.Client, error) {
	client, s, auth, err := a.vaultClient()
	if err != nil {
		return nil, err
	}
	if !auth.Token.IsEmpty() && !auth.StoredFirst {
		client.SetToken(auth.Token.Secret())
		return client, nil
	}
	place, err := newVaultPlace(s, auth)
	if err != nil {
		return nil, err
	}
	// With all it takes to log in at hand no key store need be touched.
	if a.canLogIn(auth) {
		login, err := a.vaultLogin(ctx, client, auth, secret.Text{})
		if err != nil {
			return nil, err
		}
		client.SetToken(login.Token)
		a.loggedIn = append(a.loggedIn, client)
		return client, nil
	}
	item, err := a.storedVaultLogin(ctx, place)
	switch {
	case err == nil && item != nil:
		client.SetToken(item.Access)
		return client, a.keepAlive(ctx, client, *item)
	case !auth.Token.IsEmpty():
		client.SetToken(auth.Token.Secret())
		return client, nil
	case err != nil:
		return nil, err
	}
	return nil, failure.New(failure.Auth, "not logged in to Vault at %s", s.Address.Text()).
		WithHint("valetkey login vault, or set VALETKEY_VAULT_TOKEN or VAULT_TOKEN")
}

// revokeLogins ends the tokens that this run got by logging in, where they were
// for a look alone. Batch tokens cannot be revoked.
func (a *app) revokeLogins() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.base), 5*time.Second)
	defer cancel()
	for _, client := range a.loggedIn {
		_ = client.RevokeSelf(ctx)
	}
}

// canLogIn reports whether the settings alone are enough to log in.
func (a *app) canLogIn(auth settings.VaultAuth) bool {
	switch auth.Method.Text() {
	case "approle":
		return !auth.RoleID.IsEmpty() && (!auth.SecretID.IsEmpty() || !auth.SecretIDFile.IsEmpty())
	case "userpass":
		return !auth.Username.IsEmpty() && !auth.Password.IsEmpty()
	}
	return false
}

// keepAlive renews a stored token past half of its life. A failure is no error:
// the token still works.
func (a *app) keepAlive(ctx context.Context, client *vault.Client, item logintoken.Item) error {
	if !item.Renewable || item.TTL == 0 || item.Expires.Sub(a.clock()) > item.TTL/2 {
		return nil
	}
	login, err := client.RenewSelf(ctx, 0)
	if err != nil || login.TTL <= 0 {
		return nil //nolint:nilerr // the token at hand is still valid
	}
	item.TTL, item.Renewable, item.Expires = login.TTL, login.Renewable, a.clock().Add(login.TTL)
	if err := a.saveLogin(ctx, item); err != nil {
		a.term.Warn("the renewed login could not be stored: %v", err)
	}
	return nil
}

// vaultLogin logs in by the method of the settings. The password is asked for
// where it is not given.
func (a *app) vaultLogin(ctx context.Context, client *vault.Client, auth settings.VaultAuth, password secret.Text) (vault.Login, error) {
	switch method := auth.Method.Text(); method {
	case "approle":
		if auth.RoleID.IsEmpty() {
			return vault.Login{}, failure.New(failure.Usage, "no role id for AppRole").WithHint("--vault-role-id, VALETKEY_VAULT_ROLE_ID, or vault.auth.role_id in the profile")
		}
		secretID, err := a.secretID(auth)
		if err != nil {
			return vault.Login{}, err
		}
		return client.LoginAppRole(ctx, auth.Mount.Text(), auth.RoleID.Text(), secretID)
	case "userpass":
		if auth.Username.IsEmpty() {
			return vault.Login{}, failure.New(failure.Usage, "no Vault user name").WithHint("--vault-username, VALETKEY_VAULT_USERNAME, or vault.auth.username in the profile")
		}
		if password.IsEmpty() {
			password = auth.Password.Secret()
		}
		if password.IsEmpty() {
			var err error
			password, err = a.term.AskSecret(a.base, "Vault password of "+auth.Username.Text()+": ", "pipe it to --vault-password-stdin, or set VALETKEY_VAULT_PASSWORD")
			if err != nil {
				return vault.Login{}, err
			}
		}
		return client.LoginUserpass(ctx, auth.Mount.Text(), auth.Username.Text(), password)
	default:
		return vault.Login{}, failure.New(failure.Config, "logging in by %s (%s) is not known to this version of valetkey", method, auth.Method.Source).
			WithHint("vault.auth.method is token, approle or userpass; a token of another login works through VALETKEY_VAULT_TOKEN")
	}
}

func (a *app) secretID(auth settings.VaultAuth) (secret.Text, error) {
	if !auth.SecretID.IsEmpty() {
		return auth.SecretID.Secret(), nil
	}
	if !auth.SecretIDFile.IsEmpty() {
		b, err := a.inputFile(auth.SecretIDFile.Text())
		if err != nil {
			return secret.Text{}, failure.Wrap(failure.Config, err, "vault.auth.secret_id_file (%s)", auth.SecretIDFile.Source)
		}
		return secret.FromString(strings.TrimSpace(string(b))), nil
	}
	return a.term.AskSecret(a.base, "AppRole secret id: ", "set VALETKEY_VAULT_SECRET_ID or VALETKEY_VAULT_SECRET_ID_FILE")
}
