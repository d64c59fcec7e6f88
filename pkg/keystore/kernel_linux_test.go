package keystore

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/failure"
)

// kernelStore is a store whose keys cannot be mistaken for a person's own, and
// which leaves none behind. Where the kernel keyring is closed, as in most
// containers, the tests that need it fail.
func kernelStore(t *testing.T) *Kernel {
	s := NewKernel()
	s.prefix = fmt.Sprintf("valetkey-test-%d-%s:", os.Getpid(), t.Name())
	t.Cleanup(func() {
		for _, n := range append(hostileNames(), "item", "contended", "i", "vms.example.com:8443/-/alice") {
			if id, err := unix.KeyctlSearch(userRing, userType, s.key(n), 0); err == nil {
				_ = unlink(id)
			}
		}
	})
	return s
}

func kernelKind(t *testing.T) map[string]kind {
	s := kernelStore(t)
	return map[string]kind{"kernel": fromRole(t, "kernel|"+s.prefix)}
}

func kernelOf(prefix string) Store {
	s := NewKernel()
	s.prefix = prefix
	return s
}

// inChild runs this very test again in another process and reports true there.
// The child is started by a thread that prepare has changed, and is as it is:
// sessions and filters of system calls are those of the starting thread.
func inChild(t *testing.T, prepare func() error, env ...string) bool {
	t.Helper()
	if os.Getenv("KEYSTORE_TEST_CHILD") != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1") //nolint:gosec // this test itself
	cmd.Env = append(append(os.Environ(), "KEYSTORE_TEST_CHILD=1"), env...)
	var out []byte
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := prepare()
		if err == nil {
			out, err = cmd.CombinedOutput()
		}
		done <- err
	}()
	if err := <-done; err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("in the other process: %v\n%s", err, out)
	}
	return false
}

// otherSession joins a session that does not link the user keyring, as su,
// sudo, ssh and cron may make them.
func otherSession() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	return err
}

// container makes every call to a keyring fail, as a container's filter does.
func container(answer unix.Errno) func() error {
	return func() error {
		load := unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS} // the number of the call
		filter := []unix.SockFilter{
			load,
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_KEYCTL, Jt: 2},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_ADD_KEY, Jt: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(answer)},
		}
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} //nolint:gosec // five
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0) //nolint:gosec // the call wants the address
	}
}

func TestKernelBehindAFilter(t *testing.T)   { behindFilter(t, unix.EPERM, "seccomp") }
func TestKernelWithoutKeyrings(t *testing.T) { behindFilter(t, unix.ENOSYS, "no keyrings") }

func behindFilter(t *testing.T, answer unix.Errno, words string) {
	if !inChild(t, container(answer)) {
		return
	}
	s := NewKernel()
	_, get := s.Get(t.Context(), "item")
	for name, err := range map[string]error{"get": get, "put": s.Put(t.Context(), "item", []byte("v")), "delete": s.Delete(t.Context(), "item")} {
		mustBeUnusable(t, name, err, s, Absent)
		if !strings.Contains(err.Error(), words) || !strings.Contains(failure.HintOf(err), "--store file") {
			t.Errorf("%s: %v, hint %q", name, err, failure.HintOf(err))
		}
	}
}

func TestKernelFromAnySession(t *testing.T) {
	s := NewKernel()
	if s.prefix = os.Getenv("KEYSTORE_TEST_PREFIX"); s.prefix == "" {
		s = kernelStore(t) // the child's keys are the parent's to delete
	}
	if inChild(t, otherSession, "KEYSTORE_TEST_PREFIX="+s.prefix) {
		// A key as it is between its making and its protection. It cannot be
		// read here by those who do not possess it, else this proves nothing.
		id, err := unix.AddKey(userType, s.key("item"), []byte("just made"), userRing)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, make([]byte, 9), 0); err != unix.EACCES { //nolint:errorlint // a bare errno
			t.Errorf("read without possession: %v", err)
		}
		if got, err := s.Get(t.Context(), "item"); err != nil || string(got) != "just made" {
			t.Errorf("get: %q, %v", got, err)
		}
		if err := s.Put(t.Context(), "item", []byte("from another session")); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := s.Get(t.Context(), "item"); err != nil || string(got) != "from another session" {
		t.Errorf("get: %q, %v", got, err)
	}
	if err := s.Delete(t.Context(), "item"); err != nil {
		t.Error(err)
	}
}

func TestKernelItemsAreTheOwnersAlone(t *testing.T) {
	s := kernelStore(t)
	for range 2 { // made, then updated
		if err := s.Put(t.Context(), "item", []byte("v")); err != nil {
			t.Fatal(err)
		}
		id, err := s.find("item")
		if err != nil {
			t.Fatal(err)
		}
		text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
		if want := fmt.Sprintf("user;%d;", os.Geteuid()); err != nil || !strings.HasPrefix(text, want) || !strings.Contains(text, ";002f0000;") {
			t.Errorf("described as %q, %v", text, err)
		}
	}
}

