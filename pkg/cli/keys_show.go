package cli

import "github.com/spf13/cobra"

func (a *app) keysShow() *cobra.Command {
	var showSecret bool
	cmd := a.addUserFlags(a.addKeysFlags(&cobra.Command{
		Use:   "show ACCESS_KEY",
		Short: "Show one access key",
		Long: `Show one access key as VMS knows it. With --show-secret the stored secret is printed; VMS
never tells a secret again, so a key that is not stored here has none to show (exit code 6).`,
		Example: "  valetkey keys show 4XACULB2SLCZ80ZQPVMX\n  valetkey keys show 4XACULB2SLCZ80ZQPVMX --show-secret",
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := a.accessKeys(execStores)
			if err != nil {
				return err
			}
			key, err := k.service.Show(a.wait(), args[0], showSecret)
			if err != nil {
				return err
			}
			return a.print(keyAnswer(key, showSecret))
		},
	}))
	cmd.Args = cobra.ExactArgs(1)
	cmd.Flags().BoolVar(&showSecret, "show-secret", false, "print the stored secret")
	return cmd
}
