// Command gen-docs writes man/, completions/ and docs/reference/ from the
// command tree and the table of settings. `make docs` runs it; a test fails when
// what is committed differs from what it would write.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/valetkey/valetkey/pkg/cli"
	"github.com/valetkey/valetkey/pkg/settings"
)

func main() {
	root := flag.String("root", ".", "the `folder` to write into")
	flag.Parse()
	if err := write(*root); err != nil {
		fmt.Fprintln(os.Stderr, "gen-docs:", err)
		os.Exit(1)
	}
}

// folders hold generated files and nothing else.
var folders = []string{"man", "completions", filepath.Join("docs", "reference")}

func write(root string) error {
	files, err := generate()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := os.RemoveAll(filepath.Join(root, folder)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil { //nolint:gosec // documentation is for everybody
			return err
		}
	}
	return nil
}

// generate returns the content of every file by its path.
func generate() (map[string][]byte, error) {
	root := cli.Command()
	files := map[string][]byte{}
	for _, cmd := range commands(root) {
		files["man/"+pageName(cmd)+".1"] = manPage(cmd)
		files["docs/reference/"+pageName(cmd)+".md"] = markdownPage(cmd)
	}
	files["docs/reference/settings.md"] = settingsPage()
	files["docs/reference/README.md"] = indexPage(root)
	for name, gen := range map[string]func(*bytes.Buffer) error{
		"valetkey.bash": func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"_valetkey":     func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"valetkey.fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
		"valetkey.ps1":  func(b *bytes.Buffer) error { return root.GenPowerShellCompletionWithDesc(b) },
	} {
		var b bytes.Buffer
		if err := gen(&b); err != nil {
			return nil, err
		}
		files["completions/"+name] = b.Bytes()
	}
	return files, nil
}

// stale compares what is committed below root with what would be written.
func stale(root string) ([]string, error) {
	want, err := generate()
	if err != nil {
		return nil, err
	}
	var differ []string
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			if _, known := want[filepath.ToSlash(name)]; !known {
				differ = append(differ, name+" should not be there")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		have, err := os.ReadFile(filepath.Join(root, name)) //nolint:gosec // files of this repository
		if err != nil || !bytes.Equal(have, want[name]) {
			differ = append(differ, name+" is stale")
		}
	}
	return differ, nil
}

// commands returns the command and all below it that are shown, in order.
func commands(cmd *cobra.Command) []*cobra.Command {
	cmd.InitDefaultHelpFlag()
	list := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if !c.Hidden && !c.IsAdditionalHelpTopicCommand() {
			list = append(list, commands(c)...)
		}
	}
	return list
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// description is the long text, or the short one as a sentence.
func description(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

type flagDoc struct{ name, argument, text string }

// flagDocs tells a command's own flags before those of its settings.
func flagDocs(set *pflag.FlagSet) []flagDoc {
	return append(flagDocsOf(set, false), flagDocsOf(set, true)...)
}

func flagDocsOf(set *pflag.FlagSet, ofSettings bool) []flagDoc {
	var docs []flagDoc
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || settings.IsSetting(f) != ofSettings {
			return
		}
		argument, text := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if f.Value.Type() == "bool" {
			argument = ""
		}
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" {
			text += " (default " + d + ")"
		}
		docs = append(docs, flagDoc{name, argument, text})
	})
	return docs
}
