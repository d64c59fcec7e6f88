package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) keysCreate() *cobra.Command {
	var ifMissing, showSecret, dryRun bool
	cmd := a.addUserFlags(a.addKeysFlags(&cobra.Command{
		Use:   "create",
		Short: "Issue a new access key and store it",
		Long: `Ask VMS for a new access key and store it. It becomes the key that is handed out; keys that
were stored before keep working until they are deleted. Nothing is ever deleted to make room:
with both slots taken the exit code is 8, and both keys and the ways out are named.

An administrator issues a key for another user with --user. It is stored here under that user's
name: --show-secret prints the secret, now or later with keys show, and a profile whose
vms.username is that user hands it out.`,
		Example: `  valetkey keys create
  valetkey keys create --if-missing          the stored key, or a new one
  valetkey keys create --store file -o json
  valetkey keys create --user dora           as an administrator`,
		RunE: func(*cobra.Command, []string) error {
			return a.runKeysCreate(ifMissing, showSecret, dryRun)
		},
	}))
	cmd.Flags().BoolVar(&ifMissing, "if-missing", false, "return the stored key if there is one")
	cmd.Flags().BoolVar(&showSecret, "show-secret", false, "print the secret key too")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, issue nothing")
	return cmd
}

func (a *app) runKeysCreate(ifMissing, showSecret, dryRun bool) error {
	k, err := a.accessKeys(keepingStores)
	if err != nil {
		return err
	}
	ctx := a.wait()
	if dryRun {
		return a.dryKeysCreate(k, ifMissing)
	}
	if ifMissing {
		key, isNew, err := k.service.CreateIfMissing(ctx)
		if err != nil {
			return err
		}
		if isNew {
			a.noteStore(k)
		}
		return a.print(keyAnswer(key, showSecret))
	}
	created, err := k.service.Create(ctx)
	if err != nil {
		return err
	}
	if len(created.Others) > 0 {
		a.term.Note("%s is handed out from now on; %s still work%s", created.Key.AccessKey, names(created.Others), map[bool]string{true: "s"}[len(created.Others) == 1])
	}
	a.noteStore(k)
	return a.print(keyAnswer(created.Key, showSecret))
}

// noteStore says where a key went when it is not the keyring people expect, and
// what may become of it there.
func (a *app) noteStore(k keysOf) {
	if s, ok := k.store.(interface{ Note() string }); ok {
		a.term.Note("%s", s.Note())
		return
	}
	if k.store.Name() != "os" && a.term.ErrIsTerminal {
		a.term.Note("the secret is kept in the store %s", k.store.Name())
	}
}

// dryKeysCreate looks, and issues nothing.
func (a *app) dryKeysCreate(k keysOf, ifMissing bool) error {
	if ifMissing {
		if key, err := k.service.Current(a.wait()); err == nil {
			return a.print(keyAnswer(key, false))
		}
	}
	keys, err := k.service.List(a.wait())
	if err != nil {
		return err
	}
	answer := struct {
		DryRun bool            `json:"dry_run"`
		Keys   []accesskey.Key `json:"keys"`
	}{true, keys}
	return a.print(render.Text(answer, fmt.Sprintf("would issue an access key for %s, who holds %d; nothing was issued", k.identity, len(keys))))
}

func names(keys []accesskey.Key) string {
	var list []string
	for _, k := range keys {
		list = append(list, k.AccessKey)
	}
	return strings.Join(list, " and ")
}
