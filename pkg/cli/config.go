package cli

import (
	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
)

func (a *app) config() *cobra.Command {
	return a.parent("config", "Show and change settings", configTopic, "  valetkey config list\n  valetkey config set vms.address vms.example.com",
		a.configList(), a.configGet(), a.configSet(), a.configPath(), a.configInit(), a.configProfiles())
}

// setting is the frozen JSON shape of one setting.
type setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
	Set    bool   `json:"set"`
}

func shape(v settings.Value) setting {
	return setting{Name: v.Name, Value: v.String(), Source: v.Source, Set: v.Set}
}

// everyFlag adds the flags of all settings that are not global ones already.
func everyFlag(cmd *cobra.Command) *cobra.Command {
	settings.AddFlags(cmd.Flags(), settings.GroupVMS, settings.GroupVault, settings.GroupVaultAuth, settings.GroupKV,
		settings.GroupS3, settings.GroupKeys, settings.GroupJob)
	return cmd
}

func (a *app) configList() *cobra.Command {
	return everyFlag(&cobra.Command{
		Use:   "list",
		Short: "Print every setting with its value and source",
		Long: `Print every setting with its value and where it comes from: a flag, a variable, the profile
with its file and line, or the default. Secrets are shown as [redacted].`,
		Example: "  valetkey config list\n  valetkey config list -o json --jq '.[] | select(.set)'",
		RunE: func(*cobra.Command, []string) error {
			list, err := a.set.List()
			if err != nil {
				return err
			}
			answer := render.Answer{Header: []string{"SETTING", "VALUE", "SOURCE"}}
			values := make([]setting, 0, len(list))
			for _, v := range list {
				s := shape(v)
				values = append(values, s)
				answer.Rows = append(answer.Rows, []string{s.Name, s.Value, s.Source})
			}
			answer.Value = values
			return a.print(answer)
		},
	})
}

func completeSettings(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, row := range settings.Rows() {
		names = append(names, row.Name+"\t"+row.Help)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) configGet() *cobra.Command {
	return everyFlag(&cobra.Command{
		Use:               "get SETTING",
		Short:             "Print the value of one setting",
		Example:           "  valetkey config get vms.address\n  valetkey config get vms.address -o json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeSettings,
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := a.set.Lookup(args[0])
			if err != nil {
				return err
			}
			return a.print(render.Text(shape(v), v.String()))
		},
	})
}

func (a *app) configSet() *cobra.Command {
	var stdin, dryRun bool
	cmd := &cobra.Command{
		Use:   "set SETTING [VALUE]",
		Short: "Write a setting into the configuration file",
		Long: `Write a setting into the chosen profile of the configuration file. Comments and layout are
kept. A secret is not taken as an argument: it is asked for, or read with --stdin.

The name profile sets the profile that is used when none is named.`,
		Example: `  valetkey config set vms.address vms.example.com
  valetkey --profile lab config set keys.store file
  valetkey config set vms.password_command '["pass", "show", "vast/alice"]'
  valetkey config set vms.token`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeSettings,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.runConfigSet(args, stdin, dryRun)
		},
	}
	cmd.Flags().BoolVar(&stdin, "stdin", false, "read the value from standard input")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check the value, write nothing")
	return annotate(cmd, anyConfigAnnotation, "yes")
}

func (a *app) runConfigSet(args []string, stdin, dryRun bool) error {
	name := args[0]
	row, known := settings.Find(name)
	if !known {
		_, err := a.set.Lookup(name)
		return err
	}
	path, err := a.set.ConfigPath()
	if err != nil {
		return err
	}
	if len(args) == 2 && stdin {
		return failure.New(failure.Usage, "give the value of %s as an argument or on standard input, not both", name)
	}
	var value secret.Text
	switch {
	case len(args) == 2 && row.Secret:
		return failure.New(failure.Usage, "%s is a secret and is not taken as an argument", name).
			WithHint("leave the value out and type it, or pass it with --stdin")
	case len(args) == 2:
		value = secret.FromString(args[1])
	case stdin:
		if value, err = a.stdinLine(a.base, "--stdin"); err != nil {
			return err
		}
	case row.Secret:
		if value, err = a.term.AskSecret(a.base, name+": ", "pass the value with --stdin"); err != nil {
			return err
		}
	default:
		return failure.New(failure.Usage, "config set %s wants a value", name).WithHint("%s: %s", name, row.Help)
	}
	switch {
	case dryRun:
		err = a.set.CheckValue(name, value)
	case row.Secret:
		err = a.set.SetSecret(a.wait(), name, value)
	default:
		err = a.set.Set(a.wait(), name, value.Reveal())
	}
	if err != nil {
		return err
	}
	answer := struct {
		Name   string `json:"name"`
		File   string `json:"file"`
		DryRun bool   `json:"dry_run,omitempty"`
	}{name, path.Text(), dryRun}
	return a.print(render.Text(answer, ""))
}

func (a *app) configPath() *cobra.Command {
	return annotate(&cobra.Command{
		Use:     "path",
		Short:   "Print where the configuration file lies, or would lie",
		Example: "  $EDITOR \"$(valetkey config path)\"",
		RunE: func(*cobra.Command, []string) error {
			v, err := a.set.ConfigPath()
			if err != nil {
				return err
			}
			if v.IsEmpty() {
				return failure.New(failure.Config, "there is no place for a configuration file: no home directory is set").
					WithHint("set VALETKEY_CONFIG to a file of your own")
			}
			return a.print(render.Text(map[string]string{"path": v.Text()}, v.Text()))
		},
	}, anyConfigAnnotation, "yes")
}

func (a *app) configInit() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:     "init",
		Short:   "Write a configuration file to start from",
		Long:    "Write a configuration file in which everything is a comment. A file that is there is never overwritten.",
		Example: "  valetkey config init",
		RunE: func(*cobra.Command, []string) error {
			if dryRun {
				return a.print(render.Text(map[string]string{"file": settings.Starter()}, settings.Starter()))
			}
			path, err := a.set.Init(a.wait())
			if err != nil {
				return err
			}
			return a.print(render.Text(map[string]string{"path": path}, "wrote "+path))
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the file instead of writing it")
	return annotate(cmd, anyConfigAnnotation, "yes")
}

func (a *app) configProfiles() *cobra.Command {
	return &cobra.Command{
		Use:     "profiles",
		Short:   "List the profiles of the configuration file",
		Example: "  valetkey config profiles",
		RunE: func(*cobra.Command, []string) error {
			names, err := a.set.Profiles()
			if err != nil {
				return err
			}
			current := a.global.Profile.Text()
			type profile struct {
				Name    string `json:"name"`
				Current bool   `json:"current"`
			}
			answer := render.Answer{Header: []string{"PROFILE", "CURRENT"}}
			list := make([]profile, 0, len(names))
			for _, n := range names {
				mark := ""
				if n == current {
					mark = "*"
				}
				list = append(list, profile{n, n == current})
				answer.Rows = append(answer.Rows, []string{n, mark})
			}
			answer.Value = list
			return a.print(answer)
		},
	}
}
