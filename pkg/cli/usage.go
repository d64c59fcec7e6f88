package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/valetkey/valetkey/pkg/settings"
)

// usage is the lower part of a help text: what can be typed. A command's own
// flags come before those of its settings, and global flags come last.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n  " + cmd.UseLine() + "\n")
	if cmd.HasAvailableSubCommands() {
		if !strings.Contains(cmd.Use, " ") {
			b.Reset()
			b.WriteString("Usage:\n  " + cmd.CommandPath() + " COMMAND\n")
		}
		commandList(&b, cmd)
	}
	if cmd.Example != "" {
		b.WriteString("\nExamples:\n" + cmd.Example + "\n")
	}
	own, set := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags, set.SortFlags = false, false
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if settings.IsSetting(f) && cmd.HasParent() {
			set.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	flagList(&b, "Flags", own)
	flagList(&b, "Settings", set)
	flagList(&b, "Global flags", cmd.InheritedFlags())
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n" + cmd.CommandPath() + " COMMAND --help explains a command.\n")
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}

func commandList(b *strings.Builder, cmd *cobra.Command) {
	width := 0
	for _, c := range cmd.Commands() {
		width = max(width, len(c.Name()))
	}
	list := func(title, group string) {
		first := true
		for _, c := range cmd.Commands() {
			if c.GroupID != group || !c.IsAvailableCommand() {
				continue
			}
			if first {
				b.WriteString("\n" + title + "\n")
				first = false
			}
			fmt.Fprintf(b, "  %-*s  %s\n", width, c.Name(), c.Short)
		}
	}
	for _, g := range cmd.Groups() {
		list(g.Title, g.ID)
	}
	if len(cmd.Groups()) == 0 {
		list("Commands:", "")
		return
	}
	list("More:", "")
	b.WriteString("\nTopics (valetkey help TOPIC):\n")
	for _, c := range cmd.Commands() {
		if c.IsAdditionalHelpTopicCommand() {
			fmt.Fprintf(b, "  %-*s  %s\n", width, c.Name(), c.Short)
		}
	}
}

// lineWidth is how wide help is written: it reads well on any screen and in pipes.
const lineWidth = 100

func flagList(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	type line struct{ name, text string }
	var lines []line
	width := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		argument, text := pflag.UnquoteUsage(f)
		name := "      --" + f.Name
		if f.Shorthand != "" {
			name = "  -" + f.Shorthand + ", --" + f.Name
		}
		if argument != "" && f.Value.Type() != "bool" {
			name += " " + argument
		}
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" {
			text += " (default " + d + ")"
		}
		lines = append(lines, line{name, text})
		width = max(width, len(name))
	})
	b.WriteString("\n" + title + ":\n")
	for _, l := range lines {
		fmt.Fprintf(b, "%-*s   %s\n", width, l.name, wrap(l.text, width+3))
	}
}

// wrap breaks text that begins behind an indentation, at words.
func wrap(text string, indent int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > lineWidth:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
