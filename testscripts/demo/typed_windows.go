package main

import (
	"os"
	"strings"
)

// typed pipes the answer: a pseudo-terminal is a Unix thing.
func (s *story) typed(answer string, args ...string) {
	if s.err != nil {
		return
	}
	cmd := s.command(append(args, "--stdin")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(answer+"\n"), os.Stdout, os.Stdout
	s.fail(cmd.Run(), args)
}
