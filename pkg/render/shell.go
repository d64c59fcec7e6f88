package render

import (
	"strings"

	"al.essio.dev/pkg/shellescape"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Shell is a dialect in which variables are set.
type Shell string

// The dialects.
const (
	Posix      Shell = "posix"
	Fish       Shell = "fish"
	PowerShell Shell = "powershell"
)

// Shells lists the dialects for help and completion.
var Shells = []string{string(Posix), string(Fish), string(PowerShell)}

// ParseShell checks the name of a dialect; an unknown one is failure.Usage.
func ParseShell(name string) (Shell, error) {
	for _, s := range Shells {
		if s == name {
			return Shell(s), nil
		}
	}
	return "", failure.New(failure.Usage, "unknown shell %q", name).WithHint("--shell takes %s", strings.Join(Shells, ", "))
}

// Export returns the line that sets a variable in the shell and its children.
// Any value survives but one with a NUL, which no variable can hold.
func (s Shell) Export(name, value string) string {
	switch s {
	case Fish:
		return "set -gx " + name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'\n"
	case PowerShell:
		// PowerShell takes typographic quotes for plain ones, so they are doubled too.
		return "$env:" + name + " = '" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(value) + "'\n"
	}
	return "export " + name + "=" + shellescape.Quote(value) + "\n"
}

// Unset returns the line that removes a variable.
func (s Shell) Unset(name string) string {
	switch s {
	case Fish:
		return "set -e " + name + "\n"
	case PowerShell:
		return "Remove-Item Env:" + name + " -ErrorAction SilentlyContinue\n"
	}
	return "unset " + name + "\n"
}
