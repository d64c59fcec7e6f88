package keystore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/valetkey/valetkey/pkg/durable"
	"github.com/valetkey/valetkey/pkg/failure"
)

const (
	userType    = "user"
	userRing    = unix.KEY_SPEC_USER_KEYRING
	kernelLimit = 32767 // bytes of payload of a key of type user

	// ownerOnly lets the owner view, read, write, search and set attributes. A
	// possessor gets nothing by possession: a program that su or sudo started
	// as somebody else may still hold the session of the owner.
	ownerOnly = 0x002f0000
)

// Get implements Store.
func (s *Kernel) Get(ctx context.Context, item string) ([]byte, error) {
	if err := begin(ctx, s.Name(), item); err != nil {
		return nil, err
	}
	id, err := s.find(item)
	if err != nil {
		return nil, s.trouble(err, "read", item)
	}
	buf := make([]byte, kernelLimit)
	defer clear(buf)
	n, err := read(id, buf)
	if err != nil {
		return nil, s.trouble(s.unlessDeleted(err, item), "read", item)
	}
	return fromPayload(buf[:min(n, len(buf))]), nil
}

// Put implements Store. The kernel replaces the payload of a key in one step.
func (s *Kernel) Put(ctx context.Context, item string, value []byte) error {
	if err := begin(ctx, s.Name(), item); err != nil {
		return err
	}
	payload := toPayload(value)
	defer clear(payload)
	if len(payload) > kernelLimit {
		return Unusable(s.Name(), TooLarge, nil, "kernel store: item %q has %d bytes, more than the %d that a key of the kernel takes", item, len(value), kernelLimit)
	}
	_, found := s.find(item)
	if found != nil && !gone(found) {
		return s.trouble(found, "write", item)
	}
	id, err := unix.AddKey(userType, s.key(item), payload, userRing)
	if err == nil {
		err = protect(id)
		if err != nil && gone(s.unlessDeleted(err, item)) {
			return nil // somebody was quick to delete what was written
		}
		if err != nil && gone(found) {
			_ = unlink(id) // nothing was there before
		}
	}
	if errors.Is(err, unix.EDQUOT) {
		return s.overQuota(err, item, len(payload))
	}
	if err != nil {
		return s.trouble(err, "write", item)
	}
	return nil
}

// Delete implements Store. The kernel overwrites the payload when the key goes.
func (s *Kernel) Delete(ctx context.Context, item string) error {
	if err := begin(ctx, s.Name(), item); err != nil {
		return err
	}
	id, err := s.find(item)
	if err == nil {
		err = unlink(id)
	}
	if err != nil {
		return s.trouble(err, "delete", item)
	}
	return nil
}

// key is the name of an item's key. The name is escaped, since /proc/keys is
// made of lines.
func (s *Kernel) key(item string) string { return s.prefix + durable.SafeName(item) }

// foreign is a key that another user put into this user's keyring.
type foreign struct{ owner string }

func (f *foreign) Error() string { return "the key belongs to user id " + f.owner }

// find returns the id of an item's key. Whoever once held the user's session
// may have put a key there that is its own: what it says is not believed, and
// nothing is written to it.
func (s *Kernel) find(item string) (int, error) {
	id, err := unix.KeyctlSearch(userRing, userType, s.key(item), 0)
	if err != nil {
		return 0, err
	}
	text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id) // type;uid;gid;permissions;name
	if err != nil {
		return 0, err
	}
	fields := strings.SplitN(text, ";", 3)
	if len(fields) < 3 || fields[1] != strconv.Itoa(s.owner) {
		return 0, &foreign{owner: strings.Join(fields[1:min(2, len(fields))], "")}
	}
	return id, nil
}

// unlessDeleted returns the error of a key, or that there is none any more: one
// that was deleted a moment ago may answer in other ways.
func (s *Kernel) unlessDeleted(err error, item string) error {
	if _, now := s.find(item); gone(now) {
		return now
	}
	return err
}

// unlink takes a key out of the user keyring.
func unlink(id int) error {
	_, err := unix.KeyctlInt(unix.KEYCTL_UNLINK, id, userRing, 0, 0)
	return err
}

// read returns the length of the payload. A key is readable for its possessor
// alone between its making and protect.
func read(id int, buf []byte) (int, error) {
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, buf, 0)
	if errors.Is(err, unix.EACCES) {
		err = possessing(func() (err error) {
			n, err = unix.KeyctlBuffer(unix.KEYCTL_READ, id, buf, 0)
			return err
		})
	}
	return n, err
}

