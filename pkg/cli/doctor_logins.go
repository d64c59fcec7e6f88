package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/doctor"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vms"
)

func (d *checkup) checkVMSLogin(ctx context.Context) ([]doctor.Finding, error) {
	if !d.reached("vms") {
		return nil, nil
	}
	config, s, err := d.vmsConfig()
	if err != nil {
		return trouble(doctor.Error, err), nil
	}
	if !d.vmsFlags.passwordStdin && s.Token.IsEmpty() && s.Password.IsEmpty() && s.PasswordCommand.IsEmpty() {
		config.Password = nil
		logins, err := d.vmsLogins(s)
		if err != nil {
			return trouble(doctor.Error, err), nil
		}
		login, err := logins.Load(ctx)
		switch {
		case err != nil:
			return d.noStoredLogin(err), nil
		case login == nil:
			return one(doctor.Info, "valetkey login vms", "no login or password for %s: commands will ask", s.Address.Text()), nil
		}
		// A login that is renewed on the way is kept, as by every command: to
		// throw the new one away could end it.
		config.Login = logins
	}
	client, err := vms.New(config)
	if err == nil {
		err = client.Check(ctx)
	}
	if err != nil {
		return trouble(doctor.Error, err), nil
	}
	d.vms = client
	return nil, nil
}

// noStoredLogin is no error where only a passphrase is missing to read it.
func (d *checkup) noStoredLogin(err error) []doctor.Finding {
	if failure.Is(err, failure.Usage) {
		return trouble(doctor.Info, failure.Annotate(err, "a stored login was not looked for"))
	}
	return trouble(doctor.Error, failure.Annotate(err, "look for a stored login"))
}

func (d *checkup) checkVaultLogin(ctx context.Context) ([]doctor.Finding, error) {
	if !d.reached("vault") {
		return nil, nil
	}
	client, s, auth, err := d.vaultClient()
	if err != nil {
		return trouble(doctor.Error, err), nil
	}
	place, err := newVaultPlace(s, auth)
	if err != nil {
		return trouble(doctor.Error, err), nil
	}
	var token secret.Text
	switch {
	case !auth.Token.IsEmpty() && !auth.StoredFirst:
		token = auth.Token.Secret()
	case d.canLogIn(auth):
		login, err := d.vaultLogin(ctx, client, auth, secret.Text{})
		if err != nil {
			return trouble(doctor.Error, err), nil
		}
		token = login.Token
		defer func() { _ = client.RevokeSelf(ctx) }() // it was for this check; batch tokens cannot be revoked
	default:
		item, err := d.storedVaultLogin(ctx, place)
		switch {
		case err == nil && item != nil:
			token = item.Access
		case !auth.Token.IsEmpty():
			token = auth.Token.Secret()
		case err != nil:
			return d.noStoredLogin(err), nil
		default:
			return one(doctor.Info, "valetkey login vault", "not logged in to Vault at %s", s.Address.Text()), nil
		}
	}
	client.SetToken(token)
	_, err = client.LookupSelf(ctx)
	return trouble(doctor.Error, err), nil
}

func (d *checkup) checkKeys(ctx context.Context) ([]doctor.Finding, error) {
	if d.vms == nil {
		return nil, nil
	}
	d.keysAtVMS = ownKeys{d.vms}
	remote, err := d.keysAtVMS.Keys(ctx)
	switch {
	case errors.Is(err, vms.ErrUnknownShape), failure.Is(err, failure.Forbidden):
		return trouble(doctor.Info, err), nil
	case err != nil:
		return trouble(doctor.Error, err), nil
	}
	k, err := d.accessKeys(execStores)
	if err != nil {
		return slots(remote, nil), nil //nolint:nilerr // the check of the store says it
	}
	var findings []doctor.Finding
	if current, err := k.service.Current(ctx); err == nil {
		findings = alive(current.AccessKey, remote)
	}
	var joined []accesskey.Key
	if len(remote) > 1 {
		joined, _ = k.service.List(ctx) // without the store nothing is known to be retiring
	}
	return append(findings, slots(remote, joined)...), nil
}

// alive tells of a stored key that VMS does not know, or has disabled: it is
// handed out without a question.
func alive(stored string, remote []accesskey.Remote) []doctor.Finding {
	for _, r := range remote {
		switch {
		case r.AccessKey != stored:
		case r.Enabled:
			return nil
		default:
			return one(doctor.Error, "let an administrator enable it, or issue another: valetkey keys create",
				"the stored access key %s is disabled at VMS", stored)
		}
	}
	return one(doctor.Error, "valetkey keys delete "+stored+", then valetkey keys create",
		"VMS does not know the stored access key %s any more", stored)
}

// slots tells that no further key can be issued.
func slots(remote []accesskey.Remote, joined []accesskey.Key) []doctor.Finding {
	if len(remote) < 2 {
		return nil
	}
	var names []string
	for _, r := range remote {
		names = append(names, r.AccessKey)
	}
	for _, k := range joined {
		if k.State == accesskey.Retiring {
			return one(doctor.Info, "", "both key slots are in use, until %s has retired: %s", k.AccessKey, strings.Join(names, ", "))
		}
	}
	return one(doctor.Warning, "valetkey keys list shows which are stored here; valetkey keys delete ACCESS_KEY frees a slot",
		"both key slots are in use, no key can be issued or rotated: %s", strings.Join(names, ", "))
}
