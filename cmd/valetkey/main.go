// Command valetkey hands out narrow, short-lived, revocable access to data on a VAST cluster.
package main

import (
	"context"
	"os"

	"github.com/valetkey/valetkey/pkg/cli"
)

// version is set by the linker in releases.
var version string

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	keepClosedPipesQuiet()
	process := cli.Process{
		Args: os.Args[1:], Env: os.Environ(), Executable: os.Executable,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Version: version,
	}
	hideFromLibraries(process.Env)
	return cli.Main(ctx, process)
}
