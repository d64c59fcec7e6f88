package cli

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vms"
)

// userFlags name somebody else, whose keys an administrator works with.
type userFlags struct {
	name, tenant given
	suffix       string // of a line about the same keys
}

// addUserFlags makes a verb one for administrators, too.
func (a *app) addUserFlags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Var(&a.userFlags.name, "user", "for administrators: work with the keys of this `user`: NAME, local:NAME, directory:NAME, uid:N or sid:S-1-...")
	a.addTenantFlag(cmd)
	return cmd
}

func (a *app) addTenantFlag(cmd *cobra.Command) {
	cmd.Flags().Var(&a.userFlags.tenant, "user-tenant", "for administrators: the `tenant` that the keys are in")
}

// given is the value of a flag that must not be empty: an unset variable in a
// script must not turn somebody else's keys into one's own.
type given string

func (g *given) String() string { return string(*g) }
func (g *given) Type() string   { return "string" }

// Set implements pflag.Value.
func (g *given) Set(value string) error {
	if value == "" {
		return errors.New("it is empty")
	}
	*g = given(value)
	return nil
}

// accessKeysOf joins the use-cases to the keys of another user. They are stored
// here under that user's name, as if they had issued them here themself.
func (a *app) accessKeysOf(user, tenant string, use storeUse) (keysOf, error) {
	who, err := accesskey.ParseWho(user)
	if err != nil {
		return keysOf{}, failure.Annotate(err, "read --user")
	}
	cluster, s, err := a.cluster()
	if err != nil {
		return keysOf{}, err
	}
	identity := accesskey.Identity{VMS: cluster, Tenant: s.Tenant.Text(), User: who.Name}
	a.userFlags.suffix = " --user " + who.String()
	if tenant != "" {
		identity.Tenant = tenant
		a.userFlags.suffix += " --user-tenant " + tenant
	}
	admin := &administrator{app: a, who: who, tenantFlag: tenant, tenantName: identity.Tenant}
	if !who.IsName() {
		// What they are known by is not what they were named by.
		if _, err := admin.connect(a.wait()); err != nil {
			return keysOf{}, err
		}
		identity.User = admin.knownBy
	}
	return a.keysOfIdentity(identity, use, admin.connect)
}

// administrator finds the user whose keys are meant, once.
type administrator struct {
	app        *app
	who        accesskey.Who
	tenantFlag string // a tenant that must be there
	tenantName string // that, or the one of the login

	keys    *userKeys
	knownBy string
}

func (d *administrator) connect(ctx context.Context) (accesskey.VMSKeys, error) {
	if d.keys != nil {
		return d.keys, nil
	}
	client, err := d.app.connectVMS(ctx)
	if err != nil {
		return nil, err
	}
	tenant, err := findTenant(ctx, client, d.tenantName, d.tenantFlag != "")
	if err != nil {
		return nil, needsRole(err)
	}
	user, knownBy, err := accesskey.Resolve(ctx, userFinder{client, tenant}, d.who)
	if err != nil {
		return nil, needsRole(err)
	}
	d.keys, d.knownBy = &userKeys{client, tenant, user}, knownBy
	return d.keys, nil
}

// needsRole says what it takes where VMS refuses an administrator's call.
func needsRole(err error) error {
	if !failure.Is(err, failure.Forbidden) {
		return err
	}
	hint := "this takes an administrator's role at VMS; your own keys need no --user"
	if failure.HintOf(err) != "" {
		hint = failure.HintOf(err) + "; name the tenant of the user with --user-tenant instead"
	}
	return failure.Wrap(failure.Forbidden, err, "work with the keys of others").WithHint("%s", hint)
}

// findTenant looks up a tenant. One that is only where the caller logs in may
// be hidden from them; VMS then knows which it is without being told.
func findTenant(ctx context.Context, client *vms.Client, name string, must bool) (vms.Tenant, error) {
	if name == "" {
		return vms.Tenant{}, nil
	}
	tenant, err := client.Tenant(ctx, name)
	if !must && (failure.Is(err, failure.NotFound) || failure.Is(err, failure.Forbidden)) {
		return vms.Tenant{}, nil
	}
	return tenant, err
}

