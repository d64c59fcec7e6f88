package cli

import (
	"errors"
	"os"
)

// passedOn are the signals that would end us before the child. It gets them
// itself: Ctrl-C goes to every program of the console.
func passedOn() []os.Signal { return []os.Signal{os.Interrupt} }

func sentToGroup(os.Signal) bool { return true }

func replaceProcess(string, []string, []string) error { return errors.ErrUnsupported }

func exitCode(state *os.ProcessState) int { return state.ExitCode() }
