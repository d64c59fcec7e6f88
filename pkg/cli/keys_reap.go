package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) keysReap() *cobra.Command {
	var (
		o         accesskey.ReapOptions
		olderThan string
	)
	cmd := a.addUserFlags(a.addKeysFlags(&cobra.Command{
		Use:   "reap",
		Short: "Delete keys that a rotation or a crash left behind",
		Long: `Delete retired keys whose grace is over, and keys that a process of this machine was asking for
when it died or lost the answer, so that nobody knows their secret. Such a key must be proven:
VMS says that it was created while the request was under way, it was not there before, it is
stored nowhere, and it is the only one of which this is true. The key of a request that was for
another store is kept: the reason names the store to reap with.

What is merely suspected is kept and named, and the exit code is 12; --access-key deletes it.
Keys of other machines, and of a valetkey that runs, are never touched. It is asked first;
--yes answers.`,
		Example: `  valetkey keys reap --dry-run
  valetkey keys reap --yes -o json
  valetkey keys reap --access-key 4XACULB2SLCZ80ZQPVMX`,
		RunE: func(*cobra.Command, []string) error { return a.runKeysReap(o, olderThan) },
	}))
	flags := cmd.Flags()
	flags.StringVar(&olderThan, "older-than", "", "leave retired keys alone that are younger than this `duration`")
	flags.StringArrayVar(&o.AccessKeys, "access-key", nil, "delete this suspected `access key` (repeatable)")
	flags.BoolVar(&o.DryRun, "dry-run", false, "say what would be done, change nothing")
	return cmd
}

func (a *app) runKeysReap(o accesskey.ReapOptions, olderThan string) error {
	var err error
	if o.OlderThan, err = atLeast(olderThan); err != nil {
		return err
	}
	k, err := a.accessKeys(execStores)
	if err != nil {
		return err
	}
	o.Confirm = func(list []accesskey.Reaped) error {
		var doomed []string
		for _, r := range list {
			if r.Action == accesskey.ActionDeleted {
				doomed = append(doomed, r.AccessKey)
			}
		}
		if len(doomed) == 0 {
			return nil
		}
		return a.confirm("Delete " + strings.Join(doomed, " and ") + " of " + k.identity.String() + "?")
	}
	list, err := k.service.Reap(a.wait(), o)
	if list == nil {
		return err
	}
	answer := render.Answer{Value: list, Header: []string{"ACCESS_KEY", "ACTION", "REASON"}}
	for _, r := range list {
		answer.Rows = append(answer.Rows, []string{r.AccessKey, string(r.Action), r.Reason})
	}
	if shown := a.print(answer); shown != nil {
		return shown
	}
	return err
}
