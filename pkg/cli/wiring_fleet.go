package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vault"
)

const vaultStore = "vault"

// fleetDocument is the document that machines share, in a KV v2 mount of its
// own. It is an accesskey.Document. Vault is not looked for before the first
// call: while the copy on this machine serves, nothing is constructed.
//
// Its errors: Auth where Vault does not take the credentials, Store with reason
// denied where the policy does not allow it and absent where there is no such
// mount, Config where the mount is of another kind, Network where Vault is away,
// sealed or does not tell its time.
type fleetDocument struct {
	app   *app
	mount settings.Value
	path  string

	mu     sync.Mutex
	client *vault.Client
}

// fleetDocument is the same document for the same identity, so that one command
// logs in once.
func (a *app) fleetDocument(id accesskey.Identity, s settings.Keys) *fleetDocument {
	path := fleetPath(id)
	if a.fleet == nil || a.fleet.path != path {
		a.fleet = &fleetDocument{app: a, mount: s.VaultMount, path: path}
	}
	return a.fleet
}

// fleetCoordinator joins the document, and the copy in the store of logins.
func (a *app) fleetCoordinator(id accesskey.Identity, s settings.Keys) (accesskey.Coordinator, namedStore, error) {
	tokens, err := a.logins()
	if err != nil {
		return nil, nil, err
	}
	// Locks lie in the state directory, which a machine has for itself.
	document := a.fleetDocument(id, s)
	return accesskey.NewFleet(accesskey.FleetOptions{
		Identity: id, Document: document, Copy: tokens, Now: a.clock, Refresh: s.Refresh,
		Places:  func() (accesskey.Places, error) { return a.places(id, "") },
		Wait:    a.global.Timeout.Duration(),
		Waiting: a.waitingFor,
		Note:    a.noteDone,
	}), document, nil
}

// Name implements accesskey.Document.
func (d *fleetDocument) Name() string { return vaultStore }

// where names the document as Vault's own tools do.
func (d *fleetDocument) where() string { return strings.Trim(d.mount.Text(), "/") + "/" + d.path }

// Prepare finds the credentials for Vault before a lock is waited for, since a
// passphrase may have to be typed. A login that needs nobody is made later, by
// the one process in many that gets so far.
func (d *fleetDocument) Prepare(ctx context.Context) error {
	_, auth, err := d.app.set.Vault()
	if err == nil && auth.Token.IsEmpty() && !d.app.canLogIn(auth) {
		_, err = d.session(ctx)
	}
	return err
}

func (d *fleetDocument) session(ctx context.Context) (*vault.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client == nil {
		s, _, err := d.app.set.Vault()
		if err != nil {
			return nil, err
		}
		if s.Address.IsEmpty() {
			return nil, failure.New(failure.Usage, "no Vault address, where the key store vault is").
				WithHint("set vault.address: VALETKEY_VAULT_ADDRESS or VAULT_ADDR; valetkey config set vault.address")
		}
		if !d.app.silent {
			d.app.tellWarnings()
		}
		if d.client, err = d.app.vaultSession(ctx); err != nil {
			d.client = nil
			return nil, err
		}
	}
	return d.client, nil
}

// fleetValue is what the document's JSON lies in: as text, since Vault rounds
// bare numbers.
type fleetValue struct {
	Document *string `json:"document"`
}

// Read implements accesskey.Document.
func (d *fleetDocument) Read(ctx context.Context) (accesskey.Version, error) {
	client, err := d.session(ctx)
	if err != nil {
		return accesskey.Version{}, err
	}
	doc, err := client.ReadSecret(ctx, d.mount.Text(), d.path)
	if err != nil {
		return accesskey.Version{}, d.trouble(err)
	}
	if doc.At.IsZero() {
		// Leases are measured by it, and no other clock will do.
		return accesskey.Version{}, failure.New(failure.Network, "vault does not tell its time with its answers").
			WithHint("a proxy takes the Date header away; vault.address can name vault itself")
	}
	v := accesskey.Version{Number: doc.Version, At: doc.At}
	if doc.Data == nil {
		return v, nil
	}
	var value fleetValue
	if err := json.Unmarshal(doc.Data, &value); err != nil || value.Document == nil {
		return v, keystore.Unusable(vaultStore, keystore.Damaged, nil, "vault store: %s holds something that valetkey did not write", d.where()).
			WithHint("an older version may be good: vault kv metadata get %s", d.where()).WithDetail("alternatives", []string{})
	}
	v.Raw = []byte(*value.Document)
	return v, nil
}

// Write implements accesskey.Document.
func (d *fleetDocument) Write(ctx context.Context, raw []byte, base int) (accesskey.Version, error) {
	client, err := d.session(ctx)
	if err != nil {
		return accesskey.Version{}, err
	}
	text := string(raw)
	value, err := json.Marshal(fleetValue{Document: &text})
	if err != nil {
		return accesskey.Version{}, failure.Wrap(failure.Internal, err, "encode the shared document")
	}
	w, err := client.WriteSecret(ctx, d.mount.Text(), d.path, value, base)
	switch {
	case errors.Is(err, vault.ErrAnswerLost):
		return accesskey.Version{}, failure.Mark(err, accesskey.ErrWriteLost)
	case err != nil:
		return accesskey.Version{}, d.trouble(err)
	case w.At.IsZero():
		// It was written, but when? A read says why nobody knows.
		return accesskey.Version{}, failure.Mark(failure.New(failure.Network, "vault does not tell its time with its answers"), accesskey.ErrWriteLost)
	}
	return accesskey.Version{Number: w.Version, At: w.At}, nil
}

// Purge implements accesskey.Document.
func (d *fleetDocument) Purge(ctx context.Context, before int) error {
	client, err := d.session(ctx)
	if err != nil {
		return err
	}
	h, err := client.SecretHistory(ctx, d.mount.Text(), d.path)
	if err == nil {
		err = client.DestroyVersions(ctx, d.mount.Text(), d.path, undestroyed(h, before))
	}
	return d.trouble(err)
}

// undestroyed are the versions below a number whose data is still there.
func undestroyed(h vault.History, before int) (old []int) {
	for _, v := range h.Versions {
		if v.Number < before && !v.Destroyed {
			old = append(old, v.Number)
		}
	}
	return old
}

// trouble words an error of Vault's as one of the store.
func (d *fleetDocument) trouble(err error) error {
	mount := strings.Trim(d.mount.Text(), "/")
	switch failure.KindOf(err) {
	case failure.Forbidden:
		return keystore.Unusable(vaultStore, keystore.Denied, err, "vault store").
			WithHint("the token's policy must allow what valetkey doctor prints; if there is no mount %s/: %s", mount, enableMount(mount)).
			WithDetail("alternatives", []string{})
	case failure.NotFound:
		return keystore.Unusable(vaultStore, keystore.Absent, err, "vault store: there is no mount %s/ (%s)", mount, d.mount.Source).
			WithHint("%s", enableMount(mount)).WithDetail("alternatives", []string{})
	case failure.Config:
		return failure.Annotate(err, "keys.vault_mount (%s)", d.mount.Source)
	}
	return err
}

func enableMount(mount string) string {
	return "vault secrets enable -path=" + mount + " -version=2 kv"
}
