package cli

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/secret"
)

type setFlags struct {
	stdin, asJSON, raw, confirm, allowEmpty, dryRun bool
	file                                            string
}

func (a *app) secretsSet() *cobra.Command {
	var f setFlags
	cmd := addSecretsFlags(&cobra.Command{
		Use:   "set NAME...",
		Short: "Set secrets, asked for without echo",
		Long: `Set secrets. Each value is asked for on the terminal without showing it, or read with --stdin
or --from-file. A single line loses its line end; anything with a line end inside is kept byte
for byte. Other secrets of the job stay as they are.`,
		Example: `  valetkey secrets set db-password
  printf %s "$TOKEN" | valetkey secrets set api-token --stdin
  valetkey secrets set tls-key --from-file key.pem
  echo '{"retries": 3}' | valetkey secrets set options --stdin --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.runSecretsSet(args, f) },
	})
	flags := cmd.Flags()
	flags.BoolVar(&f.stdin, "stdin", false, "read the value from standard input")
	flags.StringVar(&f.file, "from-file", "", "read the value from this `file`")
	flags.BoolVar(&f.asJSON, "json", false, "the value is JSON: keep its type")
	flags.BoolVar(&f.raw, "raw", false, "keep every byte, the last line end too")
	flags.BoolVar(&f.confirm, "confirm", false, "ask twice")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "take an empty value")
	flags.BoolVar(&f.dryRun, "dry-run", false, "check everything, write nothing")
	return cmd
}

func (a *app) runSecretsSet(names []string, f setFlags) error {
	if f.stdin && f.file != "" {
		return failure.New(failure.Usage, "--stdin and --from-file exclude each other")
	}
	if (f.stdin || f.file != "") && len(names) > 1 {
		return failure.New(failure.Usage, "one value cannot be that of %d secrets", len(names)).WithHint("set them one at a time, or by prompt")
	}
	for _, name := range names {
		// What follows the sign may be a value passed by mistake: it is not repeated.
		if before, _, found := strings.Cut(name, "="); found && !f.stdin && f.file == "" {
			return failure.New(failure.Usage, "a value is not taken as an argument: %q is followed by an equals sign", before).
				WithHint("valetkey secrets set %s asks for the value; a name with an equals sign goes with --stdin", before)
		}
		if err := jobsecrets.CheckName(name); err != nil {
			return err
		}
	}
	// Questions and input come before anything is asked of Vault.
	changes := make([]jobsecrets.Change, 0, len(names))
	for _, name := range names {
		text, err := a.secretInput(name, f)
		if err != nil {
			return err
		}
		encode := jobsecrets.TextValue
		if f.asJSON {
			encode = jobsecrets.JSONValue
		}
		value, err := encode(text)
		if err != nil {
			return failure.Annotate(err, "set secret %s", name)
		}
		if jobsecrets.IsVDKOption(name) {
			a.term.Warn("%s is the name of a VDK option too: a job that runs with this secret takes it as its configuration", name)
		}
		changes = append(changes, jobsecrets.Change{Name: name, Value: value})
	}
	service, job, err := a.jobSecrets()
	if err != nil {
		return err
	}
	written, err := service.Set(a.wait(), job, changes, f.dryRun)
	if err != nil {
		return err
	}
	return a.printWritten(written, job, "set", f.dryRun)
}

// secretInput gets the value of one secret from where the flags say.
func (a *app) secretInput(name string, f setFlags) (secret.Text, error) {
	o := jobsecrets.InputOptions{Raw: f.raw, AllowEmpty: f.allowEmpty}
	switch {
	case f.stdin:
		b, err := a.stdin(a.base)
		if err != nil {
			return secret.Text{}, err
		}
		o.Source = "standard input"
		return jobsecrets.InputValue(b, o)
	case f.file != "":
		b, err := a.inputFile(f.file)
		if err != nil {
			return secret.Text{}, err
		}
		o.Source = f.file
		return jobsecrets.InputValue(b, o)
	}
	const otherwise = "pipe the value to --stdin, or name a file with --from-file"
	first, err := a.term.AskSecret(a.base, name+": ", otherwise)
	if err != nil {
		return secret.Text{}, err
	}
	if f.confirm {
		second, err := a.term.AskSecret(a.base, name+" again: ", otherwise)
		if err != nil {
			return secret.Text{}, err
		}
		if !first.Equal(second) {
			return secret.Text{}, failure.New(failure.Usage, "the two values of %s differ", name).WithHint("nothing was changed")
		}
	}
	o.Source, o.Raw = "the prompt", true
	return jobsecrets.InputValue(first.Bytes(), o)
}

// inputFile reads a file that an argument names; one that is not there is a usage
// error. A pipe that nobody writes to is waited for no longer than a server.
func (a *app) inputFile(path string) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	ctx := a.wait()
	done := make(chan result, 1)
	go func() {
		b, err := readInputFile(path)
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		return r.b, r.err
	case <-ctx.Done():
	}
	if a.base.Err() != nil {
		return nil, a.base.Err()
	}
	return nil, failure.New(failure.Usage, "read %s: its end did not come within %s", path, a.global.Timeout.Text()).
		WithHint("--timeout gives it longer; standard input is waited for without a limit")
}

func readInputFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the person names the file
	if err != nil {
		return nil, failure.Wrap(failure.Usage, reason(err), "read %s", path)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxInput+1))
	if err != nil {
		return nil, failure.Wrap(failure.Usage, reason(err), "read %s", path)
	}
	if len(b) > maxInput {
		return nil, failure.New(failure.TooLarge, "%s is larger than %d MiB", path, maxInput>>20)
	}
	return b, nil
}
