//go:build !linux && !darwin && !windows

package keystore

const (
	ringName   = "keyring"
	unlockHint = "unlock the keyring"
)

type system struct{ plain }

func systemReason(error) Reason { return Absent }
