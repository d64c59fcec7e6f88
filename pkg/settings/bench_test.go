package settings_test

import (
	"testing"

	"github.com/valetkey/valetkey/pkg/settings"
)

// What a warm credential-process asks of this package.
func BenchmarkWarm(b *testing.B) {
	env := map[string]string{"HOME": b.TempDir(), "VAST_VIP": "vms.example.com", "VMS_USER": "alice", "VALETKEY_STORE": "file"}
	for b.Loop() {
		s := settings.New(settings.Input{Env: env})
		if _, err := s.Global(); err != nil {
			b.Fatal(err)
		}
		if _, err := s.VMS(); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Keys(); err != nil {
			b.Fatal(err)
		}
		_ = s.Clock()()
	}
}
