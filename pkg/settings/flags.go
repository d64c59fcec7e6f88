package settings

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// flagAnnotation marks the flags that AddFlags made with the name of the setting.
const flagAnnotation = "valetkey_setting"

// AddFlags adds the flags of the named groups and single settings to fs, with
// help that names their variables. A name that is neither is a fault of the
// program and panics, as a flag defined twice does.
func AddFlags(fs *pflag.FlagSet, groups ...string) {
	for _, name := range groups {
		known := false
		for _, row := range table {
			if row.Group != name && row.Name != name {
				continue
			}
			known = true
			if row.Flag != "" {
				addFlag(fs, row)
			}
		}
		if !known {
			panic("settings: no group or setting " + name)
		}
	}
}

func addFlag(fs *pflag.FlagSet, row Row) {
	flag := fs.VarPF(&flagValue{row: row}, row.Flag, row.Shorthand, row.Usage())
	flag.DefValue = row.Default
	if row.Kind == Bool {
		flag.NoOptDefVal = "true"
	}
	flag.Annotations = map[string][]string{flagAnnotation: {row.Name}}
}

// Usage is the help of the setting and the variables that give it too.
func (r Row) Usage() string {
	text := r.Help
	if r.Kind == Enum {
		text += ": " + strings.Join(r.Choices, ", ")
	}
	if len(r.Variables()) > 0 {
		text += " (env " + strings.Join(r.Variables(), ", ") + ")"
	}
	return text
}

// FlagValues returns the values of those flags of AddFlags that were given.
func FlagValues(fs *pflag.FlagSet) map[string]string {
	given := map[string]string{}
	fs.Visit(func(f *pflag.Flag) {
		if name := f.Annotations[flagAnnotation]; len(name) == 1 {
			given[name[0]] = f.Value.String()
		}
	})
	return given
}

// flagValue checks a flag when it is parsed.
type flagValue struct {
	row  Row
	text string
}

func (f *flagValue) String() string { return f.text }

// Type is what help shows behind the flag; pflag treats "bool" as a switch.
func (f *flagValue) Type() string {
	switch f.row.Kind {
	case Bool:
		return "bool"
	case Duration:
		return "duration"
	case Path:
		return "file"
	case Address:
		return "address"
	}
	return "string"
}

// Set checks the value. An empty one means none, where that makes sense.
func (f *flagValue) Set(text string) error {
	empty := text == "" && !slices.Contains([]Kind{Bool, Duration, Enum}, f.row.Kind)
	if !empty && f.row.Name != "output" {
		if _, err := f.row.parse(text); err != nil {
			return err
		}
	}
	f.text = text
	return nil
}

// IsSetting reports whether AddFlags made the flag. Help tells a command's own
// flags before those of its settings.
func IsSetting(f *pflag.Flag) bool { return len(f.Annotations[flagAnnotation]) == 1 }
