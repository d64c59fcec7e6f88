// Package cli is the command tree of valetkey, a file a verb.
//
// A verb turns flags into values, makes one call into a use-case and renders the
// answer. What the use-cases need is joined to the clients in wiring.go.
package cli

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Process is what main hands in: everything valetkey knows of the outside.
type Process struct {
	Args       []string
	Env        []string // NAME=value
	Executable func() (string, error)
	Stdin      *os.File
	Stdout     *os.File
	Stderr     *os.File
	Version    string // empty: from the build information
}

// Main runs one command line and returns the exit code.
func Main(ctx context.Context, p Process) (code int) {
	a := newApp(ctx, p)
	defer func() {
		if r := recover(); r != nil {
			// The value of a panic may hold anything, a secret too: its text is not shown.
			code = a.report(failure.New(failure.Internal, "valetkey has a fault and stopped (%s)", faultPlace(string(debug.Stack()))).
				WithHint("please report the line above with the command you ran, without any secret"))
		}
	}()
	root := a.command()
	root.SetArgs(p.Args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && !isExit(err) {
		err = failure.Wrap(failure.Cancelled, ctx.Err(), "interrupted")
	}
	return a.report(err)
}

// Command returns the command tree for documentation and tests. Running it is not meant.
func Command() *cobra.Command { return newApp(context.Background(), Process{}).command() }

func isExit(err error) bool {
	var exit failure.Exit
	return errors.As(err, &exit)
}

// faultPlace is the function and line in our own code nearest to a panic.
func faultPlace(stack string) string {
	lines := strings.Split(stack, "\n")
	panicked := false
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") {
			panicked = true
		}
		if panicked && strings.HasPrefix(l, "github.com/valetkey/valetkey/pkg/") && i+1 < len(lines) {
			place := strings.TrimSpace(lines[i+1])
			if cut := strings.Index(place, "/pkg/"); cut >= 0 {
				place = place[cut+1:]
			}
			place, _, _ = strings.Cut(place, " ")
			return place
		}
	}
	return "unknown place"
}

const rootLong = `valetkey hands engineers, CI jobs and AWS-compatible tools narrow, short-lived,
revocable access to data on a VAST cluster, so that nobody types a password into a script.

It talks to VMS (the VAST management API), to Vault and to S3 directly, keeps issued
keys in the key store you choose, and asks for secret values without showing them.`

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "valetkey",
		Short: "Narrow, short-lived, revocable access to data on VAST",
		Long:  rootLong,
		Example: `  valetkey dev -- valetkey keys create     try it on a sandbox
  valetkey keys create                     issue and store an access key
  valetkey configure aws                   let AWS tools use it
  valetkey secrets set db-password         a secret of a data job, by prompt`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          a.group,
		// The tree is for people: commands in the order they are told.
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetOut(a.proc.Stdout)
	root.SetErr(a.proc.Stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(usage)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) }
	a.addGlobalFlags(root)
	root.AddGroup(
		&cobra.Group{ID: "access", Title: "Access to data:"},
		&cobra.Group{ID: "vault", Title: "Secrets of data jobs:"},
		&cobra.Group{ID: "setup", Title: "Setting up:"},
	)
	all, only := a.verbs(), ""
	if len(a.proc.Args) > 0 {
		only = onlyVerb(all, a.proc.Args[0])
	}
	for _, v := range all {
		if only == "" || v.name == only {
			c := v.build()
			c.GroupID = v.group
			root.AddCommand(c)
		}
	}
	if only == "" {
		root.SetHelpCommand(a.help(root))
		root.AddCommand(helpTopics()...)
	}
	finish(root)
	return root
}

// verb is a command right below the root.
type verb struct {
	name, group string
	build       func() *cobra.Command
}

// verbs are in the order in which help tells them.
func (a *app) verbs() []verb {
	return []verb{
		{"keys", "access", a.keys},
		{"credential-process", "access", a.credentialProcess},
		{"exec", "access", a.exec},
		{"presign", "access", a.presign},
		{"policy", "access", a.policy},
		{"secrets", "vault", a.secrets},
		{"login", "setup", a.login},
		{"logout", "setup", a.logout},
		{"status", "setup", a.status},
		{"configure", "setup", a.configure},
		{"config", "setup", a.config},
		{"dev", "setup", a.dev},
		{"completion", "setup", a.completion},
		{"version", "setup", a.versionCmd},
	}
}

// onlyVerb returns the command that a line is about if it begins with the word.
// Such a line needs no other command: the tree is built at every start, and
// credential-process starts thousands of times a day. The scripts of completion
// know the whole tree.
func onlyVerb(all []verb, word string) string {
	for _, v := range all {
		if v.name == word && word != "completion" {
			return word
		}
	}
	return ""
}

// group answers a command that only holds others.
func (a *app) group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		if len(a.proc.Args) == 0 || cmd.Parent() == nil {
			return a.showHelp(cmd)
		}
		return failure.New(failure.Usage, "%s wants a command", cmd.CommandPath()).
			WithHint("%s --help lists them", cmd.CommandPath())
	}
	err := failure.New(failure.Usage, "unknown command %q for %s", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return err.WithHint("did you mean %s %s?", cmd.CommandPath(), near[0])
	}
	return err.WithHint("%s --help lists the commands", cmd.CommandPath())
}

// parent makes a command that only holds others.
func (a *app) parent(use, short, long, example string, cmds ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: cobra.ArbitraryArgs, RunE: a.group}
	c.AddCommand(cmds...)
	return c
}

func flagError(cmd *cobra.Command, err error) error {
	e := failure.Wrap(failure.Usage, err, "%s", cmd.CommandPath())
	const unknown = "unknown flag: --"
	if name, found := strings.CutPrefix(err.Error(), unknown); found {
		if near := nearestFlag(cmd, name); near != "" {
			return e.WithHint("did you mean --%s?", near)
		}
	}
	return e.WithHint("%s --help shows the flags", cmd.CommandPath())
}

// usageArgs turns cobra's complaints about the number of arguments into usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return failure.New(failure.Usage, "%s: %s", cmd.CommandPath(), err).WithHint("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// finish applies to the whole tree what every command must have.
func finish(cmd *cobra.Command) {
	if cmd.Args != nil {
		cmd.Args = usageArgs(cmd.Args)
	} else {
		cmd.Args = usageArgs(cobra.NoArgs)
	}
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().SortFlags = false
	for _, c := range cmd.Commands() {
		finish(c)
	}
}
