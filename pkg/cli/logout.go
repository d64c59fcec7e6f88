package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
)

func (a *app) logout() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "logout [vms | vault]",
		Short: "Forget stored logins, and revoke tokens got from Vault",
		Long: `Forget the stored logins of VMS, of Vault, or of both. A token that valetkey got
from Vault is revoked first, and with it everything that was issued under it. One that was
given to valetkey login vault is only forgotten: it may be in use elsewhere. VMS has no way to
revoke a token: it ends by itself.`,
		Example:   "  valetkey logout\n  valetkey logout vault",
		Args:      oneOf,
		ValidArgs: []string{"vms", "vault"},
		RunE:      func(_ *cobra.Command, args []string) error { return a.runLogout(args, dryRun) },
	}
	settings.AddFlags(cmd.Flags(), settings.GroupVMS, settings.GroupVault, settings.GroupVaultAuth)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say which logins are stored, forget none")
	return cmd
}

func (a *app) runLogout(args []string, dryRun bool) error {
	ctx := a.wait()
	done := []string{}
	if len(args) == 0 || slices.Contains(args, "vms") {
		gone, err := a.logoutVMS(ctx, dryRun, len(args) == 0)
		if err != nil {
			return err
		}
		done = append(done, gone...)
	}
	if len(args) == 0 || slices.Contains(args, "vault") {
		gone, err := a.logoutVault(ctx, dryRun, len(args) == 0)
		if err != nil {
			return err
		}
		done = append(done, gone...)
	}
	if len(done) == 0 {
		a.term.Note("no login is stored")
	}
	answer := render.Answer{Value: map[string][]string{"logged_out": done}, Header: []string{"LOGGED_OUT"}}
	for _, d := range done {
		answer.Rows = append(answer.Rows, []string{d})
	}
	return a.print(answer)
}

func (a *app) logoutVMS(ctx context.Context, dryRun, optional bool) ([]string, error) {
	s, err := a.set.VMS()
	if err != nil || s.Address.IsEmpty() {
		if err == nil && !optional {
			err = noVMSAddress()
		}
		return nil, err
	}
	logins, err := a.vmsLogins(s)
	if err != nil {
		return nil, err
	}
	name := logins.item.Name()
	store, err := a.logins()
	if err != nil {
		return nil, err
	}
	if _, err := store.Get(ctx, name); failure.Is(err, failure.NotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if dryRun {
		return []string{"vms " + logins.item.Address}, nil
	}
	return []string{"vms " + logins.item.Address}, a.dropLogin(ctx, name)
}

func (a *app) logoutVault(ctx context.Context, dryRun, optional bool) ([]string, error) {
	address, err := a.set.Lookup("vault.address")
	if err != nil {
		return nil, err
	}
	if address.IsEmpty() && optional {
		return nil, nil
	}
	client, s, auth, err := a.vaultClient()
	if err != nil {
		return nil, err
	}
	place, err := newVaultPlace(s, auth)
	if err != nil {
		return nil, err
	}
	var done []string
	for _, name := range place.names() {
		item, err := a.loadLogin(ctx, name, place.tls)
		if err != nil {
			return done, err
		}
		if item == nil {
			continue
		}
		done = append(done, "vault "+place.address+" "+item.Mount)
		if dryRun {
			continue
		}
		if item.Given {
			a.term.Note("the token of %s was given to valetkey: it is forgotten, and not revoked", place.address)
		} else {
			client.SetToken(item.Access)
			// A token that Vault does not take any more is gone already.
			if err := client.RevokeSelf(ctx); err != nil && !failure.Is(err, failure.Auth) && !failure.Is(err, failure.Forbidden) {
				return done, failure.Annotate(err, "revoke the stored token")
			}
		}
		if err := a.dropLogin(ctx, name); err != nil {
			return done, err
		}
	}
	return done, nil
}
