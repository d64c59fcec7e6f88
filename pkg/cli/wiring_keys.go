package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vms"
	"github.com/valetkey/valetkey/pkg/wire"
)

const memoryStore = "memory"

// storeUse says whether a command may keep keys in memory alone.
type storeUse int

const (
	keepingStores storeUse = iota // the key must outlive the process
	execStores                    // memory will do: the key ends with the command
)

// keysOf is what the verbs over keys work with.
type keysOf struct {
	identity accesskey.Identity
	service  *accesskey.Service
	source   accesskey.Source
	store    namedStore

	coordinator accesskey.Coordinator
}

// namedStore is a store of any kind, as messages name it.
type namedStore interface{ Name() string }

// has reports whether the store has the key, as far as that can be told.
func (k keysOf) has(ctx context.Context, id string) bool {
	_, err := k.service.Show(ctx, id, true)
	return err == nil
}

// accessKeys joins store, coordinator and VMS to the use-cases over keys. It
// contacts nothing: VMS is connected when a use-case asks for it.
func (a *app) accessKeys(use storeUse) (keysOf, error) {
	if a.userFlags.name != "" {
		return a.accessKeysOf(string(a.userFlags.name), string(a.userFlags.tenant), use)
	}
	if a.userFlags.tenant != "" {
		return keysOf{}, failure.New(failure.Usage, "--user-tenant goes with --user")
	}
	identity, err := a.identity()
	if err != nil {
		return keysOf{}, err
	}
	return a.keysOfIdentity(identity, use, a.connectKeys)
}

// keysOfIdentity joins the use-cases over the keys of one user.
func (a *app) keysOfIdentity(identity accesskey.Identity, use storeUse, connect func(context.Context) (accesskey.VMSKeys, error)) (keysOf, error) {
	s, err := a.set.Keys()
	if err != nil {
		return keysOf{}, err
	}
	coordinator, store, err := a.coordinator(identity, s, use)
	if err != nil {
		return keysOf{}, err
	}
	service := accesskey.New(accesskey.Deps{
		Identity:    identity,
		Coordinator: coordinator,
		VMS:         connect,
		Machine:     durable.MachineID,
		Now:         a.clock,
		Refresh:     s.Refresh,
		PostTimeout: a.global.Timeout.Duration(),
		Left:        a.left,
		Grace:       s.Grace,
		MaxAge:      s.MaxAge,
		Prover:      a.prover,
		Note:        a.noteDone,
		Sleep:       a.sleep,
		LostHint:    "valetkey keys reap deletes a key that is proven to be left over, and names what it cannot prove",
	})
	return keysOf{identity: identity, service: service, source: service, coordinator: coordinator, store: store}, nil
}

// coordinator joins the store: of this machine, or the one that machines share.
func (a *app) coordinator(identity accesskey.Identity, s settings.Keys, use storeUse) (accesskey.Coordinator, namedStore, error) {
	if s.Store.Text() == vaultStore {
		return a.fleetCoordinator(identity, s)
	}
	store, storeDir, err := a.openStore(s.Store)
	if err != nil {
		return nil, nil, err
	}
	if store.Name() == memoryStore && use != execStores {
		return nil, nil, keystore.Unusable(memoryStore, keystore.Absent, nil, "a key kept in memory would be lost when this command ends (%s)", s.Store.Source)
	}
	return accesskey.NewLocal(accesskey.LocalOptions{
		Identity: identity, Store: store, Now: a.clock,
		Where:      whereIs(store, storeDir),
		Places:     func() (accesskey.Places, error) { return a.places(identity, storeDir) },
		Wait:       a.global.Timeout.Duration(),
		Waiting:    a.waitingFor,
		Unreadable: func(err error) error { return keystore.Unreadable(store.Name(), err) },

		Alternatives: keystore.Alternatives(store.Name()),
	}), store, nil
}

// whereIs tells the store from all others of this machine.
func whereIs(store namedStore, dir string) string {
	if dir == "" {
		return store.Name()
	}
	return store.Name() + ":" + dir
}

// waitingFor tells a person what a wait of more than a second is for.
func (a *app) waitingFor(what string) {
	if a.term.ErrIsTerminal && !a.silent {
		a.term.Note("waiting for %s", what)
	}
}

