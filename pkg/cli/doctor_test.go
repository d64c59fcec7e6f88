package cli

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/doctor"
)

// The servers of a sandbox move with valetkey's own clock, so a server of its
// own tells a wrong time here.
func TestCheckClock(t *testing.T) {
	for name, c := range map[string]struct {
		ahead time.Duration
		want  doctor.Severity
		says  string
	}{
		"right":             {0, "", ""},
		"a minute ahead":    {time.Minute, doctor.Warning, "ahead of"},
		"ten minutes ahead": {10 * time.Minute, doctor.Error, "ahead of"},
		"ten behind":        {-10*time.Minute - 30*time.Second, doctor.Error, "10 minutes behind"},
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodHead {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			w.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusForbidden)
		}))
		v := visitServer(context.Background(), server.Client(), server.URL, time.Now)
		server.Close()
		if v.err != nil || len(v.chains) == 0 {
			t.Fatalf("%s: %v, %d chains", name, v.err, len(v.chains))
		}
		d := &checkup{visits: map[string]visit{"vms": v}}
		found, err := d.checkClock("vms")
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want == "" && len(found) == 0:
		case len(found) != 1 || found[0].Severity != c.want || !strings.Contains(found[0].Message, c.says):
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// A server that tells no time, and one that was not reached, are not judged.
func TestCheckClockUnknown(t *testing.T) {
	d := &checkup{visits: map[string]visit{"vms": {}}}
	for _, group := range []string{"vms", "s3"} {
		if found, err := d.checkClock(group); err != nil || len(found) > 0 {
			t.Errorf("%s: %v %v", group, found, err)
		}
	}
}

func TestSlots(t *testing.T) {
	a, b := accesskey.Remote{AccessKey: "A", Enabled: true}, accesskey.Remote{AccessKey: "B"}
	retiring := []accesskey.Key{{AccessKey: "A", State: accesskey.Retiring}}
	for name, c := range map[string]struct {
		remote []accesskey.Remote
		joined []accesskey.Key
		want   doctor.Severity
	}{
		"none":            {nil, nil, ""},
		"one":             {[]accesskey.Remote{a}, nil, ""},
		"both":            {[]accesskey.Remote{a, b}, nil, doctor.Warning},
		"one is retiring": {[]accesskey.Remote{a, b}, retiring, doctor.Info},
	} {
		var got doctor.Severity
		if found := slots(c.remote, c.joined); len(found) > 0 {
			got = found[0].Severity
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for stored, works := range map[string]bool{"A": true, "B": false, "C": false} {
		if found := alive(stored, []accesskey.Remote{a, b}); works != (len(found) == 0) {
			t.Errorf("%s: %+v", stored, found)
		}
	}
}

func TestPatience(t *testing.T) {
	for line, want := range map[string]string{
		"v credential-process --timeout 5s":               "",
		"v --timeout=3s credential-process":               "",
		"v credential-process --timeout 10s":              "Rust",
		"v credential-process --timeout 90s":              "Go",
		"v credential-process --timeout":                  "Rust", // what cannot be read says nothing
		"v --timeout 90s credential-process --timeout 2s": "",
	} {
		a := newApp(context.Background(), Process{Args: []string{"doctor"}})
		if err := a.prepare(a.doctor()); err != nil && a.global.Timeout.Duration() == 0 {
			t.Fatal(err)
		}
		d := &checkup{app: a}
		found := d.patience(strings.Fields(line))
		switch {
		case want == "" && len(found) == 0:
		case len(found) != 1 || found[0].Severity != doctor.Info || !strings.Contains(found[0].Message, want):
			t.Errorf("%s: %+v, want %q", line, found, want)
		}
	}
}
