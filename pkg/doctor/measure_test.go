package doctor_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/doctor"
)

func TestSkew(t *testing.T) {
	at := time.Date(2026, 11, 22, 17, 0, 0, 600e6, time.UTC)
	received := at.Add(200 * time.Millisecond)
	for _, c := range []struct {
		date time.Time
		want time.Duration
	}{
		{at.Truncate(time.Second), 0},                            // rounded down
		{at.Add(-time.Second).Truncate(time.Second), 0 - 600e6},  // 16:59:59.x cannot be now
		{at.Add(10 * time.Minute), 10*time.Minute - 200e6},       // ahead
		{at.Add(-10 * time.Minute), -10*time.Minute + 1000e6},    // behind
		{received.Truncate(time.Second).Add(time.Second), 200e6}, // a little ahead
	} {
		if got := doctor.Skew(c.date, at, received); got != c.want {
			t.Errorf("%s: %s, want %s", c.date, got, c.want)
		}
	}
	// A slow answer explains its own length.
	if got := doctor.Skew(at.Add(5*time.Second), at, at.Add(9*time.Second)); got != 0 {
		t.Errorf("within a slow answer: %s", got)
	}
}

func TestJudgeSkew(t *testing.T) {
	for _, c := range []struct {
		skew    time.Duration
		want    doctor.Severity
		matters bool
	}{
		{0, "", false}, {30 * time.Second, "", false}, {-30 * time.Second, "", false},
		{31 * time.Second, doctor.Warning, true}, {-31 * time.Second, doctor.Warning, true},
		{5 * time.Minute, doctor.Error, true}, {-10 * time.Minute, doctor.Error, true},
	} {
		if got, matters := doctor.JudgeSkew(c.skew); got != c.want || matters != c.matters {
			t.Errorf("%s: %q %t", c.skew, got, matters)
		}
	}
}

func TestEnding(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC)
	lives := func(from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to)}
	}
	year, soon, short, old := lives(-300*day, 65*day), lives(-340*day, 25*day), lives(-1*day, 6*day), lives(-6*day, 1*day)
	root := lives(-3000*day, 3000*day)
	for name, c := range map[string]struct {
		chains [][]*x509.Certificate
		want   *x509.Certificate
		soon   bool
	}{
		"none":                       {nil, nil, false},
		"an empty chain":             {[][]*x509.Certificate{{}}, nil, false},
		"months left":                {[][]*x509.Certificate{{year, root}}, year, false},
		"25 days of a year":          {[][]*x509.Certificate{{soon, root}}, soon, true},
		"six days of a week":         {[][]*x509.Certificate{{short, root}}, short, false},
		"one day of a week":          {[][]*x509.Certificate{{old, root}}, old, true},
		"an authority ends first":    {[][]*x509.Certificate{{year, soon, root}}, soon, true},
		"another chain lasts longer": {[][]*x509.Certificate{{year, soon}, {year, root}}, year, false},
		"ended":                      {[][]*x509.Certificate{{lives(-100*day, -day)}}, nil, true},
	} {
		got, isSoon := doctor.Ending(c.chains, now)
		if isSoon != c.soon || name != "ended" && got != c.want {
			t.Errorf("%s: %v %t", name, got, isSoon)
		}
	}
}

func TestSevere(t *testing.T) {
	errs, warnings := doctor.Severe([]doctor.Finding{{Severity: doctor.Error}, {Severity: doctor.Info}, {Severity: doctor.Warning}, {Severity: doctor.Warning}})
	if errs != 1 || warnings != 2 {
		t.Errorf("%d errors, %d warnings", errs, warnings)
	}
}
