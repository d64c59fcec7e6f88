package cli

import (
	"errors"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/childenv"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
)

type execFlags struct {
	keep              []string
	ephemeral, dryRun bool
	wait              string
}

func (a *app) exec() *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a command with an access key in its environment",
		Long: `Run a command with the profile's access key, S3 endpoint, region and CA file in its
environment, as AWS tools expect them. A key is issued if none is stored. Other AWS
credentials, and every variable that holds a secret setting of valetkey, are taken out first.

On Unix valetkey is replaced by the command, so signals and the exit code are the command's own.

With --ephemeral a key is issued for the command alone: it is stored nowhere, whatever the
store, and deleted when the command ends, also by Ctrl-C or a signal, which valetkey passes on.
The exit code is the command's own, 128+N after signal N. A user has two slots: while both are
taken the exit code is 8, unless --wait gives them time. --store memory means --ephemeral.

The journal names the key while the command runs. If it cannot be deleted at the end, that is
warned about, the exit code is still the command's, and valetkey keys reap deletes it later;
so does the next --ephemeral run of this machine. If valetkey itself is killed, that happens
once the command has ended, too (on Windows at once).

A COMMAND that is not there is exit code 127, one that cannot be executed 126; with -o json
that, too, is one JSON object on standard error.`,
		Example: `  valetkey exec -- aws s3 ls
  valetkey exec --ephemeral -- ./load-data.sh
  valetkey exec --ephemeral --wait 10m -- python3 job.py`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failure.New(failure.Usage, "no command to run").WithHint("valetkey exec -- COMMAND [ARGUMENT...]")
			}
			if a.jq != "" {
				return failure.New(failure.Usage, "%s writes no JSON for --jq to filter", cmd.CommandPath())
			}
			return a.runExec(args, f)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.BoolVar(&f.ephemeral, "ephemeral", false, "issue a key for this run alone, and delete it at the end")
	flags.StringVar(&f.wait, "wait", "", "with --ephemeral: wait up to this `duration` for room")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, issue and run nothing")
	a.addKeysFlags(cmd)
	settings.AddFlags(flags, "s3.endpoint", "s3.region", "s3.ca_file")
	flags.StringSliceVar(&f.keep, "keep-env", nil, "leave the variable `NAME` in the environment although it holds a secret (repeatable)")
	return cmd
}

func (a *app) runExec(args []string, f execFlags) error {
	lend := accesskey.LendOptions{}
	if f.wait != "" {
		var err error
		if lend.Wait, err = settings.ParseDuration(f.wait); err != nil {
			return failure.Wrap(failure.Usage, err, "read --wait")
		}
	}
	if _, err := findProgram(args[0], a.env["PATH"]); err != nil {
		return notRunnable(args[0], err)
	}
	k, err := a.accessKeys(execStores)
	if err != nil {
		return err
	}
	lend.Storeless = k.store.Name() == memoryStore
	f.ephemeral = f.ephemeral || lend.Storeless // such a key could go nowhere else
	switch {
	case f.wait != "" && !f.ephemeral:
		return failure.New(failure.Usage, "--wait is for --ephemeral: a stored key needs no room")
	case f.dryRun:
		return a.dryExec(k, args, f)
	}
	s3, err := a.set.S3()
	if err != nil {
		return err
	}
	plan := childenv.Plan{
		Base: a.proc.Env, Keep: f.keep, Drop: a.secretVariables(),
		Endpoint: endpointURL(s3.Endpoint.Text()), Region: s3.Region.Text(), CAFile: s3.CAFile.Text(),
		FoldCase: runtime.GOOS == "windows",
	}
	if f.ephemeral {
		return a.runLent(k, args, plan, lend)
	}
	creds, err := k.source.Credentials(a.wait())
	if err != nil {
		return err
	}
	plan.Credentials = childCredentials(creds)
	return a.become(args, plan.Compose())
}

// childCredentials are without a soft end: SDKs would refuse to go on past it.
func childCredentials(c accesskey.Credentials) *childenv.Credentials {
	creds := &childenv.Credentials{AccessKey: c.AccessKey, SecretKey: c.SecretKey, SessionToken: c.SessionToken}
	if !c.Soft {
		creds.Ends = c.Expires
	}
	return creds
}

// runLent runs a command with a key of its own, which ends with it.
func (a *app) runLent(k keysOf, args []string, plan childenv.Plan, o accesskey.LendOptions) error {
	lent, err := k.service.Lend(a.wait(), o)
	if err != nil {
		return err
	}
	defer a.takeTime()() // for the return, which ends in seconds by itself
	plan.Credentials = childCredentials(lent.Credentials)
	stop := lent.Inherit()
	runErr := a.runChild(args, plan.Compose(), childOptions{started: stop})
	stop()
	if err := lent.Return(a.base); err != nil {
		a.term.Warn("%v", err)
		a.term.Hint("it is in the journal: valetkey keys reap deletes it")
	}
	return runErr
}

// dryExec looks, issues nothing and runs nothing.
func (a *app) dryExec(k keysOf, args []string, f execFlags) error {
	if !f.ephemeral {
		if key, err := k.service.Current(a.wait()); err == nil {
			a.term.Note("would run %s with the access key %s of %s; nothing was run", args[0], key.AccessKey, k.identity)
			return nil
		}
	}
	keys, err := k.service.List(a.wait())
	if err != nil {
		return err
	}
	end := ""
	if f.ephemeral {
		end = " and delete the key"
	}
	a.term.Note("would issue an access key for %s, who holds %d, run %s%s; nothing was done", k.identity, len(keys), args[0], end)
	return nil
}

// secretVariables are those that hold a secret setting, and the sandbox's own.
func (a *app) secretVariables() []string {
	names := settings.SecretVariables()
	for name := range a.env {
		if strings.HasPrefix(name, "VALETKEY_SANDBOX_PASSWORD_") || name == "VALETKEY_SANDBOX_SECRET_ID" {
			names = append(names, name)
		}
	}
	return names
}

// become replaces this process by the command where the system can, since
// nothing is left to do afterwards; elsewhere it runs the command and waits.
func (a *app) become(args, env []string) error {
	path, err := findProgram(args[0], a.env["PATH"])
	if err != nil {
		return notRunnable(args[0], err)
	}
	if err := replaceProcess(path, args, env); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return notRunnable(args[0], err)
	}
	return a.runChild(args, env, childOptions{})
}
