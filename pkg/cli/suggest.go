package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/valetkey/valetkey/pkg/typo"
)

// nearestFlag is the flag of the command whose name is nearest to a mistyped one, or empty.
func nearestFlag(cmd *cobra.Command, name string) string {
	var names []string
	look := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	cmd.Flags().VisitAll(look)
	cmd.InheritedFlags().VisitAll(look)
	return typo.Nearest(name, names)
}
