package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/awsconfig"
	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/render"
	"github.com/valetkey/valetkey/pkg/settings"
)

func (a *app) configure() *cobra.Command {
	return a.parent("configure", "Let other tools use valetkey",
		"Write the configuration that lets other tools get their credentials from valetkey.",
		"  valetkey configure aws", a.configureAWS())
}

func (a *app) configureAWS() *cobra.Command {
	var (
		profile, command string
		show, dryRun     bool
	)
	cmd := &cobra.Command{
		Use:   "aws",
		Short: "Write an AWS profile that calls valetkey",
		Long: `Write a profile into the AWS configuration file (AWS_CONFIG_FILE, else ~/.aws/config) whose
credentials come from ` + "`valetkey credential-process`" + `. The rest of the file is kept byte for byte.

A profile of that name that has static keys or a role already, here or in the AWS credentials
file, would win over credential_process, so it is refused. What would change is shown before it is written.

AWS tools disagree on how to read a path with quotes, $ and the like in it. Where valetkey lies under
such a path, or under one that changes with every version, --command names a link to it.

A few tools refuse a profile that names a certificate authority (ca_bundle), since they have a setting of
their own for it, rclone among them: --s3-ca-file "" leaves it out.`,
		Example: `  valetkey configure aws                         write [profile valetkey]
  valetkey configure aws --aws-profile default   make it the default of all AWS tools
  valetkey configure aws --print                 print the section, write nothing
  valetkey configure aws --command /usr/local/bin/valetkey`,
		RunE: func(*cobra.Command, []string) error { return a.runConfigureAWS(profile, command, show, dryRun) },
	}
	cmd.Flags().StringVar(&profile, "aws-profile", "valetkey", "`name` of the AWS profile to write")
	cmd.Flags().StringVar(&command, "command", "", "absolute `path` of the program to call (default this valetkey)")
	cmd.Flags().BoolVar(&show, "print", false, "print the section instead of writing it")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would change, write nothing")
	settings.AddFlags(cmd.Flags(), "s3.endpoint", "s3.region", "s3.ca_file")
	return cmd
}

type configureAnswer struct {
	File    string            `json:"file"`
	Profile string            `json:"profile"`
	Changed bool              `json:"changed"`
	Entries map[string]string `json:"entries"`
}

func (a *app) runConfigureAWS(profile, command string, show, dryRun bool) error {
	if err := awsconfig.CheckProfile(profile); err != nil {
		return err
	}
	entries, err := a.awsEntries(command)
	if err != nil {
		return err
	}
	answer := configureAnswer{Profile: profile, Entries: map[string]string{}}
	for _, e := range entries {
		answer.Entries[e.Name] = e.Value
	}
	if show {
		return a.print(render.Text(answer, string(awsconfig.Edit(nil, awsconfig.Section(profile), entries))))
	}
	configPath, err := a.awsFile("AWS_CONFIG_FILE", "config")
	if err != nil {
		return err
	}
	before, err := readOptional(configPath)
	if err != nil {
		return err
	}
	mode, err := a.replaceable(configPath)
	if err != nil {
		return err
	}
	section, err := awsconfig.Place(before, profile)
	if err != nil {
		return failure.Annotate(err, "AWS config file %s", configPath)
	}
	if err := a.refuseShadow(profile, configPath, before); err != nil {
		return err
	}
	after := awsconfig.Edit(before, section, entries)
	answer.File, answer.Changed = configPath, string(before) != string(after)
	if !answer.Changed {
		a.term.Note("%s has the profile %s already", configPath, profile)
		return a.print(render.Text(answer, ""))
	}
	diff := lineDiff(string(before), string(after))
	if dryRun {
		return a.print(render.Text(answer, "--- "+configPath+"\n"+diff))
	}
	if old, found := awsconfig.Get(before, section); found && replaces(old, entries) {
		for _, l := range strings.Split(strings.TrimRight(diff, "\n"), "\n") {
			a.term.Note("%s", l)
		}
		if err := a.confirm("Change the profile " + profile + " of " + configPath + "?"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(configPath), 0o700); err != nil {
		return failure.Wrap(failure.Config, durable.Words(err), "make the directory of the AWS config file %s", configPath)
	}
	if now, err := readOptional(configPath); err != nil || string(now) != string(before) { // the answer may have taken a while
		return errors.Join(err, failure.New(failure.Conflict, "the AWS config file %s was changed meanwhile", configPath).WithHint("run it again"))
	}
	if target, err := filepath.EvalSymlinks(configPath); err == nil {
		configPath = target
	}
	if err := durable.WriteFile(configPath, after, mode); err != nil {
		return failure.Wrap(failure.Config, durable.Words(err), "write the AWS config file %s", configPath)
	}
	return a.print(render.Text(answer, "wrote ["+section+"] to "+answer.File+"\ntry it: aws --profile "+profile+" s3 ls"))
}

// replaceable returns the mode of the file, which it keeps: it is the person's,
// and holds no secret. It refuses to put another file in the place of one that is
// not the person's to replace.
func (a *app) replaceable(path string) (fs.FileMode, error) {
	const hint = "put what --print prints where it belongs"
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0o600, nil
	case err != nil:
		return 0, failure.Wrap(failure.Config, err, "look at the AWS config file")
	case !info.Mode().IsRegular():
		return 0, failure.New(failure.Config, "the AWS config file %s is not a regular file", path).WithHint("set AWS_CONFIG_FILE to another, or " + hint)
	case info.Mode()&0o200 == 0: // replacing it would be possible all the same
		return 0, failure.New(failure.Config, "the AWS config file %s is read-only", path).WithHint("make it writable, or " + hint)
	}
	if uid, other := ownedByOther(info); other {
		return 0, failure.New(failure.Config, "the AWS config file %s belongs to user id %d, not to you", path, uid).
			WithHint("run valetkey as that user, or " + hint)
	}
	return info.Mode().Perm(), nil
}

