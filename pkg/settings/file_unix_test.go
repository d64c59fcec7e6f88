//go:build !windows

package settings_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
)

// The place in a message is what lets a person mend the file.
func TestBrokenFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, at, says, hint string }{
		"unknown key":          {"profiles:\n  x:\n    vms:\n      adrss: h\n", "4:7", `"vms.adrss"`, "did you mean address?"},
		"unknown section":      {"profiles: {x: {vmss: {address: h}}}", "1:16", `"vmss"`, "did you mean vms?"},
		"unknown at the top":   {"profile: x\n", "1:1", `"profile"`, "profiles"},
		"setting at the top":   {"vms: {address: h}\n", "1:1", `"vms"`, "profiles: NAME:"},
		"far from everything":  {"profiles: {x: {qqqqqqqq: 1}}", "1:16", "qqqqqqqq", "known here: output"},
		"dotted key":           {"profiles: {x: {vms.address: h}}", "1:16", "vms.address", "nested keys"},
		"variable only":        {"profiles: {x: {debug_file: h}}", "1:16", "debug_file", "VALETKEY_DEBUG_FILE"},
		"wrong level":          {"profiles: {x: {address: h}}", "1:16", "address", "address?"},
		"duplicate setting":    {"profiles:\n  x:\n    team: a\n    team: b\n", "4:5", "a second time; first in line 3", ""},
		"duplicate profile":    {"profiles:\n  x: {}\n  x: {}\n", "3:3", "a second time", ""},
		"mapping for a string": {"profiles: {x: {team: {a: b}}}", "1:22", "must be a string", ""},
		"list for a string":    {"profiles: {x: {team: [a]}}", "1:22", "must be a string", ""},
		"string for a mapping": {"profiles: {x: {vms: h}}", "1:21", "mapping", ""},
		"list of profiles":     {"profiles: [a]", "1:11", "mapping", ""},
		"number":               {"profiles: {x: {vms: {password: 0123}}}", "1:32", "must be a string", "quotes"},
		"date":                 {"profiles: {x: {team: 2026-01-01}}", "1:22", "must be a string", "quotes"},
		"null":                 {"profiles: {x: {team: }}", "1:22", "no value", "remove"},
		"list for a secret":    {"profiles: {x: {vault: {token: [sesame]}}}", "1:31", "must be a string", ""},
		"bool as string":       {"profiles: {x: {debug: 'true'}}", "1:23", "true or false", ""},
		"argv as string":       {"profiles: {x: {vms: {password_command: pass show}}}", "1:40", "list of strings", "pass"},
		"argv with a number":   {"profiles: {x: {vms: {password_command: [pass, 1]}}}", "1:47", "must be a string", ""},
		"number as key":        {"profiles: {1: {}}", "1:12", "not a plain string", ""},
		"mapping as key":       {"profiles: {{a: b}: {}}", "1:12", "not a plain string", ""},
		"null key":             {"profiles: {~: {}}", "1:12", "not a plain string", ""},
		"empty name":           {"profiles: {'': {}}", "1:12", "needs a name", ""},
		"anchor":               {"profiles: {x: &a {team: t}, y: *a}", "1:15", "anchors", ""},
		"anchored scalar":      {"profiles: {x: {team: &a t}}", "1:22", "anchors", ""},
		"merge key":            {"profiles:\n  y: {team: t}\n  x:\n    <<: {team: t}\n", "4:5", "not a plain string", ""},
		"second document":      {"profiles: {}\n---\nprofiles: {}\n", "2:1", "second YAML document", ""},
		"tab":                  {"profiles:\n  x:\n\t\tteam: t\n", "3:1", "broken YAML", "tabs"},
		"unclosed":             {"profiles: {x: {team: t}\n", "", "broken YAML", ""},
		"bad escape":           {"a: b\nprofiles: {x: {team: \"\\q\"}}\n", "2:1", "broken YAML", ""},
		"scalar":               {"hello", "1:1", "mapping", ""},
		"not UTF-8":            {"profiles: {x: {team: \"\xff\xfe\"}}", "", "broken YAML", ""},
		"NUL":                  {"profiles: {x: {team: \"a\x00\"}}", "", "broken YAML", ""},
		"deep":                 {strings.Repeat("[", 20000), "", "broken YAML", ""},
		"default is a list":    {"default_profile: [x]", "1:18", "must be a string", ""},
	} {
		w := newWorld(t)
		w.config(c.text)
		_, err := w.settings().Lookup("vms.tenant")
		wantKind(t, err, failure.Config)
		if err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		if !strings.Contains(err.Error(), w.path()+":"+c.at) || !strings.Contains(err.Error(), c.says) || !strings.Contains(failure.HintOf(err), c.hint) {
			t.Errorf("%s: %q, hint %q; want %s, %q, hint %q", name, err, failure.HintOf(err), c.at, c.says, c.hint)
		}
		if strings.ContainsAny(err.Error(), "\n\x00") || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %q", name, err)
		}
	}
}

func TestGoodFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "comments": "# nothing\n", "separator": "---\n", "null": "~\n", "empty mapping": "{}",
		"no profiles": "profiles:\n", "empty profile": "profiles: {default: }\n",
		"byte order mark": "\ufeffprofiles: {default: {team: t}}\n", "carriage returns": "profiles:\r\n  default:\r\n    team: t\r\n",
		"dots and spaces": "default_profile: 'a.b c'\nprofiles: {'a.b c': {team: t}, A.B: {team: u}}\n",
		"document end":    "profiles: {default: {team: t}}\n...\n",
	} {
		w := newWorld(t)
		w.config(text)
		v, err := w.settings().Lookup("team")
		if want := strings.Contains(text, "team"); err != nil || v.Set != want || want && v.Text() != "t" {
			t.Errorf("%s: %q %v", name, v.Text(), err)
		}
	}
}

func TestSizeIsBounded(t *testing.T) {
	w := newWorld(t)
	w.config("#" + strings.Repeat("x", 10<<20))
	_, err := w.settings().Lookup("team")
	wantKind(t, err, failure.Config)
	// A bomb: nine levels of nine aliases. Nothing is expanded.
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	w.config(b.String())
	_, err = w.settings().Lookup("team")
	wantKind(t, err, failure.Config)
}

