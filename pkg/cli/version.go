package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/valetkey/valetkey/pkg/render"
)

type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) versionCmd() *cobra.Command {
	return annotate(&cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  valetkey version\n  valetkey version -o json --jq .version",
		RunE: func(*cobra.Command, []string) error {
			v := a.version()
			return a.print(render.Text(v, fmt.Sprintf("valetkey %s (%s, %s)", v.Version, v.Go, v.Platform)))
		},
	}, anyConfigAnnotation, "yes")
}

func (a *app) version() versionInfo {
	v := versionInfo{Version: a.proc.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" {
			v.Version = build.Main.Version
		}
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	return v
}
