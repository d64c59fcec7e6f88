// Package cli is the command tree of valetkey, a file a verb.
//
// A verb turns flags into values, makes one call into a use-case and renders the
// answer. What the use-cases need is joined to the clients in wiring.go.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
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
func Main(ctx context.Context, p Process) int {
	a := newApp(ctx, p)
	ended := make(chan int, 1)
	go func() { ended <- a.run(ctx) }()
	select {
	case code := <-ended:
		return code
	case <-ctx.Done():
	}
	for {
		select {
		case code := <-ended:
			return code
		case <-time.After(lastMoment):
			// Some calls into the system cannot be interrupted. A child may take its time.
			if a.takesTime.Load() == 0 {
				return failure.Cancelled.Exit()
			}
		}
	}
}

// lastMoment is when an interrupted command is given up. It is longer than what
// any clean-up takes.
const lastMoment = 8 * time.Second

func (a *app) run(ctx context.Context) (code int) {
	defer func() {
		if r := recover(); r != nil {
			// The value of a panic may hold anything, a secret too: its text is not shown.
			code = a.report(failure.New(failure.Internal, "valetkey has a fault and stopped (%s)", faultPlace(string(debug.Stack()))).
				WithHint("please report the line above with the command you ran, without any secret"))
		}
	}()
	root := a.command()
	root.SetArgs(a.proc.Args)
	if cmd, _, err := root.Find(a.proc.Args); err == nil {
		a.silent = cmd.Annotations[silentAnnotation] != ""
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.helpErr // of --help, which no command runs
	}
	// An interruption needs no words, unless there is something to do about it.
	if err != nil && ctx.Err() != nil && !isExit(err) && (!failure.Is(err, failure.Cancelled) || failure.HintOf(err) == "") {
		err = failure.New(failure.Cancelled, "interrupted")
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
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.helpErr = a.showHelp(cmd) })
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
		{"doctor", "setup", a.doctor},
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
	word := args[0]
	if !looksLikeCommand(word) {
		return failure.New(failure.Usage, "%s has no such command", cmd.CommandPath()).
			WithHint("%s --help lists the commands", cmd.CommandPath())
	}
	err := failure.New(failure.Usage, "unknown command %q for %s", word, cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return err.WithHint("did you mean %s %s?", cmd.CommandPath(), near[0])
	}
	return err.WithHint("%s --help lists the commands", cmd.CommandPath())
}

// looksLikeCommand reports whether a word can be a mistyped command. Another one
// is not repeated: `valetkey login TOKEN` is a mistake that people make.
func looksLikeCommand(word string) bool {
	return len(word) <= 20 && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") == ""
}

// parent makes a command that only holds others.
func (a *app) parent(use, short, long, example string, cmds ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: cobra.ArbitraryArgs, RunE: a.group}
	c.AddCommand(cmds...)
	return c
}

// flagError words what is wrong with a flag. What stands behind a flag that is
// not known is not repeated: it may be a secret that somebody tried to pass.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		dashes := "-"
		if unknown.GetSpecifiedShortnames() == "" {
			dashes = "--"
		}
		e := failure.New(failure.Usage, "%s: unknown flag: %s%s", cmd.CommandPath(), dashes, name)
		if near := nearestFlag(cmd, name); near != "" {
			return e.WithHint("did you mean --%s?", near)
		}
		if row, isSetting := settings.Find(strings.Replace(name, "-", ".", 1)); isSetting && row.Secret {
			return e.WithHint("a secret is not taken as a flag; see valetkey help environment")
		}
		return e.WithHint("%s --help shows the flags", cmd.CommandPath())
	case errors.As(err, &invalid):
		return failure.New(failure.Usage, "%s: --%s: %s", cmd.CommandPath(), invalid.GetFlag().Name, failureText(invalid)).
			WithHint("%s --help shows the flags", cmd.CommandPath())
	case errors.As(err, &syntax):
		err = errors.New("a flag that makes no sense")
	}
	return failure.Wrap(failure.Usage, err, "%s", cmd.CommandPath()).WithHint("%s --help shows the flags", cmd.CommandPath())
}

// failureText is why a value was refused. Our own checks say it without showing
// more than they should.
func failureText(invalid *pflag.InvalidValueError) string {
	if cause := errors.Unwrap(invalid); cause != nil {
		return cause.Error()
	}
	return "it cannot have this value"
}

// usageArgs turns cobra's complaints about the arguments into usage errors. The
// arguments are not repeated: one too many may be a secret.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return failure.New(failure.Usage, "%s: %s", cmd.CommandPath(), err).WithHint("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("takes no arguments")
	}
	return nil
}

// oneOf takes at most one argument, of those that the command lists.
func oneOf(cmd *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && !slices.Contains(cmd.ValidArgs, args[0]) {
		return fmt.Errorf("takes %s, or nothing", strings.Join(cmd.ValidArgs, " or "))
	}
	return nil
}

// finish applies to the whole tree what every command must have.
func finish(cmd *cobra.Command) {
	if cmd.Args != nil {
		cmd.Args = usageArgs(cmd.Args)
	} else {
		cmd.Args = usageArgs(noArgs)
	}
	cmd.DisableFlagsInUseLine = cmd.HasSubCommands()
	cmd.Flags().SortFlags = false
	for _, c := range cmd.Commands() {
		finish(c)
	}
}
