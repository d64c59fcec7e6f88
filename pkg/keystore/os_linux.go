package keystore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

const (
	ringName   = "Secret Service"
	unlockHint = "unlock the login keyring, e.g. by logging in to the desktop or with gnome-keyring-daemon --unlock"
)

// Names of the Secret Service API of freedesktop.org.
const (
	ssName       = "org.freedesktop.secrets"
	ssPath       = dbus.ObjectPath("/org/freedesktop/secrets")
	ssLogin      = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	ssCollection = "org.freedesktop.Secret.Collection"
	ssService    = "org.freedesktop.Secret.Service"
)

// system is the Secret Service. The library would start a bus of its own where
// there is none, open a dialog where a collection is locked and wait for it
// without end, and tell none of this apart; hence the probe.
type system struct{ plain }

// Probe looks for the bus, the service and an unlocked collection. It only
// reads. It looks at the collection that the library will use: "login" if it
// is there, else the default.
func (system) Probe(ctx context.Context) error {
	conn, err := dbus.SessionBusPrivateNoAutoStartup(dbus.WithContext(ctx))
	if err != nil {
		return &refusal{Absent, fmt.Errorf("no D-Bus session: %w", err)}
	}
	defer conn.Close()
	if err := conn.Auth(nil); err != nil {
		return &refusal{Absent, fmt.Errorf("no D-Bus session: %w", err)}
	}
	if err := conn.Hello(); err != nil {
		return &refusal{Absent, fmt.Errorf("no D-Bus session: %w", err)}
	}
	path, err := collection(ctx, conn)
	if err != nil {
		return err
	}
	var locked bool
	if err := property(ctx, conn, path, ssCollection, "Locked", &locked); err != nil {
		return err
	}
	if locked {
		return &refusal{Locked, errors.New("the login keyring is locked")}
	}
	return nil
}

// collection finds the collection that items go to.
func collection(ctx context.Context, conn *dbus.Conn) (dbus.ObjectPath, error) {
	var all []dbus.ObjectPath
	if err := property(ctx, conn, ssPath, ssService, "Collections", &all); err != nil {
		return "", err
	}
	for _, path := range all {
		if path == ssLogin {
			return path, nil
		}
	}
	var path dbus.ObjectPath
	err := conn.Object(ssName, ssPath).CallWithContext(ctx, ssService+".ReadAlias", 0, "default").Store(&path)
	if err != nil {
		return "", err
	}
	if path == "/" {
		return "", &refusal{Absent, errors.New("the service has no default keyring to put items into")}
	}
	return path, nil
}

func property(ctx context.Context, conn *dbus.Conn, path dbus.ObjectPath, iface, name string, into any) error {
	var v dbus.Variant
	err := conn.Object(ssName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, iface, name).Store(&v)
	if err != nil {
		return err
	}
	return v.Store(into)
}

// systemReason reads the error names of D-Bus and the Secret Service; only the
// library's own text tells a dialog that was dismissed.
func systemReason(err error) Reason {
	var e dbus.Error
	if !errors.As(err, &e) {
		var p *dbus.Error
		if errors.As(err, &p) {
			e = *p
		}
	}
	switch e.Name {
	case "":
		if strings.Contains(err.Error(), "failed to unlock") {
			return Locked
		}
		return Absent // the connection broke
	case "org.freedesktop.Secret.Error.IsLocked":
		return Locked
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout", "org.freedesktop.DBus.Error.TimedOut":
		return TimedOut
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
		"org.freedesktop.DBus.Error.UnknownMethod", "org.freedesktop.DBus.Error.UnknownObject",
		"org.freedesktop.DBus.Error.UnknownInterface", "org.freedesktop.Secret.Error.NoSuchObject",
		"org.freedesktop.DBus.Error.Disconnected", "org.freedesktop.DBus.Error.NoServer":
		return Absent
	}
	if strings.HasPrefix(e.Name, "org.freedesktop.DBus.Error.Spawn.") {
		return Absent
	}
	return Denied
}
