package cli

import (
	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) keysList() *cobra.Command {
	return a.addKeysFlags(&cobra.Command{
		Use:   "list",
		Short: "List your access keys",
		Long: `List the access keys that VMS has for the user, whether they are enabled, how old they are,
and whether their secret is stored here. A key of the state foreign was issued elsewhere.`,
		Example: "  valetkey keys list\n  valetkey keys list -o json --jq '.[].access_key'",
		RunE: func(*cobra.Command, []string) error {
			k, err := a.accessKeys(execStores)
			if err != nil {
				return err
			}
			keys, err := k.service.List(a.wait())
			if err != nil {
				return err
			}
			answer := render.Answer{Value: keys, Header: keyHeader}
			for _, key := range keys {
				answer.Rows = append(answer.Rows, keyRow(key))
			}
			return a.print(answer)
		},
	})
}
