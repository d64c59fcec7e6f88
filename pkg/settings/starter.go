package settings

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

// Init writes a config file in which everything is a comment, and returns its
// path. A file that is there already is failure.Conflict and stays as it is.
func (s *Settings) Init(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, err := s.writable()
	if err != nil {
		return "", err
	}
	held, err := durable.Lock(ctx, path+".lock")
	if err != nil {
		return "", failure.Wrap(kindOfWrite(err), durable.Words(err), "lock config file %s", path)
	}
	defer func() { _ = held.Release() }()
	if _, err := os.Lstat(path); err == nil {
		return "", failure.New(failure.Conflict, "config file %s exists already", path).WithHint("edit it, or use valetkey config set")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", failure.Wrap(failure.Config, durable.Words(err), "look for config file %s", path)
	}
	if err := durable.WriteFile(path, []byte(Starter()), 0o600); err != nil {
		return "", failure.Wrap(failure.Config, durable.Words(err), "write config file %s", path)
	}
	return path, nil
}

// examples are values for settings without a default.
var examples = map[Kind]string{
	Text: "name", Address: "host.example.com", Path: "/path/to/file",
	List: "[host.example.com]", Argv: "[pass, show, vms]",
}

// Starter is the text of a new config file. Without the # at the beginning of
// its lines it is a config file with every setting that is no secret.
func Starter() string {
	var b strings.Builder
	b.WriteString(`# Config file of valetkey. Remove the # at the beginning of a line to use it.
#
# Flags, VALETKEY_ variables and the variables of VMS, Vault and AWS go before
# this file. Passwords and tokens are better kept out of it: see
# vms.password_command, or log in with valetkey login.
#
#default_profile: default
#profiles:
#  default:
`)
	open := []string{}
	for _, row := range table {
		if row.Outside || row.Secret {
			continue
		}
		parts := strings.Split(row.Name, ".")
		sections := parts[:len(parts)-1]
		for depth, section := range sections {
			if depth < len(open) && open[depth] == section {
				continue
			}
			b.WriteString("#" + indent(depth) + section + ":\n")
			open = append(open[:depth:depth], section)
		}
		open = open[:len(sections)]
		value := row.Default
		switch {
		case row.Name == "vms.api_version":
			value = "v5"
		case row.check != nil:
			value = "sha256//" + strings.Repeat("A", 43) + "="
		case value == "":
			value = examples[row.Kind]
		}
		help := row.Help
		if row.Kind == Enum {
			help += ": " + strings.Join(row.Choices, ", ")
		}
		b.WriteString("#" + indent(len(sections)) + "# " + help + "\n")
		b.WriteString("#" + indent(len(sections)) + parts[len(parts)-1] + ": " + value + "\n")
	}
	return b.String()
}

func indent(depth int) string { return strings.Repeat("  ", depth+2) }
