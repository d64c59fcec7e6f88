package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) secretsGet() *cobra.Command {
	var (
		noNewline bool
		fallback  string
	)
	cmd := addSecretsFlags(&cobra.Command{
		Use:     "get NAME",
		Short:   "Print the value of a secret",
		Long:    "Print the value of a secret and a line end. What is no string is printed as compact JSON.",
		Example: "  valetkey secrets get db-password\n  valetkey secrets get tls-key -n > key.pem",
		Args:    cobra.ExactArgs(1),
	})
	cmd.Flags().BoolVarP(&noNewline, "no-newline", "n", false, "print no line end behind the value")
	cmd.Flags().StringVar(&fallback, "default", "", "print this `value` if the secret is not there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		service, job, err := a.jobSecrets()
		if err != nil {
			return err
		}
		found, err := service.Get(a.wait(), job, args[0])
		if failure.Is(err, failure.NotFound) && cmd.Flags().Changed("default") {
			found, err = defaultSecret(args[0], fallback)
		}
		if err != nil {
			return err
		}
		return a.printSecret(found, noNewline)
	}
	return cmd
}

func defaultSecret(name, text string) (jobsecrets.Secret, error) {
	value, err := json.Marshal(text)
	return jobsecrets.Secret{Name: name, Value: jobsecretsValue(value)}, err
}

func (a *app) printSecret(s jobsecrets.Secret, noNewline bool) error {
	answer := render.Answer{Value: struct {
		Name    string          `json:"name"`
		Value   json.RawMessage `json:"value"`
		Version int             `json:"version"`
	}{s.Name, s.Value.Bytes(), s.Version}}
	if a.printer.JQ != "" || a.printer.Format == render.JSON || a.printer.Format == render.YAML {
		return a.print(answer)
	}
	text, err := jobsecrets.Display(s.Value)
	if err != nil {
		return err
	}
	out := append([]byte(nil), text.Bytes()...)
	if !noNewline {
		out = append(out, '\n')
	}
	return render.Write(a.proc.Stdout, out)
}