// awsCommand is the path that stands in the credential_process line.
func (a *app) awsCommand(chosen string) (string, error) {
	if chosen == "" {
		exe, err := a.proc.Executable()
		if err != nil {
			return "", failure.Wrap(failure.Internal, err, "find the path of valetkey itself")
		}
		return exe, nil
	}
	if !filepath.IsAbs(chosen) {
		return "", failure.New(failure.Usage, "--command %q is not an absolute path: AWS tools run it from any directory", chosen)
	}
	if _, err := findProgram(chosen, ""); err != nil {
		return "", failure.Wrap(failure.Usage, err, "--command %q is no program", chosen)
	}
	return chosen, nil
}

func (a *app) awsEntries(command string) ([]awsconfig.Entry, error) {
	exe, err := a.awsCommand(command)
	if err != nil {
		return nil, err
	}
	args := []string{"credential-process"}
	chosen, err := a.set.Lookup("profile")
	if err != nil {
		return nil, err
	}
	if chosen.Set && chosen.Text() != "default" {
		args = append(args, "--profile", chosen.Text())
	}
	line, err := awsconfig.CommandLine(exe, args...)
	if err != nil {
		return nil, err
	}
	s3, err := a.set.S3()
	if err != nil {
		return nil, err
	}
	entries := []awsconfig.Entry{{Name: "credential_process", Value: line}, {Name: "region", Value: s3.Region.Text()}}
	if s3.Endpoint.Text() != "" {
		entries = append(entries, awsconfig.Entry{Name: "endpoint_url", Value: endpointURL(s3.Endpoint.Text())})
	}
	if s3.CAFile.Text() != "" {
		path, err := filepath.Abs(s3.CAFile.Text()) // AWS tools run in any directory
		if err != nil {
			return nil, failure.Wrap(failure.Config, err, "find s3.ca_file")
		}
		entries = append(entries, awsconfig.Entry{Name: "ca_bundle", Value: path})
	}
	for _, e := range entries {
		if err := awsconfig.CheckEntry(e); err != nil {
			return nil, err
		}
	}
	address, err := a.set.Lookup("vms.address")
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(address.Source, "env ") || strings.HasPrefix(address.Source, "flag ") {
		a.term.Note("vms.address comes from %s: the AWS tools will need it in their environment too, or in the config file (valetkey config set vms.address)", address.Source)
	}
	return entries, nil
}

