package durable

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
)

// MachineID names this machine in 32 hexadecimal digits: the same for all its
// users and after a reboot, different from every other machine's. What the
// system calls itself goes in with the host name, since cloned images share
// the former; it comes out hashed, so that nothing else can be derived from it.
//
// It serves homes that machines share over a network: what another machine
// left there must not be taken for our own.
func MachineID() (string, error) {
	host, err := os.Hostname()
	own := systemID()
	if own == "" && (err != nil || host == "") {
		return "", errors.Join(errors.New("this machine has neither an id nor a host name"), err)
	}
	sum := sha256.Sum256([]byte("valetkey machine\x00" + own + "\x00" + host))
	return hex.EncodeToString(sum[:16]), nil
}
