package cli

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vault"
	"github.com/valetkey/valetkey/pkg/vms"
	"github.com/valetkey/valetkey/pkg/wire"
)

// This file joins settings, clients and use-cases. Nothing is constructed before
// a command asks for it: a warm credential-process makes no client at all.

func origin(v settings.Value) wire.Origin { return wire.Origin{Value: v.Text(), Source: v.Source} }

func (a *app) transport(group string, address settings.Value, t settings.TLS) wire.Options {
	o := wire.Options{
		Group: group, Address: origin(address),
		CAFile: origin(t.CAFile), ServerName: origin(t.ServerName), PinSHA256: origin(t.PinSHA256),
		ClientCert: origin(t.ClientCert), ClientKey: origin(t.ClientKey), Insecure: t.Insecure.Bool(),
		Proxy: a.set.Proxy(), UserAgent: "valetkey/" + a.version().Version,
	}
	if a.debug != nil {
		o.Trace = a.trace
	}
	return o
}

// vmsFlags are the flags of commands that log in to VMS.
type vmsFlags struct{ passwordStdin bool }

func (a *app) addVMSFlags(cmd *cobra.Command) {
	settings.AddFlags(cmd.Flags(), "vms")
	cmd.Flags().BoolVar(&a.vmsFlags.passwordStdin, "vms-password-stdin", false, "read the password of VMS from standard input")
}

// vmsClient makes the client of VMS. What the command line, the environment or
// the profile say goes before a stored login, so that a script with a password
// never touches a key store for it.
func (a *app) vmsClient(ctx context.Context) (*vms.Client, error) {
	config, s, err := a.vmsConfig()
	if err != nil {
		return nil, err
	}
	explicit := a.vmsFlags.passwordStdin || !s.Token.IsEmpty() || !s.Password.IsEmpty() || !s.PasswordCommand.IsEmpty()
	if !explicit {
		if config.Login, err = a.vmsLogins(s); err != nil {
			return nil, err
		}
	}
	return vms.New(config)
}

func (a *app) vmsConfig() (vms.Config, settings.VMS, error) {
	s, err := a.set.VMS()
	if err != nil {
		return vms.Config{}, s, err
	}
	if s.Address.IsEmpty() {
		return vms.Config{}, s, noVMSAddress()
	}
	if !a.silent {
		a.tellWarnings()
	}
	options := a.transport("vms", s.Address, s.TLS)
	client, err := wire.NewHTTP(options)
	if err != nil {
		return vms.Config{}, s, err
	}
	config := vms.Config{
		Address: s.Address.Text(), APIVersion: s.APIVersion.Text(), Username: s.Username.Text(), Tenant: s.Tenant.Text(),
		HTTP: client, Now: a.clock, Timeout: a.global.Timeout.Duration(),
		Explain:  func(err error) error { return wire.Explain(options, err) },
		Password: a.vmsPassword(s),
	}
	if !a.vmsFlags.passwordStdin {
		config.Token = s.Token.Secret()
	}
	return config, s, nil
}

// vmsPassword finds the password of VMS when the client asks for it, once: from
// standard input, the settings, the password command, a prompt, in this order.
func (a *app) vmsPassword(s settings.VMS) func(context.Context) (secret.Text, error) {
	var (
		once  sync.Once
		value secret.Text
		err   error
	)
	return func(ctx context.Context) (secret.Text, error) {
		once.Do(func() {
			switch {
			case a.vmsFlags.passwordStdin:
				value, err = a.stdinLine(ctx, "--vms-password-stdin")
			case !s.Password.IsEmpty():
				value = s.Password.Secret()
			case !s.PasswordCommand.IsEmpty():
				value, err = a.commandOutput(ctx, s.PasswordCommand)
			case a.silent:
				err = failure.New(failure.Usage, "no password or login for %s at %s", s.Username.Text(), s.Address.Text()).
					WithHint("valetkey login vms")
			default:
				value, err = a.term.AskSecret(a.base, "VMS password of "+s.Username.Text()+": ",
					"set VALETKEY_VMS_PASSWORD, pipe it to --vms-password-stdin, set vms.password_command, or log in once with valetkey login vms")
				if err == nil && value.IsEmpty() {
					err = failure.New(failure.Usage, "the password is empty").WithHint("nothing was sent")
				}
			}
		})
		return value, err
	}
}

// vaultClient makes the client of Vault without a token.
func (a *app) vaultClient() (*vault.Client, settings.Vault, settings.VaultAuth, error) {
	s, auth, err := a.set.Vault()
	if err != nil {
		return nil, s, auth, err
	}
	if s.Address.IsEmpty() {
		return nil, s, auth, failure.New(failure.Usage, "no Vault address").
			WithHint("set vault.address: --vault-address, VALETKEY_VAULT_ADDRESS or VAULT_ADDR; valetkey config set vault.address")
	}
	options := a.transport("vault", s.Address, s.TLS)
	client, err := wire.NewHTTP(options)
	if err != nil {
		return nil, s, auth, err
	}
	address, err := wire.NormalizeAddress(s.Address.Text())
	if err != nil {
		return nil, s, auth, err
	}
	c, err := vault.New(vault.Config{
		Address: address.String(), Namespace: s.Namespace.Text(), HTTP: client,
		Explain: func(err error) error { return wire.Explain(options, err) },
	})
	return c, s, auth, err
}