// userFinder finds users at VMS, for [accesskey.Resolve].
type userFinder struct {
	client *vms.Client
	tenant vms.Tenant
}

const localProvider = "local"

// LocalUsers implements accesskey.Users. Of several local providers the one of
// the tenant counts.
func (f userFinder) LocalUsers(ctx context.Context, w accesskey.Who) ([]accesskey.User, error) {
	name := w.Name
	if name == "" {
		u, found, err := f.query(ctx, localProvider, w)
		if err != nil || !found {
			return nil, err
		}
		name = u.Name // the query does not tell the id
	}
	var list []accesskey.User
	for u, err := range f.client.Users(ctx, name) {
		if err != nil {
			return nil, err
		}
		elsewhere := f.tenant.LocalProviderID != 0 && u.ProviderID != 0 && u.ProviderID != f.tenant.LocalProviderID
		if u.Name != name || u.ID == 0 || elsewhere || w.UID != nil && (u.UID == nil || *u.UID != *w.UID) || w.SID != "" && u.SID != w.SID {
			continue // also of a filter that VMS does not know
		}
		list = append(list, accesskey.User{Name: u.Name, ID: u.ID, UID: u.UID, SID: u.SID, Provider: localProvider})
	}
	return list, nil
}

// DirectoryUsers implements accesskey.Users. A user whom two directories have,
// with the same number, is one.
func (f userFinder) DirectoryUsers(ctx context.Context, w accesskey.Who) ([]accesskey.User, error) {
	var list []accesskey.User
	for _, provider := range []string{"ad", "ldap", "nis"} {
		u, found, err := f.query(ctx, provider, w)
		if err != nil {
			return nil, err
		}
		if !found || u.UID == nil && u.SID == "" {
			continue
		}
		user := accesskey.User{Name: u.Name, UID: u.UID, SID: u.SID, Provider: provider}
		if len(list) == 0 || !list[0].Same(user) {
			list = append(list, user)
		}
	}
	return list, nil
}

// query looks in one place. A place that VMS refuses to look in, since the
// cluster has no such directory, has nobody.
func (f userFinder) query(ctx context.Context, provider string, w accesskey.Who) (vms.User, bool, error) {
	u, err := f.client.QueryUser(ctx, vms.UserQuery{
		Context: provider, Username: w.Name, UID: w.UID, SID: w.SID, TenantID: f.tenant.ID,
	})
	if failure.Is(err, failure.NotFound) || failure.Is(err, failure.Internal) {
		return u, false, nil
	}
	return u, err == nil, err
}

// userKeys are the keys of another user, by an administrator's calls.
type userKeys struct {
	client *vms.Client
	tenant vms.Tenant // of which keys are listed and made; zero is all, and what VMS takes
	user   accesskey.User
}

func (k *userKeys) foreign() vms.ForeignUser {
	return vms.ForeignUser{UID: k.user.UID, SID: k.user.SID, TenantID: k.tenant.ID}
}

// CreateKey implements accesskey.VMSKeys.
func (k *userKeys) CreateKey(ctx context.Context) (string, secret.Text, error) {
	if k.user.Local() {
		return issuedBy(k.client.CreateUserKey(ctx, k.user.ID, k.tenant.ID))
	}
	return issuedBy(k.client.CreateForeignKey(ctx, k.foreign()))
}

// Keys implements accesskey.VMSKeys. No list of all keys is needed for it, which
// older clusters do not have.
func (k *userKeys) Keys(ctx context.Context) ([]accesskey.Remote, error) {
	var u vms.User
	var err error
	if k.user.Local() {
		u, err = k.client.LocalUser(ctx, k.user.ID)
	} else {
		u, err = k.client.QueryUser(ctx, vms.UserQuery{
			Context: k.user.Provider, UID: k.user.UID, SID: sidUnless(k.user), TenantID: k.tenant.ID,
		})
	}
	if err != nil {
		return nil, err
	}
	list := make([]accesskey.Remote, 0, len(u.Keys))
	for _, key := range u.Keys {
		if k.tenant.ID != 0 && key.TenantID != 0 && key.TenantID != k.tenant.ID {
			continue
		}
		r := remote(key)
		r.User = k.user.Name
		list = append(list, r)
	}
	return list, nil
}

