package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) keysDelete() *cobra.Command {
	var dryRun bool
	cmd := a.addUserFlags(a.addKeysFlags(&cobra.Command{
		Use:   "delete ACCESS_KEY",
		Short: "Delete an access key at VMS and in the store",
		Long: `Delete an access key at VMS, then in the store. It stops working at once, and with it every
URL it signed. It is asked first; --yes answers.`,
		Example: "  valetkey keys delete 4XACULB2SLCZ80ZQPVMX",
		RunE:    func(_ *cobra.Command, args []string) error { return a.runKeysDelete(args[0], dryRun) },
	}))
	cmd.Args = cobra.ExactArgs(1)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be deleted, delete nothing")
	return cmd
}

func (a *app) runKeysDelete(id string, dryRun bool) error {
	if err := accesskey.CheckAccessKey(id); err != nil {
		return err
	}
	k, err := a.accessKeys(execStores)
	if err != nil {
		return err
	}
	type deleted struct {
		AccessKey string `json:"access_key"`
		AtVMS     bool   `json:"at_vms"`
		InStore   bool   `json:"in_store"`
		DryRun    bool   `json:"dry_run,omitempty"`
	}
	if dryRun {
		key, err := k.service.Show(a.wait(), id, false)
		if err != nil {
			return err
		}
		return a.print(render.Text(deleted{id, true, key.Stored, true}, fmt.Sprintf("would delete %s of %s", id, k.identity)))
	}
	if err := a.confirm(fmt.Sprintf("Delete access key %s of %s? It stops working at once.", id, k.identity)); err != nil {
		return err
	}
	done, err := k.service.Delete(a.wait(), id)
	if err != nil {
		return err
	}
	if !done.AtVMS {
		a.term.Note("VMS did not know %s any more; it was removed from the store", id)
	}
	return a.print(render.Text(deleted{AccessKey: id, AtVMS: done.AtVMS, InStore: done.InStore}, "deleted "+id))
}
