package keystore

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// The real probe against a bus that is not there, and one that says nothing.
func TestProbeWithoutABus(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+socket)
	for name, call := range each(NewOS(OSOptions{})) {
		if err := call(t.Context()); ReasonOf(err) != Absent {
			t.Errorf("%s without a bus: %v", name, err)
		}
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, call := range each(NewOS(OSOptions{Timeout: 30 * time.Millisecond})) {
		if err := call(t.Context()); ReasonOf(err) != TimedOut {
			t.Errorf("%s on a silent bus: %v", name, err)
		}
	}
}

func TestSecretServiceErrors(t *testing.T) {
	for name, want := range map[string]Reason{
		"org.freedesktop.Secret.Error.IsLocked":       Locked,
		"org.freedesktop.Secret.Error.NoSuchObject":   Absent,
		"org.freedesktop.DBus.Error.ServiceUnknown":   Absent,
		"org.freedesktop.DBus.Error.Spawn.ExecFailed": Absent,
		"org.freedesktop.DBus.Error.NoReply":          TimedOut,
		"org.freedesktop.DBus.Error.AccessDenied":     Denied,
		"com.example.Unheard":                         Denied,
	} {
		if got := reasonOf(dbus.Error{Name: name}); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if got := reasonOf(dbus.NewError(name, nil)); got != want {
			t.Errorf("*%s: %s, want %s", name, got, want)
		}
	}
	if got := reasonOf(errors.New("failed to unlock correct collection '/x'")); got != Locked {
		t.Errorf("a dismissed dialog: %s", got)
	}
}
