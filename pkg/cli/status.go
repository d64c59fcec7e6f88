package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
)

func (a *app) status() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say who you are at VMS and Vault",
		Long: `Say which VMS and Vault are meant, as whom, and where the credentials come from. --check asks
the servers whether they take them, and fails with their refusal. No secret is shown.`,
		Example: "  valetkey status\n  valetkey status --check -o json",
		RunE:    func(*cobra.Command, []string) error { return a.runStatus(check) },
	}
	settings.AddFlags(cmd.Flags(), settings.GroupVMS, settings.GroupVault, settings.GroupVaultAuth)
	cmd.Flags().BoolVar(&check, "check", false, "ask the servers")
	return cmd
}

// serverStatus is the JSON shape of one server.
type serverStatus struct {
	Address    string   `json:"address,omitempty"`
	User       string   `json:"user,omitempty"`
	Tenant     string   `json:"tenant,omitempty"`
	Namespace  string   `json:"namespace,omitempty"`
	LoggedIn   bool     `json:"logged_in"`
	Credential string   `json:"credential,omitempty"` // where it comes from
	Expires    string   `json:"expires,omitempty"`
	Policies   []string `json:"policies,omitempty"`
	Checked    bool     `json:"checked"`
}

func (a *app) runStatus(check bool) error {
	ctx := a.wait()
	vms, err := a.vmsStatus(ctx, check)
	if err != nil {
		return err
	}
	vault, err := a.vaultStatus(ctx, check)
	if err != nil {
		return err
	}
	answer := render.Answer{
		Value:  map[string]serverStatus{"vms": vms, "vault": vault},
		Header: []string{"SERVER", "ADDRESS", "USER", "CREDENTIAL", "EXPIRES", "CHECKED"},
	}
	for name, s := range map[string]serverStatus{"vms": vms, "vault": vault} {
		answer.Rows = append(answer.Rows, []string{name, s.Address, s.User, s.Credential, s.Expires, yes(s.Checked)})
	}
	if answer.Rows[0][0] != "vms" {
		answer.Rows[0], answer.Rows[1] = answer.Rows[1], answer.Rows[0]
	}
	return a.print(answer)
}

func (a *app) vmsStatus(ctx context.Context, check bool) (serverStatus, error) {
	s, err := a.set.VMS()
	if err != nil {
		return serverStatus{}, err
	}
	if s.Address.IsEmpty() {
		return serverStatus{}, nil
	}
	status := serverStatus{Address: s.Address.Text(), User: s.Username.Text(), Tenant: s.Tenant.Text()}
	for _, v := range []settings.Value{s.Token, s.Password, s.PasswordCommand} {
		if !v.IsEmpty() {
			status.Credential, status.LoggedIn = v.Name+" ("+v.Source+")", true
		}
	}
	if !status.LoggedIn {
		logins, err := a.vmsLogins(s)
		if err != nil {
			return status, err
		}
		login, err := logins.Load(ctx)
		if err != nil {
			return status, err
		}
		if login != nil {
			status.Credential, status.LoggedIn = "stored login of "+login.Obtained.UTC().Format(time.RFC3339), true
		}
	}
	if check && status.LoggedIn {
		client, err := a.vmsClient(ctx)
		if err != nil {
			return status, err
		}
		if err := client.Check(ctx); err != nil {
			return status, err
		}
		status.Checked = true
	}
	return status, nil
}

func (a *app) vaultStatus(ctx context.Context, check bool) (serverStatus, error) {
	s, auth, err := a.set.Vault()
	if err != nil {
		return serverStatus{}, err
	}
	if s.Address.IsEmpty() {
		return serverStatus{}, nil
	}
	status := serverStatus{Address: s.Address.Text(), Namespace: s.Namespace.Text()}
	place, err := newVaultPlace(s, auth)
	if err != nil {
		return status, err
	}
	switch {
	case !auth.Token.IsEmpty() && !auth.StoredFirst:
		status.Credential, status.LoggedIn = "vault.token ("+auth.Token.Source+")", true
	case a.canLogIn(auth):
		status.Credential, status.LoggedIn = place.method+" ("+auth.Method.Source+")", true
	default:
		item, err := a.storedVaultLogin(ctx, place)
		if err != nil {
			return status, err
		}
		if item != nil {
			status.Credential, status.LoggedIn = "stored login by "+item.Mount, true
			status.User = item.User
			if !item.Expires.IsZero() {
				status.Expires = item.Expires.UTC().Format(time.RFC3339)
			}
		} else if !auth.Token.IsEmpty() {
			status.Credential, status.LoggedIn = "vault.token ("+auth.Token.Source+")", true
		}
	}
	if !check || !status.LoggedIn {
		return status, nil
	}
	client, err := a.vaultSession(ctx)
	if err != nil {
		return status, err
	}
	own, err := client.LookupSelf(ctx)
	if err != nil {
		return status, err
	}
	status.User, status.Policies, status.Checked = own.DisplayName, own.Policies, true
	if strings.TrimSpace(status.User) == "" {
		status.User = "token"
	}
	if !own.Expires.IsZero() {
		status.Expires = own.Expires.UTC().Format(time.RFC3339)
	}
	return status, nil
}
