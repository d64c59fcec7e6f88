package keystore

import "os"

// Kernel is the store in the user keyring of the Linux kernel: memory that
// needs no daemon, no desktop and no disk, so it works over ssh, in cron and on
// a node without a home. Use [NewKernel]. On other systems every call answers
// with reason absent.
//
// An item is a key of type "user" named valetkey: and the item, in the keyring
// @u that all processes with one real user id share, whatever session they are
// in. Only its owner may read it. Values of up to 32,767 bytes fit; the quota
// of the user (kernel.keys.maxkeys and maxbytes: 200 keys, 20,000 bytes unless
// raised) may end earlier. The calls never wait, so a context is looked at once.
//
// The persistent keyring is not used: it would be thrown away whenever nobody
// used it for three days, which is a long weekend, and many kernels lack it.
type Kernel struct {
	prefix string // of the names of keys
	owner  int    // user id that keys belong to
}

// NewKernel returns the store in the kernel's user keyring. It contacts nothing.
func NewKernel() *Kernel { return &Kernel{prefix: "valetkey:", owner: os.Geteuid()} }

// Name implements Store.
func (s *Kernel) Name() string { return "kernel" }

// Note says what a person must know who keeps a secret here. Linux has tied
// the user keyring to the user namespace since 5.3, and to the user's last
// process before.
func (s *Kernel) Note() string {
	return "the kernel keyring is memory: a reboot empties it, and so does the end of your last process in a container or on Linux before 5.3; " +
		"the secret is then gone, and its key must be deleted with valetkey keys delete"
}
