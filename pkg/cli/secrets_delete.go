package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) secretsDelete() *cobra.Command {
	var o jobsecrets.DeleteOptions
	cmd := addSecretsFlags(&cobra.Command{
		Use:   "delete NAME... | --all",
		Short: "Delete secrets of a job",
		Long: `Delete secrets of a job: all that are named, or none of them if one is not there. Earlier
versions of the document stay in Vault until it drops them. --all empties the document, as
VDK does it, and asks first.`,
		Example: "  valetkey secrets delete db-password\n  valetkey secrets delete --all --yes",
		Args:    cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			o.Names = args
			if o.All == (len(args) > 0) {
				return failure.New(failure.Usage, "name the secrets to delete, or give --all")
			}
			service, job, err := a.jobSecrets()
			if err != nil {
				return err
			}
			if o.All && !o.DryRun {
				if err := a.confirm(fmt.Sprintf("Delete all secrets of %s?", job)); err != nil {
					return err
				}
			}
			written, err := service.Delete(a.wait(), job, o)
			if err != nil {
				return err
			}
			return a.printWritten(written, job, "deleted", o.DryRun)
		},
	})
	flags := cmd.Flags()
	flags.BoolVar(&o.All, "all", false, "delete every secret of the job")
	flags.BoolVar(&o.IgnoreMissing, "ignore-missing", false, "a name that is not there is no error")
	flags.BoolVar(&o.DryRun, "dry-run", false, "check everything, write nothing")
	return cmd
}

// printWritten tells the outcome of a write: on a terminal in words, in a pipe
// nothing but JSON that was asked for.
func (a *app) printWritten(w jobsecrets.Written, job jobsecrets.Job, done string, dryRun bool) error {
	text := ""
	if a.printer.IsTerminal {
		what := strings.Join(w.Changed, ", ")
		if what == "" {
			what = "nothing: every value is there already"
		}
		text = fmt.Sprintf("%s %s in %s (version %d)", done, what, job, w.Version)
		if dryRun {
			text = "would have " + text
		}
	}
	return a.print(render.Text(w, text))
}
