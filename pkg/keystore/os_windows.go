package keystore

import (
	"errors"

	"golang.org/x/sys/windows"
)

const (
	ringName   = "Credential Manager"
	unlockHint = "log in to Windows on this machine"
)

type system struct{ plain }

// systemReason reads the codes of the Credential Manager.
func systemReason(err error) Reason {
	switch {
	case errors.Is(err, windows.ERROR_NO_SUCH_LOGON_SESSION): // a network logon such as ssh has no credential set
		return Absent
	case errors.Is(err, windows.RPC_X_BAD_STUB_DATA): // what it says of a blob that is too large
		return TooLarge
	}
	return Denied
}
