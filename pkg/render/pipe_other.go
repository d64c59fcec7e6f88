//go:build !windows

package render

func isClosedPipe(error) bool { return false }