// noteDone tells what was done beside what was asked for. Where standard error
// holds one line at most it waits for the answer: a failure is told alone.
func (a *app) noteDone(format string, args ...any) {
	if a.silent {
		a.unasked = append(a.unasked, fmt.Sprintf(format, args...))
		return
	}
	a.term.Note(format, args...)
}

// sleep waits between tries. The deadline of the command stands still meanwhile:
// how long is waited in all is bounded by who asks for it.
func (a *app) sleep(ctx context.Context, d time.Duration) error {
	defer a.pauseWait()()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// identity names whose keys are meant. A key belongs to one user in one tenant of one VMS.
func (a *app) identity() (accesskey.Identity, error) {
	cluster, s, err := a.cluster()
	if err != nil {
		return accesskey.Identity{}, err
	}
	user := s.Username.Text()
	if user == "" {
		kind := failure.Usage
		if !s.Token.IsEmpty() {
			kind = failure.Config // a token does not say whose keys it reaches
		}
		return accesskey.Identity{}, failure.New(kind, "no VMS user name: it is part of what a stored key is known by").
			WithHint("set vms.username: --vms-username, VALETKEY_VMS_USERNAME, VMS_USER or VAST_USERNAME; valetkey config set vms.username")
	}
	return accesskey.Identity{VMS: cluster, Tenant: s.Tenant.Text(), User: user}, nil
}

// cluster is the VMS part of an identity, and the settings it is from.
func (a *app) cluster() (string, settings.VMS, error) {
	s, err := a.set.VMS()
	if err != nil {
		return "", s, err
	}
	if s.Address.IsEmpty() {
		return "", s, noVMSAddress()
	}
	address, err := wire.NormalizeAddress(s.Address.Text())
	if err != nil {
		return "", s, failure.Annotate(err, "vms.address (%s)", s.Address.Source)
	}
	return address.Host, s, nil
}

func noVMSAddress() error {
	return failure.New(failure.Usage, "no VMS address").
		WithHint("set vms.address: --vms-address, VALETKEY_VMS_ADDRESS, VMS_ADDRESS or VAST_VIP; valetkey config set vms.address")
}

// openStore makes the store of a setting and says where its files lie, if it has any.
func (a *app) openStore(which settings.Value) (keystore.Store, string, error) {
	switch which.Text() {
	case "os":
		return keystore.NewOS(keystore.OSOptions{Turn: a.keyringTurn}), "", nil
	case "kernel":
		return keystore.NewKernel(), "", nil
	case memoryStore:
		return keystore.NewMemory(), "", nil
	case "file":
		dir, err := a.set.StoreDir()
		if err != nil {
			return nil, "", err
		}
		identity, err := a.set.Lookup("store.identity")
		if err != nil {
			return nil, "", err
		}
		return keystore.NewFile(keystore.FileOptions{
			Dir: dir.Text(), Identity: identity.Text(),
			Passphrase: a.askPassphrase("passphrase of the key store: "), NewPassphrase: a.newPassphrase, Computing: a.pauseWait,
		}), dir.Text(), nil
	}
	return nil, "", keystore.Unusable(which.Text(), keystore.Absent, nil, "this version of valetkey has no store %s (%s)", which.Text(), which.Source)
}

func (a *app) askPassphrase(question string) func(context.Context) (secret.Text, error) {
	return func(context.Context) (secret.Text, error) {
		const otherwise = "set VALETKEY_STORE_IDENTITY to an age identity file to use the store without a passphrase"
		if a.silent {
			return secret.Text{}, failure.New(failure.Usage, "the key store wants a passphrase").WithHint(otherwise)
		}
		p, err := a.term.AskSecret(a.base, question, otherwise)
		if err == nil && p.IsEmpty() {
			return p, failure.New(failure.Usage, "the passphrase is empty").WithHint(otherwise)
		}
		return p, err
	}
}

// newPassphrase asks twice: a typing error would close the store for good.
func (a *app) newPassphrase(ctx context.Context) (secret.Text, error) {
	first, err := a.askPassphrase("new passphrase of the key store: ")(ctx)
	if err != nil {
		return first, err
	}
	second, err := a.askPassphrase("the passphrase again: ")(ctx)
	if err == nil && !first.Equal(second) {
		err = failure.New(failure.Usage, "the two passphrases differ").WithHint("nothing was stored")
	}
	return first, err
}

// keyringTurns is how many processes of this machine talk to the keyring at a time.
const keyringTurns = 3

// keyringTurn waits for one of the turns, unless others wait for this process. Where the state directory cannot be
// had there are none, and doctor makes no directory.
func (a *app) keyringTurn(ctx context.Context) func() {
	none := func() {}
	state, err := a.set.StateDir()
	if err != nil || a.onlyLooks || accesskey.Alone(ctx) {
		return none
	}
	machine, err := durable.MachineID()
	if err != nil {
		return none
	}
	dir := accesskey.LocksIn(state.Text(), machine)
	if err := durable.PrivateDir(dir); err != nil {
		return none
	}
	held, err := durable.Turn(ctx, filepath.Join(dir, "keyring"), keyringTurns)
	if err != nil {
		return none
	}
	return func() { _ = held.Release() }
}

// places are made when something must be locked. Locks of a file store lie
// beside it, since homes are shared by machines.
func (a *app) places(id accesskey.Identity, storeDir string) (accesskey.Places, error) {
	state, err := a.set.StateDir()
	if err != nil {
		return accesskey.Places{}, err
	}
	// One that is not there yet is made, by whoever writes into it first.
	if err := durable.CheckDir(state.Text()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return accesskey.Places{}, failure.Wrap(failure.Config, err, "state.dir (%s)", state.Source).
			WithHint("name a directory of your own with VALETKEY_STATE_DIR")
	}
	machine, err := durable.MachineID()
	if err != nil {
		return accesskey.Places{}, err
	}
	locks := ""
	if storeDir != "" {
		locks = filepath.Join(storeDir, "locks")
	}
	return accesskey.PlacesIn(state.Text(), machine, locks, id), nil
}

// connectKeys connects to VMS and gets the password, before any lock is waited for.
func (a *app) connectKeys(ctx context.Context) (accesskey.VMSKeys, error) {
	if a.keysAtVMS != nil {
		return a.keysAtVMS, nil
	}
	client, err := a.connectVMS(ctx)
	if err != nil {
		return nil, err
	}
	a.keysAtVMS = ownKeys{client}
	return a.keysAtVMS, nil
}

// connectVMS makes the client of VMS, once, and gets what it logs in with.
func (a *app) connectVMS(ctx context.Context) (*vms.Client, error) {
	if a.vmsAPI != nil {
		return a.vmsAPI, nil
	}
	client, err := a.vmsClient(ctx)
	if err != nil {
		return nil, err
	}
	if err := client.Prepare(ctx); err != nil {
		return nil, err
	}
	a.vmsAPI = client
	return client, nil
}

// ownKeys are the caller's own keys at VMS.
type ownKeys struct{ client *vms.Client }

func (k ownKeys) CreateKey(ctx context.Context) (string, secret.Text, error) {
	id, sec, err := issuedBy(k.client.CreateOwnKey(ctx))
	return id, sec, notOwn(err)
}

// notOwn tells an administrator, whom VMS gives no keys of their own, where those
// of others are.
func notOwn(err error) error {
	if failure.Is(err, failure.Forbidden) && failure.HintOf(err) == "" {
		return &failure.Error{Kind: failure.Forbidden, Err: err, Hint: "an administrator works with the keys of another user with --user NAME; valetkey keys list --all lists those of all users made on the cluster"}
	}
	return err
}

// issuedBy passes on what a request for a key led to, and marks the errors after
// which there positively is none.
func issuedBy(id string, sec secret.Text, err error) (string, secret.Text, error) {
	if err != nil && !errors.Is(err, vms.ErrAnswerLost) {
		err = accesskey.NotIssued(err)
	}
	return id, sec, err
}

func (k ownKeys) Keys(ctx context.Context) ([]accesskey.Remote, error) {
	keys, err := k.client.OwnKeys(ctx)
	if err != nil {
		return nil, notOwn(err)
	}
	list := make([]accesskey.Remote, 0, len(keys))
	for _, key := range keys {
		list = append(list, accesskey.Remote{AccessKey: key.AccessKey, Enabled: key.Enabled, Created: key.Created})
	}
	return list, nil
}

func (k ownKeys) DeleteKey(ctx context.Context, id string) error {
	return notOwn(k.client.DeleteOwnKey(ctx, id))
}

func (k ownKeys) ServerTime(ctx context.Context) (time.Time, error) { return k.client.ServerTime(ctx) }
