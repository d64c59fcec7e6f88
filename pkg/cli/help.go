package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
)

// help is the help command: help of a command, or one of the topics.
func (a *app) help(root *cobra.Command) *cobra.Command {
	return annotate(&cobra.Command{
		Use:     "help [COMMAND | TOPIC]",
		Short:   "Explain a command or a topic (exit-codes, environment, config, fleet)",
		Example: "  valetkey help keys create\n  valetkey help exit-codes",
		Args:    cobra.ArbitraryArgs,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name()+"\t"+c.Short)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return failure.New(failure.Usage, "no command or topic %q", strings.Join(args, " ")).
					WithHint("valetkey help lists the commands; the topics are exit-codes, environment, config and fleet")
			}
			return a.showHelp(cmd)
		},
	}, anyConfigAnnotation, "yes")
}

// showHelp writes the help of a command to standard output, as an answer.
func (a *app) showHelp(cmd *cobra.Command) error {
	cmd.InitDefaultHelpFlag()
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	text = strings.TrimRight(text, "\n") + "\n"
	if !cmd.IsAdditionalHelpTopicCommand() {
		text += "\n" + cmd.UsageString()
	}
	return render.Write(a.proc.Stdout, []byte(text))
}

// helpTopics are texts, not commands: `valetkey help exit-codes`.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit code of a command says", Long: ExitCodes(), Example: "  valetkey keys create || echo \"exit code $?\""},
		{Use: "environment", Short: "The environment variables and flags of every setting", Long: Environment(), Example: "  VALETKEY_VMS_ADDRESS=vms.example.com valetkey keys list"},
		{Use: "fleet", Short: "How many machines share one access key through Vault", Long: Fleet(), Example: "  VALETKEY_STORE=vault valetkey doctor"},
	}
}

// Fleet is the text of `valetkey help fleet`.
func Fleet() string {
	return `A VAST user has two access keys, over all machines. With keys.store vault the machines of a
user share one: it lies in one document of Vault, which decides who issues or rotates it.
Each machine keeps a copy in tokens.store (os, kernel or file), which answers without a
network, is compared with Vault after half of keys.refresh, and goes on answering while Vault
is away. Old versions of the document are destroyed after each change.

An administrator of Vault makes a KV version 2 mount of its own (keys.vault_mount):

  vault secrets enable -path=valetkey -version=2 kv

and a policy with no more than this. HOST is the host of vms.address, with :PORT where it is
not 443; TENANT is - where none is set. Other characters than letters, digits and - _ . : @
are written as ~ and two hexadecimal digits. valetkey doctor prints the policy for the user
that is configured, and checks it.

` + indent(fleetPolicy("valetkey", "HOST/TENANT/USER")) + `
On each machine, in the profile or as VALETKEY_STORE and VALETKEY_TOKENS_STORE:

  keys: {store: vault}
  tokens: {store: file}
  vault: {address: https://vault.example.com, auth: {method: approle, role_id: …, secret_id_file: …}}`
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// ExitCodes is the text of `valetkey help exit-codes`.
func ExitCodes() string {
	var b strings.Builder
	b.WriteString("Exit codes are never renumbered. With -o json the code stands in error.code.\n\n")
	fmt.Fprintf(&b, "  %3d  %-10s  %s\n", 0, "", "done")
	for _, k := range failure.Kinds() {
		fmt.Fprintf(&b, "  %3d  %-10s  %s\n", k.Exit, k.Code, k.Meaning)
	}
	b.WriteString("\nexec passes the exit code of its command through, and 128 plus the number of the\n" +
		"signal that ended it; 127 is a command that is not there, 126 one that cannot be run.")
	return b.String()
}

// Environment is the text of `valetkey help environment`.
func Environment() string {
	var b strings.Builder
	b.WriteString("Every setting and where it is read from. A flag wins over VALETKEY_*, that over the\n" +
		"variables of other tools (in brackets), that over the profile in the configuration\n" +
		"file, and that over the default. An empty variable counts as not set.\n")
	for _, row := range settings.Rows() {
		if row.Env == "" {
			continue
		}
		fmt.Fprintf(&b, "\n  %s", row.Env)
		if len(row.Aliases) > 0 {
			fmt.Fprintf(&b, " [%s]", strings.Join(row.Aliases, ", "))
		}
		fmt.Fprintf(&b, "\n      %s", row.Help)
		if row.Default != "" {
			fmt.Fprintf(&b, " Default: %s.", row.Default)
		}
		fmt.Fprintf(&b, "\n      setting %s", row.Name)
		if row.Flag != "" {
			fmt.Fprintf(&b, ", flag --%s", row.Flag)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n  NO_COLOR, CLICOLOR_FORCE, TERM=dumb\n      Colour off, on, off.\n" +
		"\n  CI\n      CI=true turns prompts off, as --no-input does.\n" +
		"\n  HTTPS_PROXY, NO_PROXY\n      The proxy of all connections, and the hosts that need none.")
	return b.String()
}

const configTopic = `The configuration file is $VALETKEY_CONFIG, else $XDG_CONFIG_HOME/valetkey/config.yaml,
else ~/.config/valetkey/config.yaml (%AppData%\valetkey\config.yaml on Windows). No file is
needed when flags and the environment say it all. A file in the working directory is never read.

  default_profile: lab
  profiles:
    lab:
      vms:
        address: vms.lab.example.com
        username: alice
        password_command: [pass, show, vast/alice]
        ca_file: /etc/ssl/vast-ca.pem
      s3:
        endpoint: https://s3.lab.example.com
      vault:
        address: https://vault.example.com
      keys:
        store: file
      team: demo

A flag wins over a VALETKEY_ variable, that over the variables of other tools, that over the
profile, that over the default. ` + "`valetkey config list`" + ` shows every setting with its source.

The file and its directory must belong to you and be writable by nobody else; a file with a
secret in it must be readable by nobody else. A name that valetkey does not know is an error.
A credential of a profile is sent only to the address of that profile, or to one typed as a flag.`
