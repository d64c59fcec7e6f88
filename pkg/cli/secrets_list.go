package cli

import (
	"bytes"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/secret"
)

func jobsecretsValue(b []byte) secret.Text { return secret.New(b) }

func (a *app) secretsList() *cobra.Command {
	var showValues bool
	cmd := addSecretsFlags(&cobra.Command{
		Use:     "list",
		Short:   "List the names of a job's secrets",
		Example: "  valetkey secrets list\n  valetkey secrets list --show-values -o json",
		RunE: func(*cobra.Command, []string) error {
			service, job, err := a.jobSecrets()
			if err != nil {
				return err
			}
			listing, err := service.List(a.wait(), job)
			if err != nil {
				return err
			}
			if !listing.Exists {
				a.term.Note("%s has no secrets yet", job)
			}
			return a.printListing(listing, showValues)
		},
	})
	cmd.Flags().BoolVar(&showValues, "show-values", false, "print the values too")
	return cmd
}

func (a *app) printListing(listing jobsecrets.Listing, showValues bool) error {
	answer := render.Answer{Header: []string{"NAME"}, Value: listing.Names()}
	if showValues {
		answer.Header = append(answer.Header, "VALUE")
		answer.Value = valueObject(listing.Secrets)
	}
	for _, s := range listing.Secrets {
		row := []string{s.Name}
		if showValues {
			text, err := jobsecrets.Display(s.Value)
			if err != nil {
				text = s.Value // as it is stored
			}
			row = append(row, text.Reveal())
		}
		answer.Rows = append(answer.Rows, row)
	}
	return a.print(answer)
}

// valueObject is a JSON object in the order of the document.
type valueObject []jobsecrets.Secret

func (o valueObject) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, s := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(s.Name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(s.Value.Bytes())
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
