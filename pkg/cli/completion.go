package cli

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/render"
)

func (a *app) completion() *cobra.Command {
	shells := []struct {
		name, install string
		write         func(root *cobra.Command, b *bytes.Buffer) error
	}{
		{"bash", `  valetkey completion bash > ~/.local/share/bash-completion/completions/valetkey`,
			func(r *cobra.Command, b *bytes.Buffer) error { return r.GenBashCompletionV2(b, true) }},
		{"zsh", `  valetkey completion zsh > "${fpath[1]}/_valetkey"`,
			func(r *cobra.Command, b *bytes.Buffer) error { return r.GenZshCompletion(b) }},
		{"fish", `  valetkey completion fish > ~/.config/fish/completions/valetkey.fish`,
			func(r *cobra.Command, b *bytes.Buffer) error { return r.GenFishCompletion(b, true) }},
		{"powershell", `  valetkey completion powershell | Out-String | Invoke-Expression`,
			func(r *cobra.Command, b *bytes.Buffer) error { return r.GenPowerShellCompletionWithDesc(b) }},
	}
	var cmds []*cobra.Command
	for _, s := range shells {
		cmds = append(cmds, annotate(withFormats(&cobra.Command{
			Use:     s.name,
			Short:   "Print the completion script for " + s.name,
			Example: s.install,
			RunE: func(cmd *cobra.Command, _ []string) error {
				var b bytes.Buffer
				if err := s.write(cmd.Root(), &b); err != nil {
					return err
				}
				return render.Write(a.proc.Stdout, b.Bytes())
			},
		}, "table"), anyConfigAnnotation, "yes"))
	}
	return a.parent("completion", "Print a shell completion script",
		"Print the script that lets a shell complete valetkey's commands and flags.",
		"  source <(valetkey completion bash)", cmds...)
}
