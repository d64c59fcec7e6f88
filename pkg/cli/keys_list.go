package cli

import (
	"context"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
)

func (a *app) keysList() *cobra.Command {
	var all bool
	var olderThan string
	cmd := a.addUserFlags(a.addKeysFlags(&cobra.Command{
		Use:   "list",
		Short: "List your access keys, or those of others",
		Long: `List the access keys that VMS has for the user, whether they are enabled, how old they are,
and whether their secret is stored here. A key of the state foreign was issued elsewhere.

An administrator lists the keys of another user with --user, and with --all those of all users
made on the cluster (VAST 5.3 and later). VMS has no list of the keys of directory users: only
--user shows these. A key counts as stored here if it was issued here, by whoever runs this or
by --user, under the name of its user; in the store vault only the profile's own keys are
looked up.

--all writes the keys as they come, however many there are. If the list breaks off, what came
before has been written, the exit code is 10, and a JSON array stays without its end. --timeout
is then the longest wait for the next part. Only --jq wants the whole list in memory first.`,
		Example: `  valetkey keys list
  valetkey keys list -o json --jq '.[].access_key'
  valetkey keys list --user dora
  valetkey keys list --all --older-than 90d -o json`,
		RunE: func(*cobra.Command, []string) error {
			older, err := atLeast(olderThan)
			switch {
			case err != nil:
				return err
			case all && a.userFlags.name != "":
				return failure.New(failure.Usage, "--all lists the keys of everybody, --user those of one user").WithHint("leave one of them out")
			case all:
				return a.listAllKeys(older)
			}
			return a.listKeys(older)
		},
	}))
	cmd.Flags().BoolVar(&all, "all", false, "for administrators: the keys of all users made on the cluster")
	cmd.Flags().StringVar(&olderThan, "older-than", "", "only keys at least this `duration` old, or of unknown age")
	return cmd
}

// atLeast reads --older-than.
func atLeast(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := settings.ParseDuration(text)
	if err != nil {
		return 0, failure.Wrap(failure.Usage, err, "read --older-than")
	}
	return d, nil
}

func (a *app) listKeys(older time.Duration) error {
	k, err := a.accessKeys(execStores)
	if err != nil {
		return err
	}
	found, err := k.service.List(a.wait())
	if err != nil {
		return err
	}
	keys := make([]accesskey.Key, 0, len(found))
	answer := render.Answer{Header: keyHeader}
	for _, key := range found {
		if !key.YoungerThan(older) {
			keys, answer.Rows = append(keys, key), append(answer.Rows, keyRow(key))
		}
	}
	answer.Value = keys
	return a.print(answer)
}

// listAllKeys writes keys while they come. How long that takes in all depends on
// the cluster, so only the waits are bounded.
func (a *app) listAllKeys(older time.Duration) error {
	census, err := a.census()
	if err != nil {
		return err
	}
	keys, err := a.localKeys(a.wait(), a.base, string(a.userFlags.tenant))
	if err != nil {
		return err
	}
	if err := a.printer.Stream(allHeader, elements(a.base, census, keys, older)); err != nil {
		return err
	}
	a.term.Note("keys of directory users are not among these: VMS has no list of them; --user NAME shows one user's")
	return nil
}

func elements(ctx context.Context, census accesskey.Census, keys iter.Seq2[accesskey.Remote, error], older time.Duration) iter.Seq2[render.Element, error] {
	return func(yield func(render.Element, error) bool) {
		for k, err := range census.Keys(ctx, keys) {
			if err == nil && k.YoungerThan(older) {
				continue
			}
			if !yield(render.Element{Value: k, Row: allRow(k)}, err) {
				return
			}
		}
	}
}