// sidUnless is the sid where there is no uid to ask by.
func sidUnless(u accesskey.User) string {
	if u.UID != nil {
		return ""
	}
	return u.SID
}

// DeleteKey implements accesskey.VMSKeys.
func (k *userKeys) DeleteKey(ctx context.Context, id string) error {
	if k.user.Local() {
		return k.client.DeleteUserKey(ctx, k.user.ID, id)
	}
	return k.client.DeleteForeignKey(ctx, k.foreign(), id)
}

// SetKeyEnabled implements accesskey.Switch.
func (k *userKeys) SetKeyEnabled(ctx context.Context, id string, enabled bool) error {
	if k.user.Local() {
		return k.client.SetUserKeyEnabled(ctx, k.user.ID, id, enabled)
	}
	return k.client.SetForeignKeyEnabled(ctx, k.foreign(), id, enabled)
}

// ServerTime implements accesskey.VMSKeys.
func (k *userKeys) ServerTime(ctx context.Context) (time.Time, error) {
	return k.client.ServerTime(ctx)
}

func remote(k vms.Key) accesskey.Remote {
	return accesskey.Remote{AccessKey: k.AccessKey, Enabled: k.Enabled, Created: k.Created, User: k.User, Tenant: k.Tenant}
}

// localKeys are the keys of all local users, of one tenant if it is named. The
// first context bounds the way there, the second the list itself, of which only
// the wait for each part is limited.
func (a *app) localKeys(ctx, whole context.Context, tenant string) (iter.Seq2[accesskey.Remote, error], error) {
	client, err := a.connectVMS(ctx)
	if err != nil {
		return nil, err
	}
	found, err := findTenant(ctx, client, tenant, true)
	if err != nil {
		return nil, needsRole(err)
	}
	return func(yield func(accesskey.Remote, error) bool) {
		for k, err := range client.LocalKeys(whole, vms.KeyFilter{TenantID: found.ID}) {
			if !yield(remote(k), needsRole(err)) {
				return
			}
		}
	}, nil
}

// census joins the keys of all users to what the store knows of them.
func (a *app) census() (accesskey.Census, error) {
	cluster, _, err := a.cluster()
	if err != nil {
		return accesskey.Census{}, err
	}
	s, err := a.set.Keys()
	if err != nil {
		return accesskey.Census{}, err
	}
	touched, err := a.touched(cluster, s)
	if err != nil {
		return accesskey.Census{}, err
	}
	return accesskey.Census{
		VMS: cluster, Now: a.clock, Machine: durable.MachineID,
		Read: func(ctx context.Context, id accesskey.Identity) (accesskey.Item, error) {
			if !touched(id) {
				return accesskey.Item{Identity: id}, nil
			}
			coordinator, _, err := a.coordinator(id, s, execStores)
			if err != nil {
				return accesskey.Item{}, err
			}
			return coordinator.Read(ctx)
		},
	}, nil
}

// touched tells whose keys the store may have. A document in Vault is not asked
// about everybody, only about the user of the profile.
func (a *app) touched(cluster string, s settings.Keys) (func(accesskey.Identity) bool, error) {
	if s.Store.Text() == vaultStore {
		own, err := a.identity()
		return func(id accesskey.Identity) bool { return err == nil && id == own }, nil
	}
	_, storeDir, err := a.openStore(s.Store)
	if err != nil {
		return nil, err
	}
	places, err := a.places(accesskey.Identity{VMS: cluster}, storeDir)
	if err != nil {
		return nil, err
	}
	touched, err := places.Touched()
	if err != nil {
		return nil, failure.Wrap(failure.Config, err, "look for what was stored here")
	}
	return touched, nil
}
