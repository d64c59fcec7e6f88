package vault

import (
	"errors"
	"net/http"

	"github.com/valetkey/valetkey/pkg/failure"
)

// ErrAnswerLost marks the error of a write that may have been done: it was sent,
// and no answer came back that decides it. A write that never left, and one that
// Vault refused, does not match.
var ErrAnswerLost = errors.New("the answer was lost")

func lost(err error) error { return failure.Mark(err, ErrAnswerLost) }

// undecided reports an answer to a write that leaves open whether it was done: a
// server or a proxy that failed on the way. A sealed or uninitialized Vault, a
// standby and a quota refuse before anything is done.
func (a *answer) undecided() bool {
	switch {
	case a.sealed(), a.status == http.StatusNotImplemented, a.says("value being too large"), a.says("exceeds allowed"):
		return false
	case !a.isVault:
		return a.status < 300 || a.status >= 500
	}
	return a.status >= 500 || a.status < 300
}