func (a *app) awsFile(variable, name string) (string, error) {
	if path := a.env[variable]; path != "" {
		if strings.HasPrefix(path, "~") {
			return "", failure.New(failure.Config, "%s starts with ~, which some AWS tools take for a directory of that name (env %s)", path, variable).
				WithHint("write the home directory out")
		}
		return path, nil
	}
	home := a.env["HOME"]
	if runtime.GOOS == "windows" {
		home = a.env["USERPROFILE"]
	}
	if home == "" {
		return "", failure.New(failure.Config, "no place for the AWS %s file: HOME is not set", name).
			WithHint("set %s, or use --print", variable)
	}
	return filepath.Join(home, ".aws", name), nil
}

// shadows are the entries from which one AWS tool or another would take other
// credentials than those of credential_process in the same profile.
var shadows = []string{"aws_access_key_id", "role_arn", "sso_session", "sso_start_url", "login_session", "credential_source", "web_identity_token_file"}

// refuseShadow refuses to write a credential_process that AWS tools would pass over.
func (a *app) refuseShadow(profile, configPath string, config []byte) error {
	entry, path, err := a.shadow(profile, configPath, config)
	if err != nil || entry == "" {
		return err
	}
	return failure.New(failure.Conflict, "the profile %s has %s in %s, which AWS tools would use instead", profile, entry, path).
		WithHint("remove it there, or choose another name with --aws-profile")
}

// shadow returns the first entry that AWS tools prefer to the credential_process
// of a profile in the config file, and the file where it stands; "" is none.
func (a *app) shadow(profile, configPath string, config []byte) (entry, path string, err error) {
	credentialsPath, err := a.awsFile("AWS_SHARED_CREDENTIALS_FILE", "credentials")
	if err != nil {
		return "", "", err
	}
	credentials, err := readOptional(credentialsPath)
	if err != nil {
		return "", "", err
	}
	for _, place := range []struct {
		path, section string
		file          []byte
		entries       []string
	}{
		// The credentials file goes before the config file, entry by entry.
		{credentialsPath, profile, credentials, append([]string{"credential_process"}, shadows...)},
		{configPath, awsconfig.Section(profile), config, shadows},
		{configPath, "profile " + profile, config, shadows}, // of default there is this form, too
	} {
		entries, _ := awsconfig.Get(place.file, place.section)
		for _, name := range place.entries {
			if entries[name] != "" {
				return name, place.path, nil
			}
		}
	}
	return "", "", nil
}

// readOptional reads a file that need not be there. What is no regular file
// might never end; os.DevNull is how people say that there is none.
func readOptional(path string) ([]byte, error) {
	if info, err := os.Stat(path); path == os.DevNull {
		return nil, nil
	} else if err == nil && !info.Mode().IsRegular() {
		return nil, failure.New(failure.Config, "the AWS file %s is not a regular file", path)
	}
	b, err := os.ReadFile(path) //nolint:gosec // the person's own AWS files
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.Wrap(failure.Config, err, "read the AWS file %s", path)
	}
	return b, nil
}

// replaces reports whether a value that is there would be lost.
func replaces(old map[string]string, entries []awsconfig.Entry) bool {
	for _, e := range entries {
		if v, found := old[e.Name]; found && v != e.Value {
			return true
		}
	}
	return false
}

// lineDiff shows the lines that go with - and those that come with +.
func lineDiff(before, after string) string {
	count := map[string]int{}
	for _, l := range strings.SplitAfter(before, "\n") {
		count[strings.TrimRight(l, "\r\n")]++
	}
	var gone, come strings.Builder
	for _, l := range strings.Split(strings.TrimSuffix(after, "\n"), "\n") {
		l = strings.TrimRight(l, "\r")
		if count[l] > 0 {
			count[l]--
			continue
		}
		come.WriteString("+ " + l + "\n")
	}
	for _, l := range strings.Split(strings.TrimSuffix(before, "\n"), "\n") {
		l = strings.TrimRight(l, "\r")
		if count[l] > 0 {
			count[l]--
			if l != "" {
				gone.WriteString("- " + l + "\n")
			}
		}
	}
	return gone.String() + come.String()
}
