package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/logintoken"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vms"
)

func (a *app) login() *cobra.Command {
	return a.parent("login", "Log in to VMS or Vault and keep the token",
		"Log in and keep the token in the store of tokens.store, so that the password is typed once.",
		"  valetkey login vms\n  valetkey login vault --vault-auth-method userpass --vault-username alice",
		a.loginVMS(), a.loginVault())
}

// loginAnswer tells what was stored. It holds no token.
type loginAnswer struct {
	Server  string `json:"server"`
	Address string `json:"address"`
	User    string `json:"user,omitempty"`
	Store   string `json:"store"`
	Expires string `json:"expires,omitempty"`
}

func (l loginAnswer) answer() render.Answer {
	text := fmt.Sprintf("logged in to %s; the token is in the store %s", l.Address, l.Store)
	if l.User != "" {
		text = fmt.Sprintf("logged in to %s as %s; the token is in the store %s", l.Address, l.User, l.Store)
	}
	return render.Text(l, text)
}

func (a *app) loginVMS() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vms",
		Short: "Log in to VMS with a password",
		Long: `Log in to VMS with a password and keep the token that VMS gives for it. It is refreshed by
itself while VMS allows. The password is not kept.`,
		Example: "  valetkey login vms --vms-username alice\n  pass show vast/alice | valetkey login vms --vms-password-stdin",
		RunE:    func(*cobra.Command, []string) error { return a.runLoginVMS() },
	}
	a.addVMSFlags(cmd)
	return cmd
}

func (a *app) runLoginVMS() error {
	config, s, err := a.vmsConfig()
	if err != nil {
		return err
	}
	if s.Username.IsEmpty() {
		return failure.New(failure.Usage, "no VMS user name").
			WithHint("--vms-username, VALETKEY_VMS_USERNAME, or vms.username in the profile")
	}
	logins, err := a.vmsLogins(s)
	if err != nil {
		return err
	}
	store, err := a.logins()
	if err != nil {
		return err
	}
	config.Login, config.Token = logins, secret.Text{}
	client, err := vms.New(config)
	if err != nil {
		return err
	}
	ctx := a.wait()
	password, err := config.Password(ctx)
	if err != nil {
		return err
	}
	if _, err := client.Login(ctx, password); err != nil {
		return err
	}
	return a.print(loginAnswer{Server: "vms", Address: logins.item.Address, User: logins.item.User, Store: store.Name()}.answer())
}

func (a *app) loginVault() *cobra.Command {
	var passwordStdin bool
	cmd := &cobra.Command{
		Use:   "vault",
		Short: "Log in to Vault and keep the token",
		Long: `Log in to Vault and keep the token. The method token asks for a token and checks it; approle
and userpass get one. A token is renewed past half of its life when it is used. What logout
revokes is only what this command got itself: a token that was given may be in use elsewhere.`,
		Example: `  valetkey login vault
  valetkey login vault --vault-auth-method userpass --vault-username alice
  valetkey login vault --vault-auth-method approle --vault-role-id ID --vault-secret-id-file FILE`,
		RunE: func(*cobra.Command, []string) error { return a.runLoginVault(passwordStdin) },
	}
	settings.AddFlags(cmd.Flags(), settings.GroupVault, settings.GroupVaultAuth)
	cmd.Flags().BoolVar(&passwordStdin, "vault-password-stdin", false, "read the password, or the token, from standard input")
	return cmd
}

func (a *app) runLoginVault(passwordStdin bool) error {
	client, s, auth, err := a.vaultClient()
	if err != nil {
		return err
	}
	place, err := newVaultPlace(s, auth)
	if err != nil {
		return err
	}
	store, err := a.logins()
	if err != nil {
		return err
	}
	var typed secret.Text
	if passwordStdin {
		if typed, err = a.stdinLine(a.base, "--vault-password-stdin"); err != nil {
			return err
		}
	}
	item := logintoken.Item{
		Kind: logintoken.Vault, Address: place.address, Realm: place.namespace, Mount: place.mount,
		Obtained: a.clock(), Trust: s.Trust(),
	}
	ctx := a.wait()
	if place.method == "token" {
		if item.Access, err = a.vaultToken(auth, typed); err != nil {
			return err
		}
		item.Given = true
		client.SetToken(item.Access)
	} else {
		login, err := a.vaultLogin(ctx, client, auth, typed)
		if err != nil {
			return err
		}
		item.Access, item.Accessor = login.Token, login.Accessor
		client.SetToken(login.Token)
	}
	own, err := client.LookupSelf(ctx)
	if err != nil {
		return err
	}
	item.User, item.Accessor, item.Renewable = own.DisplayName, own.Accessor, own.Renewable
	if own.TTL > 0 {
		item.TTL, item.Expires = own.TTL, a.clock().Add(own.TTL)
	}
	if err := a.saveLogin(ctx, item); err != nil {
		return err
	}
	answer := loginAnswer{Server: "vault", Address: place.address, User: own.DisplayName, Store: store.Name()}
	if !item.Expires.IsZero() {
		answer.Expires = item.Expires.UTC().Format(time.RFC3339)
	}
	return a.print(answer.answer())
}

// vaultToken gets a token to keep: from standard input, the settings or a prompt.
func (a *app) vaultToken(auth settings.VaultAuth, typed secret.Text) (secret.Text, error) {
	switch {
	case !typed.IsEmpty():
		return typed, nil
	case !auth.Token.IsEmpty():
		return auth.Token.Secret(), nil
	}
	token, err := a.term.AskSecret(a.base, "Vault token: ", "pipe it to --vault-password-stdin, or set VALETKEY_VAULT_TOKEN")
	if err == nil && token.IsEmpty() {
		err = failure.New(failure.Usage, "the token is empty")
	}
	return token, err
}
