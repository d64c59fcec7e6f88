package observe_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/sandbox/observe"
)

func TestOffset(t *testing.T) {
	clock := observe.Clock{Dir: t.TempDir()}
	if d, err := clock.Offset(); d != 0 || err != nil {
		t.Errorf("no file: %v %v", d, err)
	}
	path := filepath.Join(clock.Dir, observe.ClockFile)
	for text, want := range map[string]time.Duration{
		"+25h": 25 * time.Hour, "-10m\n": -10 * time.Minute, " +7d ": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour,
		"-1.5d": -36 * time.Hour, "1h30m": 90 * time.Minute, "": 0, "0s": 0,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := clock.Offset(); d != want || err != nil {
			t.Errorf("%q: %v %v", text, d, err)
		}
	}
	for _, text := range []string{"25", "tomorrow", "+", "1000000h", "-1000000d", "NaNd", "Infd", "d", "1h d", "+-1h"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := clock.Offset(); d != 0 || !failure.Is(err, failure.Config) {
			t.Errorf("%q: %v %v", text, d, err)
		}
		if off := time.Until(clock.Now()); off > time.Minute || off < -time.Minute {
			t.Errorf("%q moves the clock by %v", text, off)
		}
	}
}
