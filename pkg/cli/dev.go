package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/sandbox"
)

const devLong = `Start a sandbox on loopback: VMS, Vault and S3 as three real HTTPS servers with one CA made
for the run, and users to try things with. With a COMMAND it is run with the environment of
the sandbox, and everything is removed when it ends. Without one the export lines are printed
and the sandbox serves until Ctrl-C.

alice, whose password is in the environment, may list buckets and read and write the bucket
demo; bob may read it, carol may do nothing; admin is a cluster administrator. Nobody has a key,
Vault is empty. Keys die when VMS deletes them, signatures and clocks are checked, identity
policies are enforced, the third key of a user is refused.

Writing an offset such as +25h into the file clock of VALETKEY_SANDBOX_DIR moves the clock of
the servers and of every valetkey in the sandbox. --fault makes a route fail: see --list-faults.

An AWS CLI before 2.13 does not know AWS_ENDPOINT_URL: give it --endpoint-url "$AWS_ENDPOINT_URL".`

type devFlags struct {
	dir, log, shell   string
	vms, vault, s3    int
	faults            []string
	listFaults, unset bool
}

func (a *app) dev() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev [flags] [-- COMMAND [ARGUMENT...]]",
		Short: "Run a sandbox of VMS, Vault and S3 on loopback",
		Long:  devLong,
		Example: `  valetkey dev -- sh
  valetkey dev -- aws s3 ls
  valetkey dev --fault vms.post_s3keys=503*2 -- valetkey keys create
  valetkey dev --shell fish`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && cmd.ArgsLenAtDash() == 0 { // "$@" of a script was empty
				return failure.New(failure.Usage, "no command to run after --").
					WithHint("valetkey dev alone serves until Ctrl-C")
			}
			return a.runDev(f, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&f.dir, "dir", "", "`directory` to use and keep, instead of one that is removed at the end")
	flags.IntVar(&f.vms, "vms-port", 0, "`port` of VMS (default: a free one)")
	flags.IntVar(&f.vault, "vault-port", 0, "`port` of Vault (default: a free one)")
	flags.IntVar(&f.s3, "s3-port", 0, "`port` of S3 (default: a free one)")
	flags.StringVar(&f.log, "log", "", "copy the request log to this `file`")
	flags.StringArrayVar(&f.faults, "fault", nil, "make a route fail: `ROUTE=KIND[*N]` (repeatable)")
	flags.BoolVar(&f.listFaults, "list-faults", false, "list the routes and the kinds of faults, start nothing")
	flags.StringVar(&f.shell, "shell", "posix", "`dialect` of the printed lines: posix, fish or powershell")
	flags.BoolVar(&f.unset, "unset", false, "print the lines that undo the exports, start nothing")
	return cmd
}

func (a *app) runDev(f devFlags, command []string) error {
	shell, err := render.ParseShell(f.shell)
	if err != nil {
		return err
	}
	switch {
	case f.listFaults:
		return a.listFaults()
	case f.unset:
		return a.print(render.Text(unsettable(), unsetLines(shell)))
	}
	exe, err := a.proc.Executable()
	if err != nil {
		return failure.Wrap(failure.Internal, err, "find the path of valetkey itself")
	}
	env := a.env
	options := sandbox.Options{Dir: f.dir, VMSPort: f.vms, VaultPort: f.vault, S3Port: f.s3, Faults: f.faults, LogFile: f.log, Binary: exe}
	options.Lost = func(err error) { a.term.Warn("%v", err) }
	s, err := sandbox.Start(a.base, options)
	if err != nil {
		return err
	}
	defer func() {
		if err := s.Close(); err != nil {
			a.term.Warn("the sandbox did not end cleanly: %v", err)
		}
	}()
	if len(command) == 0 {
		return a.serveDev(s, shell)
	}
	// COMMAND finds this very valetkey if it would find none.
	if _, err := findProgram("valetkey", env["PATH"]); err != nil && filepath.Base(exe) == programName() {
		env["PATH"] = strings.TrimPrefix(env["PATH"]+string(os.PathListSeparator)+filepath.Dir(exe), string(os.PathListSeparator))
	}
	base := make([]string, 0, len(a.proc.Env)+1)
	for _, entry := range a.proc.Env {
		if name, _, _ := strings.Cut(entry, "="); name != "PATH" {
			base = append(base, entry)
		}
	}
	base = append(base, "PATH="+env["PATH"])
	err = a.runChild(command, s.ChildEnv(base), childOptions{patience: 5 * time.Second})
	if err == nil && a.base.Err() != nil {
		return failure.Exit(0) // Ctrl-C was the command's, and it ended well
	}
	return err
}

func programName() string {
	if runtime.GOOS == "windows" {
		return "valetkey.exe"
	}
	return "valetkey"
}

func (a *app) serveDev(s *sandbox.Sandbox, shell render.Shell) error {
	var b bytes.Buffer
	for _, v := range s.Env(a.proc.Env) {
		b.WriteString(shell.Export(v.Name, v.Value))
	}
	if err := render.Write(a.proc.Stdout, b.Bytes()); err != nil {
		return err
	}
	a.term.Note("the sandbox serves until Ctrl-C; its files are in %s", s.Dir())
	if err := s.Wait(); err != nil && a.base.Err() == nil {
		return err
	}
	return failure.Exit(failure.Cancelled.Exit()) // the usual end, by Ctrl-C
}

// unsettable are the variables that --unset undoes. The proxy exceptions were
// the person's before, only longer now: they stay.
func unsettable() []string {
	return slices.DeleteFunc(sandbox.Variables(), func(name string) bool { return strings.EqualFold(name, "NO_PROXY") })
}

func unsetLines(shell render.Shell) string {
	var b strings.Builder
	for _, name := range unsettable() {
		b.WriteString(shell.Unset(name))
	}
	return b.String()
}

func (a *app) listFaults() error {
	routes := sandbox.ListFaults()
	answer := render.Answer{Value: routes, Header: []string{"ROUTE", "KINDS"}}
	for _, r := range routes {
		answer.Rows = append(answer.Rows, []string{r.Route, strings.Join(r.Kinds, " ")})
	}
	return a.print(answer)
}
