//go:build !windows

package durable

import (
	"os"
	"strings"
)

// systemID is the id that systemd or D-Bus gave the machine; macOS has none
// that can be read without starting a program.
func systemID() string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if raw, err := os.ReadFile(path); err == nil && len(raw) < 1<<10 {
			if id := strings.TrimSpace(string(raw)); id != "" {
				return id
			}
		}
	}
	return ""
}
