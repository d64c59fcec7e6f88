package settings_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/settings"
)

func (w *world) read() string {
	w.t.Helper()
	b, err := os.ReadFile(w.path())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

func TestSetKeepsCommentsAndLayout(t *testing.T) {
	for name, c := range map[string]struct{ before, setting, value, after string }{
		"no file":     {"", "vms.address", "h", "profiles:\n  default:\n    vms:\n      address: h\n"},
		"replace":     {"# top\nprofiles:\n    default:   # four\n        team:   old   # why\n\n        job: j\n", "team", "new", "# top\nprofiles:\n    default:   # four\n        team:   new   # why\n\n        job: j\n"},
		"quoted":      {"profiles: {default: {team: 'it''s', job: \"a\\\"b\"}}\n", "job", "x", "profiles: {default: {team: 'it''s', job: x}}\n"},
		"single":      {"profiles: {default: {team: 'it''s', job: b}}\n", "team", "x", "profiles: {default: {team: x, job: b}}\n"},
		"wide runes":  {"profiles: {default: {job: äöü, team: t}}\n", "team", "x", "profiles: {default: {job: äöü, team: x}}\n"},
		"add":         {"profiles:\n  default:\n    vms:\n      address: h # c\n\n# end\n", "vms.username", "u", "profiles:\n  default:\n    vms:\n      address: h # c\n      username: u\n\n# end\n"},
		"add section": {"profiles:\n  default:\n    team: t\n  other:\n    team: u\n", "vault.auth.method", "approle", "profiles:\n  default:\n    team: t\n    vault:\n      auth:\n        method: approle\n  other:\n    team: u\n"},
		"add profile": {"default_profile: new\nprofiles:\n  old:\n    team: t\n", "team", "x", ""},
		"no newline":  {"profiles:\n  default:\n    team: t", "job", "j", "profiles:\n  default:\n    team: t\n    job: j\n"},
		"CRLF":        {"profiles:\r\n  default:\r\n    team: t\r\n", "job", "j", "profiles:\r\n  default:\r\n    team: t\r\n    job: j\r\n"},
		"comments":    {"# only\n#profiles:\n", "team", "t", "# only\n#profiles:\nprofiles:\n  default:\n    team: t\n"},
		"looks like":  {"", "team", "123", "profiles:\n  default:\n    team: \"123\"\n"},
		"bool":        {"", "vms.insecure", "yes", "profiles:\n  default:\n    vms:\n      insecure: true\n"},
		"list":        {"", "vault.redirect_hosts", "a, b", "profiles:\n  default:\n    vault:\n      redirect_hosts: [a, b]\n"},
		"argv":        {"", "vms.password_command", `["pass","a b"]`, "profiles:\n  default:\n    vms:\n      password_command: [pass, a b]\n"},
		"empty map":   {"profiles: {} # c\n", "team", "t", "profiles: # c\n  default:\n    team: t\n"},
		"null":        {"profiles:\n  default:\n", "team", "t", "profiles:\n  default:\n    team: t\n"},
		"flow":        {"profiles: {default: {team: t}}\n", "job", "j", "profiles: {default: {team: t, job: j}}\n"},
		"block text":  {"profiles:\n  default:\n    team: |-\n      t\n", "team", "x", "profiles:\n  default:\n    team: x\n"},
		"list anew":   {"profiles:\n  default:\n    vault:\n      redirect_hosts: # c\n        - a\n", "vault.redirect_hosts", "b", ""},
	} {
		w := newWorld(t)
		if c.before != "" {
			w.config(c.before)
		}
		s := w.settings()
		err := s.Set(context.Background(), c.setting, c.value)
		if name == "add profile" { // a default_profile that is nowhere yet
			c.after = "default_profile: new\nprofiles:\n  old:\n    team: t\n  new:\n    team: x\n"
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.after != "" && w.read() != c.after {
			t.Errorf("%s: %s", name, cmp.Diff(c.after, w.read()))
		}
		row, _ := settings.Find(c.setting)
		want := c.value
		switch row.Kind {
		case settings.Bool:
			want = "true"
		case settings.List:
			want = strings.ReplaceAll(want, " ", "")
		}
		if v, err := s.Lookup(c.setting); err != nil || v.Text() != want {
			t.Errorf("%s: reads back as %q, %v", name, v.Text(), err)
		}
		if info, err := os.Stat(w.path()); err != nil || info.Mode().Perm() != 0o600 && os.PathSeparator == '/' {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestSetProfileAndSecret(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	if err := w.with(map[string]string{"profile": "a.b"}).Set(ctx, "team", "t"); err != nil {
		t.Fatal(err)
	}
	if err := w.settings().Set(ctx, "profile", "a.b"); err != nil {
		t.Fatal(err)
	}
	password := "se same: #\"'\n{"
	if err := w.settings().SetSecret(ctx, "vms.password", secret.FromString(password)); err != nil {
		t.Fatal(err)
	}
	v, err := w.settings().Lookup("vms.password")
	if err != nil || v.Secret().Reveal() != password || !strings.HasPrefix(v.Source, "profile a.b (") {
		t.Errorf("password %q from %q, %v, in %s", v.Secret().Reveal(), v.Source, err, w.read())
	}
}

func TestSetRefuses(t *testing.T) {
	const before = "profiles: {default: {team: t}}\n"
	for _, c := range []struct {
		name, value string
		kind        failure.Kind
		says        string
	}{
		{"vms.adress", "h", failure.Usage, "unknown setting"},
		{"vms.password", "sesame", failure.Usage, "not taken as an argument"},
		{"vms.password=sesame", "x", failure.Usage, "vms.password= is not the name"},
		{"vms.pasword=sesame", "x", failure.Usage, "unknown setting"},
		{"debug_file", "x", failure.Usage, "cannot stand in the config file"},
		{"keys.refresh", "60", failure.Usage, "bare number"},
		{"keys.store", "cloud", failure.Usage, "not one of"},
		{"team", "", failure.Usage, "empty"},
		{"profile", "nowhere", failure.Usage, "not in"},
	} {
		w := newWorld(t)
		w.config(before)
		err := w.settings().Set(context.Background(), c.name, c.value)
		wantKind(t, err, c.kind)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
		if c.name != "profile" && !strings.Contains(c.says, "argument") { // what needs no file
			wantKind(t, w.settings().CheckValue(c.name, secret.FromString(c.value)), c.kind)
		}
		if w.read() != before {
			t.Errorf("%s: the file changed: %s", c.name, w.read())
		}
	}
	w := newWorld(t)
	w.config("profiles: [")
	wantKind(t, w.settings().Set(context.Background(), "team", "t"), failure.Config)
	if err := w.settings().SetSecret(context.Background(), "team", secret.FromString("x")); !failure.Is(err, failure.Usage) {
		t.Errorf("a secret for what is none: %v", err)
	}
	err := settings.New(settings.Input{GOOS: "linux"}).Set(context.Background(), "team", "t")
	wantKind(t, err, failure.Config)
	if !strings.Contains(failure.HintOf(err), "VALETKEY_CONFIG") {
		t.Errorf("hint %q", failure.HintOf(err))
	}
}

// Writers take turns: none overwrites what another has just written.
func TestSetInParallel(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all := map[string]string{"team": "t", "job": "j", "vms.address": "h", "vms.username": "u", "vault.mount": "m", "s3.region": "r"}
	var wait sync.WaitGroup
	for name, value := range all {
		wait.Go(func() {
			if err := w.settings().Set(ctx, name, value); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for name, want := range all {
		if v, err := w.settings().Lookup(name); err != nil || v.Text() != want {
			t.Errorf("%s: %q, %v in\n%s", name, v.Text(), err, w.read())
		}
	}
}

// Whatever is set, in whatever order, reads back, and the comment stays.
func TestSetReadsBack(t *testing.T) {
	rows := []string{"team", "job", "vms.tenant", "vms.address", "vault.auth.role", "vault.namespace", "s3.region"}
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		w.config("# keep me\n")
		want := map[string]string{}
		for range rapid.IntRange(1, 6).Draw(t, "n") {
			name := rapid.SampledFrom(rows).Draw(t, "name")
			value := rapid.StringMatching(`[a-z0-9:#'"{}\[\]&*!|>%,?\\~äß-]{1,12}`).Draw(t, "value")
			if err := w.settings().Set(context.Background(), name, value); err != nil {
				t.Fatalf("%s=%q: %v", name, value, err)
			}
			want[name] = value
		}
		s := w.settings()
		for name, value := range want {
			if v, err := s.Lookup(name); err != nil || v.Text() != value {
				t.Fatalf("%s: %q, %v, want %q", name, v.Text(), err, value)
			}
		}
		if !strings.HasPrefix(w.read(), "# keep me\n") {
			t.Fatalf("the comment is gone: %s", w.read())
		}
	})
}

func TestInit(t *testing.T) {
	w := newWorld(t)
	path, err := w.settings().Init(context.Background())
	if err != nil || path != w.path() {
		t.Fatal(path, err)
	}
	list, err := w.settings().List()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Set {
			t.Errorf("the starter sets %s", v.Name)
		}
	}
	_, err = w.settings().Init(context.Background())
	wantKind(t, err, failure.Conflict)

	// Uncommented, it holds every setting that is no secret.
	var text strings.Builder
	_, body, _ := strings.Cut(settings.Starter(), "#\n#default_profile")
	for line := range strings.Lines("#default_profile" + body) {
		text.WriteString(strings.TrimPrefix(line, "#"))
	}
	w.config(text.String())
	list, err = w.settings().List()
	if err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	for _, v := range list {
		row, _ := settings.Find(v.Name)
		if v.Set == (row.Secret || row.Outside && v.Name != "profile") {
			t.Errorf("%s: set %v", v.Name, v.Set)
		}
	}
	if _, err := w.settings().Keys(); err != nil {
		t.Error(err)
	}
}