// A key of somebody else in the user's keyring is not believed, nor written to.
func TestKernelKeysOfOthers(t *testing.T) {
	s, ctx := kernelStore(t), t.Context()
	if err := s.Put(ctx, "item", []byte("v")); err != nil {
		t.Fatal(err)
	}
	other := &Kernel{prefix: s.prefix, owner: s.owner + 1}
	_, get := other.Get(ctx, "item")
	for name, err := range map[string]error{"get": get, "put": other.Put(ctx, "item", []byte("w")), "delete": other.Delete(ctx, "item")} {
		if ReasonOf(err) != Denied || !strings.Contains(err.Error(), fmt.Sprintf("belongs to user id %d", s.owner)) || !strings.Contains(failure.HintOf(err), "keyctl unlink %user:valetkey-test-") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := s.Get(ctx, "item"); err != nil || string(got) != "v" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

func TestKernelValues(t *testing.T) {
	s, ctx := kernelStore(t), t.Context()
	values := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 40), rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'x'}), 0, 3))
	rapid.Check(t, func(t *rapid.T) {
		value := values.Draw(t, "value")
		before := bytes.Clone(value)
		if err := s.Put(ctx, "item", value); err != nil || !bytes.Equal(before, value) {
			t.Fatalf("put %q: %v", value, err)
		}
		if got, err := s.Get(ctx, "item"); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("got %q, %v; want %q", got, err, value)
		}
	})
	if err := s.Put(ctx, "item", bytes.Repeat([]byte("x"), kernelLimit+1)); ReasonOf(err) != TooLarge || !strings.Contains(err.Error(), "32767") {
		t.Errorf("oversized: %v", err)
	}
	if err := s.Put(ctx, "item", bytes.Repeat([]byte{0}, kernelLimit)); ReasonOf(err) != TooLarge {
		t.Errorf("oversized by the escape: %v", err)
	}
}

func TestKernelKeysThatEnded(t *testing.T) {
	s, ctx := kernelStore(t), t.Context()
	for name, end := range map[string]func(id int) error{
		"revoked":     func(id int) error { _, err := unix.KeyctlInt(unix.KEYCTL_REVOKE, id, 0, 0, 0); return err },
		"invalidated": func(id int) error { _, err := unix.KeyctlInt(unix.KEYCTL_INVALIDATE, id, 0, 0, 0); return err },
	} {
		if err := s.Put(ctx, "item", []byte("v")); err != nil {
			t.Fatal(err)
		}
		id, err := s.find("item")
		if err != nil {
			t.Fatal(err)
		}
		if err := end(id); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(ctx, "item"); !failure.Is(err, failure.NotFound) {
			t.Errorf("get, %s: %v", name, err)
		}
		if err := s.Delete(ctx, "item"); !failure.Is(err, failure.NotFound) {
			t.Errorf("delete, %s: %v", name, err)
		}
		if err := s.Put(ctx, "item", []byte("anew")); err != nil {
			t.Errorf("put, %s: %v", name, err)
		}
		if got, err := s.Get(ctx, "item"); err != nil || string(got) != "anew" {
			t.Errorf("get after put, %s: %q, %v", name, got, err)
		}
	}
}

func TestKernelErrors(t *testing.T) {
	s := kernelStore(t)
	for err, want := range map[error]Reason{
		unix.ENOSYS: Absent, unix.EOPNOTSUPP: Absent, unix.EACCES: Denied, unix.EPERM: Denied, // this kernel answers, so it is no filter
		unix.ENOMEM: ReadOnly, unix.EINVAL: Denied, &foreign{owner: "7"}: Denied,
	} {
		got := s.trouble(err, "read", "i")
		if ReasonOf(got) != want || failure.DetailsOf(got)["store"] != "kernel" || !strings.Contains(failure.HintOf(got)+fmt.Sprint(failure.DetailsOf(got)["alternatives"]), "file") {
			t.Errorf("%v: %v", err, got)
		}
	}
	for _, err := range []error{unix.ENOKEY, unix.EKEYEXPIRED, unix.EKEYREVOKED, unix.ENOENT} {
		if got := s.trouble(err, "read", "i"); !failure.Is(got, failure.NotFound) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestKernelQuota(t *testing.T) {
	const users = "    0:     9 8/8 3/1000000 40/25000000\n 1000:   200 199/199 200/200 19000/20000\n"
	if got, want := quotaIn(users, 1000), (quota{200, 200, 19000, 20000}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := quotaIn(users+"broken\n", 10); got != (quota{}) {
		t.Errorf("a user without a line: %v", got)
	}
	s := kernelStore(t)
	if err := s.overQuota(unix.EDQUOT, "i", 100); ReasonOf(err) != ReadOnly || !strings.Contains(err.Error(), "quota") || !strings.Contains(failure.HintOf(err), "sysctl") {
		t.Errorf("full: %v", err)
	}
	if err := s.overQuota(unix.EDQUOT, "i", 1<<30); ReasonOf(err) != TooLarge {
		t.Errorf("never fits: %v", err)
	}
}
