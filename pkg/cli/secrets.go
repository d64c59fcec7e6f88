package cli

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vault"
)

func (a *app) secrets() *cobra.Command {
	return a.parent("secrets", "Secrets of data jobs in Vault",
		`Secrets of a data job lie in Vault at TEAM/JOB of a KV v2 mount, in the layout that Versatile
Data Kit reads and writes. Every write is a read, a change and a check-and-set: a teammate's
change of another secret is kept, a change of the same one is exit code 7.

A value is never taken as an argument: it is asked for, or read from standard input or a file.`,
		"  valetkey secrets set db-password --team demo --job hello-job\n  valetkey secrets list",
		a.secretsSet(), a.secretsGet(), a.secretsList(), a.secretsDelete())
}

func addSecretsFlags(cmd *cobra.Command) *cobra.Command {
	settings.AddFlags(cmd.Flags(), settings.GroupJob, settings.GroupKV, settings.GroupVault, settings.GroupVaultAuth)
	return cmd
}

// jobSecrets joins Vault to the use-cases, for the job of the settings. The
// layout is fixed when it was asked for on the command line.
func (a *app) jobSecrets() (*jobsecrets.Service, jobsecrets.Job, error) {
	var none jobsecrets.Job
	s, err := a.set.Job()
	if err != nil {
		return nil, none, err
	}
	for _, v := range []settings.Value{s.Team, s.Job} {
		if v.IsEmpty() {
			return nil, none, failure.New(failure.Usage, "whose secrets? the %s is not set", v.Name).
				WithHint("--%s, VALETKEY_%s, or %s in the profile", v.Name, map[string]string{"team": "TEAM", "job": "JOB"}[v.Name], v.Name)
		}
	}
	job, err := jobsecrets.NewJob(s.Team.Text(), s.Job.Text())
	if err != nil {
		return nil, none, err
	}
	kv, err := a.set.KV()
	if err != nil {
		return nil, none, err
	}
	client, err := a.vaultSession(a.wait())
	if err != nil {
		return nil, none, err
	}
	service, err := jobsecrets.New(jobsecrets.Deps{
		Documents:   documents{client, kv.Mount.Text()},
		Layout:      jobsecrets.Layout(kv.Layout.Text()),
		LayoutFixed: strings.HasPrefix(kv.Layout.Source, "flag "),
	})
	return service, job, err
}

// documents are the KV v2 documents of one mount.
type documents struct {
	client *vault.Client
	mount  string
}

func (d documents) Read(ctx context.Context, path string) (jobsecrets.Document, error) {
	doc, err := d.client.ReadSecret(ctx, d.mount, path)
	return jobsecrets.Document{Data: doc.Data, Version: doc.Version}, err
}

func (d documents) Write(ctx context.Context, path string, data json.RawMessage, cas int) (int, error) {
	w, err := d.client.WriteSecret(ctx, d.mount, path, data, cas)
	return w.Version, err
}

func (d documents) List(ctx context.Context, path string) ([]string, error) {
	return d.client.ListSecrets(ctx, d.mount, path)
}
