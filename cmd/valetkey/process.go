package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// untilSignal returns a context that ends when somebody wants the process to end.
// A second Ctrl-C ends it at once. A terminal that is closed may send its signal
// twice, to the shell's job and to the group: the clean-up goes on. Under nohup
// that signal stays ignored.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	others := []os.Signal{syscall.SIGTERM, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		others = append(others, syscall.SIGHUP)
	}
	outer, stopOthers := signal.NotifyContext(parent, others...)
	ctx, stop := signal.NotifyContext(outer, os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, func() {
		stop()
		stopOthers()
	}
}

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
