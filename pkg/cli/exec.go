package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/childenv"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
)

func (a *app) exec() *cobra.Command {
	var keep []string
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a command with an access key in its environment",
		Long: `Run a command with the profile's access key, S3 endpoint, region and CA file in its
environment, as AWS tools expect them. A key is issued if none is stored. Other AWS
credentials, and every variable that holds a secret setting of valetkey, are taken out first.

On Unix valetkey is replaced by the command, so signals and the exit code are the command's own.
With --store memory the key is issued for the command alone and deleted when it ends.`,
		Example: `  valetkey exec -- aws s3 ls
  valetkey exec --store memory -- python3 job.py`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failure.New(failure.Usage, "no command to run").WithHint("valetkey exec -- COMMAND [ARGUMENT...]")
			}
			return a.runExec(args, keep)
		},
	}
	cmd.Flags().SetInterspersed(false)
	a.addKeysFlags(cmd)
	settings.AddFlags(cmd.Flags(), "s3.endpoint", "s3.region", "s3.ca_file")
	cmd.Flags().StringSliceVar(&keep, "keep-env", nil, "leave the variable `NAME` in the environment although it holds a secret (repeatable)")
	return withFormats(cmd, "table")
}

func (a *app) runExec(args, keep []string) error {
	ctx := a.wait()
	if _, err := findProgram(args[0], a.env["PATH"]); err != nil {
		return a.notRunnable(args[0], err)
	}
	k, err := a.accessKeys(execStores)
	if err != nil {
		return err
	}
	creds, err := k.source.Credentials(ctx)
	if err != nil {
		return err
	}
	s3, err := a.set.S3()
	if err != nil {
		return err
	}
	plan := childenv.Plan{
		Base: a.proc.Env, Keep: keep, Drop: a.secretVariables(),
		Endpoint: endpointURL(s3.Endpoint.Text()), Region: s3.Region.Text(), CAFile: s3.CAFile.Text(),
		Credentials: &childenv.Credentials{AccessKey: creds.AccessKey, SecretKey: creds.SecretKey, SessionToken: creds.SessionToken},
		FoldCase:    runtime.GOOS == "windows",
	}
	if !creds.Soft {
		plan.Credentials.Ends = creds.Expires
	}
	if k.store.Name() != memoryStore {
		return a.become(args, plan.Compose())
	}
	runErr := a.runChild(args, plan.Compose(), 0)
	// The clean-up has its own time: the command may have been interrupted.
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(a.base), 5*time.Second)
	defer cancel()
	if _, err := k.service.Delete(cleanup, creds.AccessKey); err != nil {
		a.term.Warn("access key %s of the ended command could not be deleted: %v", creds.AccessKey, err)
		a.term.Hint("valetkey keys delete %s", creds.AccessKey)
	}
	return runErr
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
		return a.notRunnable(args[0], err)
	}
	if err := replaceProcess(path, args, env); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return a.notRunnable(args[0], err)
	}
	return a.runChild(args, env, 0)
}

// runChild runs a command with our streams, passes signals on, and returns its
// exit code as failure.Exit. It returns nil if the command ended with 0. After a
// signal the command is killed if it does not end within patience; zero waits on.
func (a *app) runChild(args, env []string, patience time.Duration) error {
	path, err := findProgram(args[0], a.env["PATH"])
	if err != nil {
		return a.notRunnable(args[0], err)
	}
	child := &exec.Cmd{Path: path, Args: args, Env: env, Stdin: a.proc.Stdin, Stdout: a.proc.Stdout, Stderr: a.proc.Stderr}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		return a.notRunnable(args[0], err)
	}
	a.childRuns.Store(true)
	defer a.childRuns.Store(false)
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				// A terminal sends Ctrl-C to the whole group, the child has it already.
				if s != os.Interrupt || !a.term.InIsTerminal {
					_ = child.Process.Signal(s)
				}
				if patience > 0 {
					kill := time.AfterFunc(patience, func() { _ = child.Process.Kill() })
					defer kill.Stop()
				}
			case <-ended:
				return
			}
		}
	}()
	err = child.Wait()
	close(ended)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return failure.Exit(exitCode(exit.ProcessState))
	}
	return failure.Wrap(failure.Internal, err, "run %s", args[0])
}

func (a *app) notRunnable(name string, err error) error {
	code := 126
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOENT) {
		code = 127
	}
	a.term.Fail("cannot run %s: %v", name, reason(err))
	return failure.Exit(code)
}

func reason(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err // often a PathError, which names the program once more
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// findProgram looks a program up in the PATH that the person has.
func findProgram(name, path string) (string, error) {
	if strings.ContainsRune(name, os.PathSeparator) || runtime.GOOS == "windows" {
		found, err := exec.LookPath(name)
		if err != nil && errors.Is(err, exec.ErrDot) {
			return name, nil
		}
		return found, err
	}
	denied := error(nil)
	for _, dir := range strings.Split(path, string(os.PathListSeparator)) {
		if dir == "" {
			dir = "." // as a shell has it
		}
		candidate := dir + string(os.PathSeparator) + name
		info, err := os.Stat(candidate)
		switch {
		case err != nil || info.IsDir():
			continue
		case info.Mode()&0o111 != 0:
			return candidate, nil
		}
		denied = &exec.Error{Name: name, Err: fs.ErrPermission}
	}
	if denied != nil {
		return "", denied
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}
