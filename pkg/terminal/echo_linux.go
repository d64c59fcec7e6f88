package terminal

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)

// maxLine is the longest line the kernel passes on, its end included; it drops
// what is typed beyond without a word.
const maxLine = 4096
