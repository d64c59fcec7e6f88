package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/cli"
	"github.com/valetkey/valetkey/pkg/settings"
)

// manDate stands in the footer of every page. It changes with the text of a release.
const manDate = "2026-12-01"

// manPage writes a page with the macros of man(7).
func manPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	name := pageName(cmd)
	fmt.Fprintf(&b, ".TH %s 1 %s valetkey \"valetkey manual\"\n", roff(strings.ToUpper(name)), manDate)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(lowerFirst(cmd.Short)))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.CommandPath()))
	if rest := strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath()); rest != "" {
		fmt.Fprintf(&b, "%s\n", roff(strings.TrimSpace(rest)))
	} else if cmd.HasSubCommands() {
		b.WriteString("COMMAND\n")
	}
	b.WriteString(".SH DESCRIPTION\n")
	paragraphs(&b, description(cmd))
	if subs := cmd.Commands(); len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, c := range subs {
			if c.Hidden || c.IsAdditionalHelpTopicCommand() {
				continue
			}
			fmt.Fprintf(&b, ".TP\n.B %s\n%s.\n", roff(c.Name()), roff(c.Short))
		}
	}
	manFlags(&b, "OPTIONS", flagDocs(cmd.NonInheritedFlags()))
	manFlags(&b, "GLOBAL OPTIONS", flagDocs(cmd.InheritedFlags()))
	if cmd.Example != "" {
		b.WriteString(".SH EXAMPLES\n")
		preformatted(&b, cmd.Example)
	}
	if !cmd.HasParent() {
		manEnvironment(&b)
		b.WriteString(".SH EXIT STATUS\n")
		paragraphs(&b, cli.ExitCodes())
	}
	b.WriteString(".SH SEE ALSO\n")
	var see []string
	if cmd.HasParent() {
		see = append(see, pageName(cmd.Parent()))
	}
	for _, c := range cmd.Commands() {
		if !c.Hidden && !c.IsAdditionalHelpTopicCommand() {
			see = append(see, pageName(c))
		}
	}
	for i, s := range see {
		comma := ","
		if i == len(see)-1 {
			comma = ""
		}
		fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(s), comma)
	}
	return b.Bytes()
}

func manFlags(b *bytes.Buffer, title string, docs []flagDoc) {
	if len(docs) == 0 {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	for _, d := range docs {
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff(d.name))
		if d.argument != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(d.argument))
		}
		b.WriteByte('\n')
		flow(b, d.text)
	}
}

func manEnvironment(b *bytes.Buffer) {
	b.WriteString(".SH ENVIRONMENT\n")
	flow(b, "A flag wins over a variable, a variable over the profile in the configuration file. An empty variable counts as not set.")
	for _, row := range settings.Rows() {
		if len(row.Variables()) == 0 {
			continue
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR\n", roff(strings.Join(row.Variables(), ", ")))
		flow(b, row.Help+".")
		if row.Secret {
			b.WriteString("A secret.\n")
		}
	}
	for _, v := range [][2]string{
		{"NO_COLOR, CLICOLOR_FORCE, TERM=dumb", "Colour off, on, off."},
		{"HTTPS_PROXY, NO_PROXY", "The proxy of all connections, and the hosts that need none."},
	} {
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR\n%s\n", roff(v[0]), roff(v[1]))
	}
}

// paragraphs writes running text; indented lines are kept as they are.
func paragraphs(b *bytes.Buffer, text string) {
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(p, "  ") {
			preformatted(b, p)
			continue
		}
		flow(b, p)
	}
}

// flow writes running text in lines of at most 78 bytes.
func flow(b *bytes.Buffer, s string) {
	length := 0
	for _, word := range strings.Fields(s) {
		word = roff(word)
		switch {
		case length == 0:
		case length+1+len(word) > 78:
			b.WriteByte('\n')
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	b.WriteByte('\n')
}

func preformatted(b *bytes.Buffer, text string) {
	b.WriteString(".nf\n.RS\n")
	for l := range strings.SplitSeq(text, "\n") {
		b.WriteString(roff(strings.TrimPrefix(l, "  ")) + "\n")
	}
	b.WriteString(".RE\n.fi\n")
}

// roff escapes text for man(7): backslashes, hyphens that are to be copied, and
// a first byte that would make the line a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, "`", `\(ga`, `~`, `\(ti`, `^`, `\(ha`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func lowerFirst(s string) string {
	if len(s) > 1 && strings.ToUpper(s[:2]) != s[:2] {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
