package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
)

// keysSwitch is keys enable and keys disable.
func (a *app) keysSwitch(verb string, enabled bool) *cobra.Command {
	var dryRun bool
	long := `Enable an access key that was disabled. It works again at once.
`
	if !enabled {
		long = `Disable an access key. S3 refuses it at once, and with it every URL it signed, until it is
enabled again. It keeps its slot. Nothing is lost, so it is not asked first.
`
	}
	cmd := a.addUserFlags(a.addKeysFlags(&cobra.Command{
		Use:   verb + " ACCESS_KEY",
		Short: map[bool]string{true: "Enable a disabled access key", false: "Disable an access key until it is enabled again"}[enabled],
		Long: long + `
VMS lets administrators do this, and nobody to their own keys (exit code 5). Without --user the
key is looked for among those of all users made on the cluster (VAST 5.3 and later); for the
key of a directory user, whom that list does not have, name the user.`,
		Example: "  valetkey keys " + verb + " 4XACULB2SLCZ80ZQPVMX\n  valetkey keys " + verb + " 4XACULB2SLCZ80ZQPVMX --user alice",
		RunE:    func(_ *cobra.Command, args []string) error { return a.runKeysSwitch(args[0], enabled, dryRun) },
	}))
	cmd.Args = cobra.ExactArgs(1)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, change nothing")
	return cmd
}

func (a *app) runKeysSwitch(id string, enabled, dryRun bool) error {
	k, err := a.keysOfOwner(id)
	if err != nil {
		return err
	}
	if dryRun {
		key, err := k.service.Show(a.wait(), id, false)
		if err != nil {
			return err
		}
		said := fmt.Sprintf("would %s %s of %s", map[bool]string{true: "enable", false: "disable"}[enabled], id, k.identity)
		if key.Enabled == enabled {
			said = fmt.Sprintf("%s of %s is %s already", id, k.identity, map[bool]string{true: "enabled", false: "disabled"}[enabled])
		}
		a.term.Note("%s; nothing was changed", said)
		return a.print(keyAnswer(key, false))
	}
	key, err := k.service.SetEnabled(a.wait(), id, enabled)
	if err != nil {
		return err
	}
	return a.print(keyAnswer(key, false))
}

// keysOfOwner finds whose key it is, unless --user says so.
func (a *app) keysOfOwner(id string) (keysOf, error) {
	if a.userFlags.name != "" {
		return a.accessKeys(execStores)
	}
	owner, err := a.findOwner(id)
	if err != nil {
		return keysOf{}, err
	}
	who := accesskey.Who{Name: owner.User, Local: true}.String()
	// The store has it under the tenant that it was issued for, if that was named.
	k, err := a.accessKeysOf(who, string(a.userFlags.tenant), execStores)
	if err != nil || a.userFlags.tenant != "" || owner.Tenant == "" || k.has(a.wait(), id) {
		return k, err
	}
	if other, err := a.accessKeysOf(who, owner.Tenant, execStores); err == nil && other.has(a.wait(), id) {
		return other, nil
	}
	return k, nil
}

func (a *app) findOwner(id string) (accesskey.Remote, error) {
	keys, err := a.localKeys(a.wait(), a.base, string(a.userFlags.tenant))
	if err != nil {
		return accesskey.Remote{}, err
	}
	for r, err := range keys {
		if err != nil || r.AccessKey == id {
			return r, err
		}
	}
	return accesskey.Remote{}, failure.New(failure.NotFound, "no user made on the cluster has access key %q", id).
		WithHint("VMS has no list of the keys of directory users: name the user with --user")
}