func TestWhereTheFileLies(t *testing.T) {
	w := newWorld(t)
	named := filepath.Join(w.home, "named.yaml")
	w.config("profiles: {default: {team: home}}")
	w.write(filepath.Join(w.home, "xdg", "valetkey", "config.yaml"), "profiles: {default: {team: xdg}}")
	w.write(named, "profiles: {default: {team: named}}")
	check := func(want string) {
		t.Helper()
		v, err := w.settings().Lookup("team")
		if err != nil || v.Text() != want {
			t.Errorf("team %q, %v, want %q", v.Text(), err, want)
		}
	}
	check("home")
	w.env["XDG_CONFIG_HOME"] = "relative" // which the XDG rules ignore
	check("home")
	w.env["XDG_CONFIG_HOME"] = filepath.Join(w.home, "xdg")
	check("xdg")
	w.env["VALETKEY_CONFIG"] = named
	check("named")
	w.env["VALETKEY_CONFIG"] = os.DevNull
	check("")
	w.env["VALETKEY_CONFIG"] = filepath.Join(w.home, "missing.yaml")
	_, err := w.settings().Lookup("team")
	wantKind(t, err, failure.Config)
	if err == nil || !strings.Contains(err.Error(), "env VALETKEY_CONFIG") {
		t.Errorf("a missing file: %v", err)
	}
	w.env["VALETKEY_TEAM"] = "env"
	check("env") // the file is not even looked for
	w.env = map[string]string{}
	check("") // no home, no file

	// A file in the working directory is never looked for, but may be named.
	w.write(filepath.Join(w.home, "cwd", "config.yaml"), "profiles: {default: {team: cwd}}")
	if err := os.MkdirAll(filepath.Join(w.home, "cwd", "valetkey"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join(w.home, "cwd", "valetkey", "config.yaml"), "profiles: {default: {team: cwd}}")
	t.Chdir(filepath.Join(w.home, "cwd"))
	check("")
	w.env["VALETKEY_CONFIG"] = "config.yaml"
	check("cwd")
}

func TestNoHome(t *testing.T) {
	for name, variable := range map[string]string{"state.dir": "VALETKEY_STATE_DIR", "store.dir": "VALETKEY_STORE_DIR"} {
		s := settings.New(settings.Input{GOOS: "linux"})
		_, err := s.Lookup(name)
		wantKind(t, err, failure.Config)
		if !strings.Contains(failure.HintOf(err), variable) {
			t.Errorf("%s: hint %q", name, failure.HintOf(err))
		}
		if _, err := s.VMS(); err != nil {
			t.Errorf("VMS wants a home: %v", err)
		}
		s = settings.New(settings.Input{GOOS: "windows", Env: map[string]string{"LocalAppData": `C:\Users\me\AppData\Local`}})
		if v, err := s.Lookup(name); err != nil || !strings.HasPrefix(v.Text(), `C:\Users\me\AppData\Local`) {
			t.Errorf("%s on Windows: %q %v", name, v.Text(), err)
		}
	}
}

func TestPermissions(t *testing.T) {
	const plain, private = "profiles: {default: {team: t}}", "profiles: {default: {team: t}, x: {vms: {password: sesame}}}"
	check := func(w *world, what string, good bool) {
		t.Helper()
		_, err := w.settings().Lookup("team")
		if good && err != nil || !good && !failure.Is(err, failure.Config) {
			t.Errorf("%s: %v", what, err)
		}
		if !good && err != nil && !strings.Contains(err.Error(), w.home) {
			t.Errorf("%s: %v names no path", what, err)
		}
	}
	for _, c := range []struct {
		text      string
		file, dir os.FileMode
		good      bool
	}{
		{plain, 0o600, 0o700, true}, {plain, 0o644, 0o755, true}, {plain, 0o400, 0o500, true},
		{plain, 0o664, 0o700, false}, {plain, 0o602, 0o700, false}, {plain, 0o600, 0o770, false}, {plain, 0o600, 0o1777, false},
		{private, 0o600, 0o755, true}, {private, 0o640, 0o700, false}, {private, 0o604, 0o700, false},
	} {
		w := newWorld(t)
		w.config(c.text)
		if err := os.Chmod(w.path(), c.file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(w.path()), c.dir); err != nil {
			t.Fatal(err)
		}
		check(w, fmt.Sprintf("%04o in %04o, secret %v", c.file, c.dir, c.text == private), c.good)
	}

	// A link is judged by both directories that lead to the file.
	w := newWorld(t)
	target := filepath.Join(w.home, "dots", "config.yaml")
	w.write(target, plain)
	w.config("")
	if err := os.Remove(w.path()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, w.path()); err != nil {
		t.Fatal(err)
	}
	check(w, "a link", true)
	if err := os.Chmod(filepath.Dir(target), 0o777); err != nil {
		t.Fatal(err)
	}
	check(w, "a link into a directory open to all", false)

	w = newWorld(t)
	if err := os.MkdirAll(w.path(), 0o700); err != nil {
		t.Fatal(err)
	}
	check(w, "a directory", false)

	// A pipe must not hang.
	w = newWorld(t)
	w.config("")
	if err := os.Remove(w.path()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(w.path(), 0o600); err != nil {
		t.Fatal(err)
	}
	check(w, "a pipe", false)
}

func TestProfiles(t *testing.T) {
	w := newWorld(t)
	w.config("default_profile: prod\nprofiles: {prod: {team: p}, dev.1: {team: d}}")
	if list, err := w.settings().Profiles(); err != nil || !slices.Equal(list, []string{"dev.1", "prod"}) {
		t.Errorf("profiles %v, %v", list, err)
	}
	for _, c := range []struct{ flag, env, team, source string }{
		{"", "", "p", "profile prod (" + w.path() + ":2)"},
		{"dev.1", "", "d", "profile dev.1 (" + w.path() + ":2)"},
		{"", "dev.1", "d", "profile dev.1 (" + w.path() + ":2)"},
		{"default", "", "", "default"}, // is always there
	} {
		flags := map[string]string{}
		if c.flag != "" {
			flags["profile"] = c.flag
		}
		w.env["VALETKEY_PROFILE"] = c.env
		v, err := w.with(flags).Lookup("team")
		if err != nil || v.Text() != c.team || v.Source != c.source {
			t.Errorf("%+v: %q from %q, %v", c, v.Text(), v.Source, err)
		}
	}
	w.env["VALETKEY_PROFILE"] = ""
	_, err := w.with(map[string]string{"profile": "prd"}).Lookup("team")
	wantKind(t, err, failure.Config)
	if err == nil || !strings.Contains(err.Error(), "flag --profile") || failure.HintOf(err) != "did you mean prod? profiles: dev.1, prod" {
		t.Errorf("%v, hint %q", err, failure.HintOf(err))
	}
	if list, err := w.with(map[string]string{"profile": "prd"}).Profiles(); err != nil || len(list) != 2 {
		t.Errorf("profiles cannot be listed: %v %v", list, err)
	}
	w.config("default_profile: gone\nprofiles: {prod: {}}")
	_, err = w.settings().Lookup("team")
	wantKind(t, err, failure.Config)
	if err == nil || !strings.Contains(err.Error(), w.path()+":1") {
		t.Errorf("%v does not name the line", err)
	}
}

func TestPathsInTheFile(t *testing.T) {
	w := newWorld(t)
	w.config("profiles: {default: {vms: {ca_file: ca.pem}, vault: {ca_file: ~/ca.pem}, s3: {ca_file: /ca.pem}}}")
	for name, want := range map[string]string{
		"vms.ca_file": filepath.Join(filepath.Dir(w.path()), "ca.pem"), "vault.ca_file": filepath.Join(w.home, "ca.pem"), "s3.ca_file": "/ca.pem",
	} {
		if v, err := w.settings().Lookup(name); err != nil || v.Text() != want {
			t.Errorf("%s: %q %v, want %q", name, v.Text(), err, want)
		}
	}
	// What the shell hands over stays as it is: it starts at the working directory.
	if v, err := w.with(map[string]string{"vms.ca_file": "ca.pem"}).Lookup("vms.ca_file"); err != nil || v.Text() != "ca.pem" {
		t.Errorf("%q %v", v.Text(), err)
	}
}
