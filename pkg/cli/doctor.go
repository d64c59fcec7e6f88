package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/doctor"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vms"
)

func (a *app) doctor() *cobra.Command {
	var allStores bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what does not work, or soon will not",
		Long: `Look at the settings, at VMS, Vault and S3 (address, certificate, clock, login), at your key
slots, the key store and the journal, and at what AWS tools would make of their config file.

Nothing is changed and nothing is asked: what would need an answer is reported. To learn whether
Vault takes an AppRole or a password it logs in, and revokes the token at once. Every check waits
10 seconds at most, or --timeout if that is less. What is not set up is no problem.

The exit code is 12 when an error or a warning was found. An info is only worth knowing.`,
		Example: `  valetkey doctor
  valetkey doctor --all-stores
  valetkey doctor -o json --jq '.[] | select(.severity == "error") | .message'`,
		RunE: func(*cobra.Command, []string) error { return a.runDoctor(allStores) },
	}
	cmd.Flags().BoolVar(&allStores, "all-stores", false, "say of every other key store whether it could be used, by asking it")
	a.addKeysFlags(cmd)
	settings.AddFlags(cmd.Flags(), settings.GroupVault, settings.GroupVaultAuth, settings.GroupS3)
	return annotate(cmd, anyConfigAnnotation, "yes")
}

// checkup is one run of doctor: what earlier checks have learnt for later ones.
type checkup struct {
	*app
	allStores bool
	visits    map[string]visit // by group
	vms       *vms.Client      // whose credentials VMS took

	fleetTrouble bool // the document that machines share cannot be read
}

func (a *app) runDoctor(allStores bool) error {
	a.term.NoInput, a.onlyLooks = true, true
	d := &checkup{app: a, allStores: allStores, visits: map[string]visit{}}
	var registry doctor.Registry
	for _, c := range d.checks() {
		c.Timeout = 10 * time.Second
		if limit := a.global.Timeout.Duration(); limit > 0 {
			c.Timeout = min(c.Timeout, limit)
		}
		registry.Add(c)
	}
	findings, err := registry.Run(a.base)
	a.revokeLogins()
	if err != nil {
		return err
	}
	answer := render.Answer{Value: findings, Header: []string{"CHECK", "SEVERITY", "MESSAGE", "HINT"}}
	for _, f := range findings {
		answer.Rows = append(answer.Rows, []string{f.Check, string(f.Severity), f.Message, f.Hint})
	}
	errs, warnings := doctor.Severe(findings)
	if len(findings) > 0 || a.printer.Format == render.JSON || a.printer.Format == render.YAML || a.jq != "" {
		if err := a.print(answer); err != nil {
			return err
		}
	}
	if errs+warnings == 0 {
		if a.term.OutIsTerminal {
			a.term.Note("no problems found")
		}
		return nil
	}
	return failure.New(failure.Finding, "%s, %s", count(errs, "error"), count(warnings, "warning"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// checks are in the order of their dependencies: what cannot work because of an
// earlier finding is not reported again.
func (d *checkup) checks() []doctor.Check {
	list := []doctor.Check{
		{Name: "settings", About: "Whether the config file and the variables can be read and fit together.", Run: d.checkSettings},
	}
	for _, s := range []struct{ group, address string }{{"vms", "vms.address"}, {"vault", "vault.address"}, {"s3", "s3.endpoint"}} {
		list = append(list,
			doctor.Check{Name: s.address, About: "Whether the server answers.", Run: func(ctx context.Context) ([]doctor.Finding, error) {
				return d.checkAddress(ctx, s.group)
			}},
			doctor.Check{Name: s.group + ".tls", About: "Whether its certificate is trusted, and for how long.", Run: func(context.Context) ([]doctor.Finding, error) {
				return d.checkTLS(s.group)
			}},
			doctor.Check{Name: s.group + ".clock", About: "Whether its clock and this machine's agree.", Run: func(context.Context) ([]doctor.Finding, error) {
				return d.checkClock(s.group)
			}})
		switch s.group {
		case "vms":
			list = append(list,
				doctor.Check{Name: "vms.login", About: "Whether VMS takes the credentials.", Run: d.checkVMSLogin},
				doctor.Check{Name: "vms.keys", About: "Whether a key slot is free, and the stored key works.", Run: d.checkKeys})
		case "vault":
			list = append(list, doctor.Check{Name: "vault.login", About: "Whether Vault takes the credentials.", Run: d.checkVaultLogin})
		}
	}
	return append(list,
		doctor.Check{Name: "store", About: "Whether the key store can be used.", Run: d.checkStore},
		doctor.Check{Name: "stores", About: "Whether the other key stores could be used.", Run: d.checkOtherStores},
		doctor.Check{Name: "journal", About: "Whether an issue of a key was left unfinished.", Run: d.checkJournal},
		doctor.Check{Name: "aws.shadow", About: "Whether static keys would be used instead of credential_process.", Run: d.checkShadow},
		doctor.Check{Name: "aws.process", About: "Whether every AWS tool can run the credential_process lines.", Run: d.checkProcess},
	)
}

// one is a single finding.
func one(severity doctor.Severity, hint, format string, args ...any) []doctor.Finding {
	return []doctor.Finding{{Severity: severity, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

// trouble is the finding that an error is; without an error there is none.
func trouble(severity doctor.Severity, err error) []doctor.Finding {
	if err == nil {
		return nil
	}
	return one(severity, failure.HintOf(err), "%v", err)
}

// checkSettings reads everything, so that later checks need not report what is
// wrong with their settings.
func (d *checkup) checkSettings(context.Context) ([]doctor.Finding, error) {
	var findings []doctor.Finding
	seen := map[string]bool{}
	add := func(err error) {
		if err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			findings = append(findings, trouble(doctor.Error, err)...)
		}
	}
	_, err := d.set.Global()
	add(err)
	_, err = d.set.VMS()
	add(err)
	_, _, err = d.set.Vault()
	add(err)
	_, err = d.set.S3()
	add(err)
	_, err = d.set.Keys()
	add(err)
	_, err = d.set.List()
	add(err)
	for _, w := range d.set.Warnings() {
		findings = append(findings, one(doctor.Warning, "", "%s", w)...)
	}
	d.told = len(d.set.Warnings()) // they are in the answer
	return findings, nil
}
