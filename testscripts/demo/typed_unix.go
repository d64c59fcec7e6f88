//go:build !windows

package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/creack/pty"
)

// typed runs a command on a terminal of its own and types the answer to its prompt.
func (s *story) typed(answer string, args ...string) {
	if s.err != nil {
		return
	}
	cmd := s.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, nil, nil
	terminal, err := pty.Start(cmd)
	if err != nil {
		s.err = fmt.Errorf("start a terminal: %w", err)
		return
	}
	defer func() { _ = terminal.Close() }()
	var seen strings.Builder
	buffer := make([]byte, 1024)
	for asked := false; ; {
		n, err := terminal.Read(buffer)
		seen.Write(buffer[:n])
		_, _ = os.Stdout.Write(buffer[:n])
		if !asked && strings.HasSuffix(strings.TrimRight(seen.String(), " "), ":") {
			asked = true
			fmt.Print("(typing) ")
			if _, err := io.WriteString(terminal, answer+"\n"); err != nil {
				s.err = err
				return
			}
		}
		if err != nil {
			break // the terminal closes when the command ends
		}
	}
	s.fail(cmd.Wait(), args)
	if s.err == nil && strings.Contains(seen.String(), answer) {
		s.err = fmt.Errorf("the secret was shown on the terminal")
	}
}
