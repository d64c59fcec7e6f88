//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package terminal

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)

// maxLine is the longest line the kernel passes on, its end included; it drops
// what is typed beyond.
const maxLine = 1024
