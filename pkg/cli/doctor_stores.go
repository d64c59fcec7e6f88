package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/doctor"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/settings"
)

// probeItem is an item that no store has.
const probeItem = "doctor/probe"

func (d *checkup) checkStore(ctx context.Context) ([]doctor.Finding, error) {
	s, err := d.set.Keys()
	if err != nil {
		return nil, nil //nolint:nilerr // the check of the settings says it
	}
	if s.Store.Text() == memoryStore {
		return one(doctor.Info, "", "keys are kept in memory (%s): only exec works, and its key ends with it", s.Store.Source), nil
	}
	if s.Store.Text() == vaultStore {
		return d.checkVaultStore(ctx, s)
	}
	locked, err := d.tryStore(ctx, s.Store)
	switch {
	case err != nil:
		found := trouble(doctor.Error, err)
		if !d.allStores && keystore.ReasonOf(err) != "" {
			found = append(found, one(doctor.Info, "valetkey doctor --all-stores", "the other stores were not looked at")...)
		}
		return found, nil
	case locked:
		return one(doctor.Info, "VALETKEY_STORE_IDENTITY names an age identity file that opens the store without one",
			"the store %s wants a passphrase: what is in it was not looked at", s.Store.Text()), nil
	}
	// What lies there must be readable too.
	k, err := d.accessKeys(execStores)
	if err != nil {
		return nil, nil //nolint:nilerr // without a user at VMS there is no item to look at
	}
	if _, err := k.service.Current(ctx); err != nil && !failure.Is(err, failure.NotFound) {
		return trouble(doctor.Error, err), nil
	}
	return nil, nil
}

// tryStore reads from a store what is not there. Locked is a store that would
// ask for a passphrase.
func (d *checkup) tryStore(ctx context.Context, which settings.Value) (locked bool, err error) {
	store, dir, err := d.openStore(which)
	if err != nil {
		return false, err
	}
	if _, err := store.Get(ctx, probeItem); err != nil && !failure.Is(err, failure.NotFound) {
		return false, err
	}
	if dir == "" {
		return false, nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first key makes it
	case err != nil:
		return false, keystore.Unusable(store.Name(), keystore.Denied, err, "look at %s", dir)
	case info.Mode().Perm()&0o300 != 0o300:
		return false, keystore.Unusable(store.Name(), keystore.ReadOnly, nil, "%s cannot be written: its mode is %04o", dir, info.Mode().Perm()).
			WithHint("chmod 700 %s", dir)
	}
	identity, err := d.set.Lookup("store.identity")
	if err != nil || identity.IsEmpty() {
		return true, err
	}
	if p, ok := store.(interface{ Prepare(context.Context) error }); ok {
		return false, p.Prepare(ctx)
	}
	return false, nil
}

// checkOtherStores says why the stores that were not chosen could not be used.
// They are touched only when asked for: a keyring may open a dialog.
func (d *checkup) checkOtherStores(ctx context.Context) ([]doctor.Finding, error) {
	s, err := d.set.Keys()
	if err != nil || !d.allStores {
		return nil, nil //nolint:nilerr // the check of the settings says it
	}
	row, _ := settings.Find("keys.store")
	var findings []doctor.Finding
	for _, name := range row.Choices {
		if name == s.Store.Text() || name == memoryStore {
			continue
		}
		if name == vaultStore {
			findings = append(findings, d.couldShare(ctx, s)...)
			continue
		}
		other, err := settings.New(settings.Input{Flags: map[string]string{row.Name: name}}).Lookup(row.Name)
		if err != nil {
			return nil, err
		}
		locked, err := d.tryStore(ctx, other)
		switch {
		case err != nil:
			findings = append(findings, one(doctor.Info, failure.HintOf(err), "%s: not usable: %v", name, err)...)
		case locked:
			findings = append(findings, one(doctor.Info, "", "%s: usable, with a passphrase", name)...)
		default:
			findings = append(findings, one(doctor.Info, "", "%s: usable", name)...)
		}
	}
	return findings, nil
}

// journal is where this machine, or the fleet it belongs to, writes down what it
// is about to do. It does not need a store of this machine that can be used.
func (d *checkup) journal(identity accesskey.Identity) (accesskey.Coordinator, error) {
	s, err := d.set.Keys()
	if err != nil {
		return nil, err
	}
	if s.Store.Text() == vaultStore {
		if d.fleetTrouble {
			return nil, failure.New(failure.Store, "vault store: it was not reached")
		}
		journal, _, err := d.fleetCoordinator(identity, s)
		return journal, err
	}
	store, dir, err := d.openStore(s.Store)
	if err != nil {
		return nil, err
	}
	return accesskey.NewLocal(accesskey.LocalOptions{
		Identity: identity, Now: d.clock, Where: whereIs(store, dir),
		Places: func() (accesskey.Places, error) { return d.places(identity, "") },
	}), nil
}

func (d *checkup) checkJournal(ctx context.Context) ([]doctor.Finding, error) {
	identity, err := d.identity()
	if err != nil {
		return nil, nil //nolint:nilerr // without a user at VMS there is no journal
	}
	journal, err := d.journal(identity)
	if err != nil {
		return nil, nil //nolint:nilerr // an earlier check says it
	}
	entries, err := journal.Pending(ctx)
	if err != nil {
		return trouble(doctor.Error, err), nil
	}
	var findings []doctor.Finding
	for _, e := range entries {
		started := e.Started.UTC().Format(time.RFC3339)
		switch {
		case e.Alive && e.Intent == accesskey.Ephemeral && e.AccessKey != "":
			findings = append(findings, one(doctor.Info, "", "access key %s is lent to a command that runs since %s", e.AccessKey, started)...)
		case e.Alive:
			findings = append(findings, one(doctor.Info, "", "another process works on the keys since %s (%s)", started, e.Intent)...)
		case e.AccessKey != "":
			findings = append(findings, one(doctor.Warning, e.ReapCommand(), "access key %s was left over on %s (%s)", e.AccessKey, started, e.Intent)...)
		default:
			findings = append(findings, one(doctor.Warning, e.ReapCommand(),
				"what was begun on %s (%s) was not finished: VMS may hold a key whose secret nobody has", started, e.Intent)...)
		}
	}
	return findings, nil
}
