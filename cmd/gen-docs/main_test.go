package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/valetkey/valetkey/pkg/cli"
)

func TestDocsAreFresh(t *testing.T) {
	differ, err := stale("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(differ) > 0 {
		t.Errorf("run make docs:\n  %s", strings.Join(differ, "\n  "))
	}
}

// Every command explains itself with an example, and every flag has a sentence.
func TestEveryCommandIsDocumented(t *testing.T) {
	root := cli.Command()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q", cmd.CommandPath(), cmd.Short)
		}
		if !strings.Contains(cmd.Example, "  ") {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		check := func(f *pflag.Flag) {
			if _, text := pflag.UnquoteUsage(f); len(text) < 8 {
				t.Errorf("%s: flag --%s says %q", cmd.CommandPath(), f.Name, text)
			}
		}
		cmd.LocalFlags().VisitAll(check)
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
}
