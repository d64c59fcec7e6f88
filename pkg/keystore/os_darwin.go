package keystore

import (
	"errors"
	"os/exec"
)

const (
	ringName   = "Keychain"
	unlockHint = "unlock the login keychain with security unlock-keychain"
)

type system struct{ plain }

// systemReason reads the exit status of security(1), which is the low byte of
// the keychain's own status.
func systemReason(err error) Reason {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return Absent // security(1) itself could not be run
	}
	switch exit.ExitCode() {
	case 36: // errSecInteractionNotAllowed (-25308): locked, and no dialog to be had, e.g. over ssh
		return Locked
	case 37, 50, 53: // no default keychain, no such keychain, not available
		return Absent
	}
	return Denied // errSecAuthFailed (51), userCanceledErr (128) and the rest
}
