package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/policy"
	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) policy() *cobra.Command {
	return a.parent("policy", "Write identity policies",
		"Write identity policies of VAST from templates instead of by hand.",
		"  valetkey policy render schema-access --set bucket=vastdb --set schema=department_a",
		a.policyRender())
}

func (a *app) policyRender() *cobra.Command {
	var (
		set           []string
		list          bool
		allowWildcard bool
	)
	cmd := &cobra.Command{
		Use:   "render TEMPLATE --set NAME=VALUE...",
		Short: "Print an identity policy made from a template",
		Long: `Print an identity policy made from a template. --list shows the templates with their
parameters. Values are checked: they cannot smuggle a wildcard, a quote or a variable into the
policy. A parameter may be given several values, as in --set schema=a,b, for one document that
opens all of them.`,
		Example: `  valetkey policy render --list
  valetkey policy render schema-access --set bucket=vastdb --set schema=department_a
  valetkey policy render bucket-read --set bucket=demo > policy.json`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, t := range policy.Templates() {
				names = append(names, t.Name+"\t"+t.Purpose)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case list:
				return a.listTemplates()
			case len(args) == 0:
				return failure.New(failure.Usage, "which template?").WithHint("valetkey policy render --list shows them")
			}
			return a.runPolicyRender(args[0], set, policy.Options{AllowWildcard: allowWildcard})
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "value of a parameter: `NAME=VALUE[,VALUE...]` (repeatable)")
	cmd.Flags().BoolVar(&list, "list", false, "list the templates and their parameters")
	cmd.Flags().BoolVar(&allowWildcard, "allow-wildcard", false, "let values hold * and ?")
	return cmd
}

func (a *app) runPolicyRender(template string, set []string, options policy.Options) error {
	values := map[string][]string{}
	for _, s := range set {
		name, value, found := strings.Cut(s, "=")
		if !found || name == "" {
			return failure.New(failure.Usage, "--set wants NAME=VALUE").WithHint("such as --set bucket=demo")
		}
		values[name] = append(values[name], value) // Render splits lists where a parameter takes one
	}
	document, warnings, err := policy.Render(template, values, options)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		a.term.Warn("%s", w)
	}
	// The document is JSON already; its layout is for people.
	return a.print(render.Text(document, string(document.Print())))
}

type templateInfo struct {
	Name       string   `json:"name"`
	Purpose    string   `json:"purpose"`
	Parameters []string `json:"parameters"`
}

func (a *app) listTemplates() error {
	answer := render.Answer{Header: []string{"TEMPLATE", "PARAMETERS", "PURPOSE"}}
	infos := []templateInfo{}
	for _, t := range policy.Templates() {
		info := templateInfo{Name: t.Name, Purpose: t.Purpose}
		for _, p := range t.Parameters {
			info.Parameters = append(info.Parameters, p.Name)
		}
		infos = append(infos, info)
		answer.Rows = append(answer.Rows, []string{t.Name, strings.Join(info.Parameters, " "), t.Purpose})
	}
	answer.Value = infos
	return a.print(answer)
}
