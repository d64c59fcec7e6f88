//go:build !race

package accesskey

const raceEnabled = false
