package cli

import (
	"errors"
	"os"
)

// passedOn are the signals that a child gets from us.
var passedOn = []os.Signal{os.Interrupt}

func replaceProcess(string, []string, []string) error { return errors.ErrUnsupported }

func exitCode(state *os.ProcessState) int { return state.ExitCode() }
