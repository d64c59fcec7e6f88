package settings_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/settings"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "2d": 2 * day, "1w": 7 * day, "1w2d12h": 9*day + 12*time.Hour,
		"1.5d": 36 * time.Hour, "0.5w": 84 * time.Hour, "+25h": 25 * time.Hour, "-1h": -time.Hour, "-1d": -day, "1500ms": 1500 * time.Millisecond,
		"0s": 0, "15000w": 15000 * 7 * day, "10µs": 10 * time.Microsecond,
	} {
		if got, err := settings.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "60", "1.5", "-5", "+", "-", "d", "w", "1y", "1 h", " 1h", "1h ", "1h30", "1d-2h", "h1", "1dd", "1..5d", ".d", "1e3s", "١d",
		"16000w", "200000d", "2562048h", "15250w1000h", "99999999999999999999w", "1D", "1H", strings.Repeat("9", 1000) + "d",
	} {
		if got, err := settings.ParseDuration(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
	if _, err := settings.ParseDuration("60"); !strings.Contains(err.Error(), "needs a unit") {
		t.Errorf("a bare number: %v", err)
	}
}

func TestParseDurationAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// What Go prints is read back unchanged.
		d := time.Duration(rapid.Int64Range(-1<<62, 1<<62).Draw(t, "d"))
		if got, err := settings.ParseDuration(d.String()); err != nil || got != d {
			t.Fatalf("%v: %v, %v", d, got, err)
		}
		w, days, h := rapid.IntRange(0, 1000).Draw(t, "w"), rapid.IntRange(0, 1000).Draw(t, "d"), rapid.IntRange(0, 1000).Draw(t, "h")
		got, err := settings.ParseDuration(fmt.Sprintf("%dw%dd%dh", w, days, h))
		if want := time.Duration(((w*7+days)*24 + h)) * time.Hour; err != nil || got != want {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	})
}
