package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// keepClosedPipesQuiet turns the signal of a closed standard output into an
// error of the write, which the printer takes as success. A handler, unlike
// ignoring the signal, is not inherited by the programs that valetkey starts.
func keepClosedPipesQuiet() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// hideFromLibraries removes what client libraries would read on their own.
// Settings come from one table, with one order of precedence, and the
// environment of a child program is composed from the copy in Process.
func hideFromLibraries(env []string) {
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		for _, prefix := range []string{"VAULT_", "AWS_", "BAO_"} {
			if strings.HasPrefix(name, prefix) {
				_ = os.Unsetenv(name)
			}
		}
	}
}