// protect gives a key the permissions of an item.
func protect(id int) error {
	err := unix.KeyctlSetperm(id, ownerOnly)
	if errors.Is(err, unix.EACCES) { // just made
		err = possessing(func() error { return unix.KeyctlSetperm(id, ownerOnly) })
	}
	return err
}

// possessing calls f on a thread that possesses the keys of the user keyring,
// which a session made by su, sudo, ssh or cron may not. The thread has a
// keyring of its own for that and ends, with it, when f is done.
func possessing(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		_, err := unix.KeyctlInt(unix.KEYCTL_LINK, userRing, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// The kernel has no empty payloads. The empty value is a NUL byte, and a value
// that starts with one gets another in front.
func toPayload(value []byte) []byte {
	if len(value) == 0 || value[0] == 0 {
		return append([]byte{0}, value...)
	}
	return bytes.Clone(value)
}

func fromPayload(payload []byte) []byte {
	if len(payload) > 0 && payload[0] == 0 {
		payload = payload[1:]
	}
	return append([]byte{}, payload...)
}

// gone says whether the error means that there is no such key.
func gone(err error) bool {
	return errors.Is(err, unix.ENOKEY) || errors.Is(err, unix.EKEYEXPIRED) || errors.Is(err, unix.EKEYREVOKED) || errors.Is(err, unix.ENOENT)
}

// trouble gives an error of the kernel its kind and reason.
func (s *Kernel) trouble(err error, verb, item string) error {
	var planted *foreign
	switch {
	case gone(err):
		return notFound(s.Name(), item)
	case errors.As(err, &planted):
		return Unusable(s.Name(), Denied, err, "kernel store: %s %q", verb, item).
			WithHint("another user put it there; keyctl unlink %%user:%s @u takes it away", s.key(item))
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return Unusable(s.Name(), Absent, err, "kernel store: this kernel has no keyrings, or a container hides them")
	case errors.Is(err, unix.EPERM) && refusesAll():
		return Unusable(s.Name(), Absent, err, "kernel store: the kernel keyring is closed here, as most containers have it (seccomp)")
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENFILE):
		return Unusable(s.Name(), ReadOnly, err, "kernel store: %s %q: the kernel has no room", verb, item)
	}
	return Unusable(s.Name(), Denied, err, "kernel store: %s %q in the kernel keyring of the user", verb, item)
}

// refusesAll tells a filter of system calls from a refusal of one operation:
// everybody may ask for the id of the user keyring.
func refusesAll() bool {
	_, err := unix.KeyctlGetKeyringID(userRing, false)
	return errors.Is(err, unix.EPERM)
}

// overQuota tells a value that can never fit from a keyring that is full now.
func (s *Kernel) overQuota(err error, item string, size int) error {
	text, _ := os.ReadFile("/proc/key-users") // without it there are just no numbers
	q := quotaIn(string(text), s.owner)
	if q.maxBytes > 0 && size+len(s.key(item)) >= q.maxBytes {
		return Unusable(s.Name(), TooLarge, err, "kernel store: item %q has %d bytes and the quota of the user is %d (kernel.keys.maxbytes)", item, size, q.maxBytes)
	}
	full := Unusable(s.Name(), ReadOnly, err, "kernel store: write %q: the quota of the user is full", item)
	if q.maxBytes > 0 {
		full = Unusable(s.Name(), ReadOnly, err, "kernel store: write %q: the quota of the user is full (%d of %d keys, %d of %d bytes)", item, q.keys, q.maxKeys, q.bytes, q.maxBytes)
	}
	return full.WithHint("%s; or have kernel.keys.maxkeys and kernel.keys.maxbytes raised with sysctl", failure.HintOf(full))
}

type quota struct{ keys, maxKeys, bytes, maxBytes int }

// quotaIn finds the line of a user in /proc/key-users:
// "uid: usage keys/instantiated keys/maxkeys bytes/maxbytes".
func quotaIn(text string, uid int) quota {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 5 && f[0] == strconv.Itoa(uid)+":" {
			var q quota
			q.keys, q.maxKeys = pair(f[3])
			q.bytes, q.maxBytes = pair(f[4])
			return q
		}
	}
	return quota{}
}

func pair(text string) (used, most int) {
	a, b, _ := strings.Cut(text, "/")
	used, _ = strconv.Atoi(a)
	most, _ = strconv.Atoi(b)
	return used, most
}
