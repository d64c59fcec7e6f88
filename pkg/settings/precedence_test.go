package settings_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
)

// samples returns n different good values of a row.
func samples(r settings.Row, n int) []string {
	list := make([]string, n)
	for i := range list {
		switch {
		case r.Kind == settings.Enum:
			list[i] = r.Choices[(i+1)%len(r.Choices)]
		case r.Kind == settings.Bool:
			list[i] = strconv.FormatBool(i%2 == 0)
		case r.Kind == settings.Duration:
			list[i] = fmt.Sprintf("%dh", 40+i)
		case r.Kind == settings.Argv:
			list[i] = fmt.Sprintf(`["prog","%d"]`, i)
		case r.Kind == settings.Path:
			list[i] = fmt.Sprintf("/p/%d", i)
		case r.Kind == settings.Address:
			list[i] = fmt.Sprintf("h%d.example.com", i)
		case strings.HasSuffix(r.Name, "api_version"):
			list[i] = fmt.Sprintf("v%d", i)
		case strings.HasSuffix(r.Name, "pin_sha256"):
			list[i] = strings.Repeat(strconv.Itoa(i), 64)
		default:
			list[i] = fmt.Sprintf("value%d", i)
		}
	}
	return list
}

// yamlAt writes a value below profile p, one key a line.
func yamlAt(r settings.Row, value string) (text string, line int) {
	var b strings.Builder
	b.WriteString("default_profile: p\nprofiles:\n  p:\n")
	parts := strings.Split(r.Name, ".")
	for i, part := range parts {
		b.WriteString(strings.Repeat("  ", i+2) + part + ":")
		if i < len(parts)-1 {
			b.WriteString("\n")
		}
	}
	if r.Kind != settings.Bool && r.Kind != settings.Argv {
		value = strconv.Quote(value)
	}
	b.WriteString(" " + value + "\n")
	return b.String(), 3 + len(parts)
}

func reveal(v settings.Value) string {
	if !v.Secret().IsEmpty() {
		return v.Secret().Reveal()
	}
	return v.Text()
}

// Every row, every layer: the layers are put in place from the bottom up, and
// each must win over all those below it.
func TestPrecedenceOfEveryRow(t *testing.T) {
	for _, r := range settings.Rows() {
		t.Run(r.Name, func(t *testing.T) {
			w := newWorld(t)
			flags := map[string]string{}
			vars := r.Variables()
			values := samples(r, len(vars)+2)
			check := func(want, source string, set bool) {
				t.Helper()
				v, err := w.with(flags).Lookup(r.Name)
				if err != nil {
					t.Fatal(err)
				}
				if got := reveal(v); got != want || v.Source != source || v.Set != set || v.Name != r.Name {
					t.Errorf("got %q from %q (set %v), want %q from %q (set %v)", got, v.Source, v.Set, want, source, set)
				}
				if r.Secret && set && (v.Text() != "" || v.String() != "[redacted]") {
					t.Errorf("a secret shows: %q %q", v.Text(), v.String())
				}
			}
			want := r.Default
			switch r.Name {
			case "config":
				want = w.path()
			case "state.dir":
				want = w.home + "/.local/state/valetkey"
			case "store.dir":
				want = w.home + "/.local/share/valetkey"
			}
			check(want, "default", false)
			if !r.Outside {
				text, line := yamlAt(r, values[0])
				w.config(text)
				check(values[0], fmt.Sprintf("profile p (%s:%d)", w.path(), line), true)
			}
			for i, name := range slices.Backward(vars) {
				w.env[name] = values[i+1]
				if name == "CI" { // which can only say true
					w.env[name], values[i+1] = "true", "true"
				}
				if r.Name == "profile" { // must be in the file
					w.config("profiles: {" + values[i+1] + ": {}}")
				}
				check(values[i+1], "env "+name, true)
			}
			for _, name := range vars { // empty is not set
				saved := maps.Clone(w.env)
				w.env[name] = ""
				if v, err := w.settings().Lookup(r.Name); err != nil || v.Source == "env "+name {
					t.Errorf("empty %s: %q, %v", name, v.Source, err)
				}
				w.env = saved
			}
			flags[r.Name] = values[len(values)-1]
			if r.Flag == "" { // what has no flag takes none
				if len(vars) > 0 {
					check(values[1], "env "+vars[0], true)
				}
				return
			}
			if r.Name == "profile" {
				w.config("profiles: {" + flags[r.Name] + ": {}}")
			}
			check(flags[r.Name], "flag --"+r.Flag, true)
		})
	}
}

func TestBadValuesNameTheirSource(t *testing.T) {
	bad := map[settings.Kind]string{
		settings.Bool: "perhaps", settings.Duration: "60", settings.Enum: "nonsense",
		settings.Address: "https://me:sesame@host", settings.Path: "a\nb", settings.Text: "a\x00b", settings.List: "a\tb", settings.Argv: "pass show",
	}
	for _, r := range settings.Rows() {
		value := bad[r.Kind]
		if strings.HasSuffix(r.Name, "password") {
			continue // anything may be a password
		}
		check := func(err error, kind failure.Kind, source string) {
			t.Helper()
			wantKind(t, err, kind)
			if err == nil || !strings.Contains(err.Error(), source) || !strings.Contains(err.Error(), r.Name) {
				t.Errorf("%s: %v does not name %s", r.Name, err, source)
			}
			if strings.Contains(fmt.Sprint(err), "sesame") || r.Secret && strings.Contains(fmt.Sprint(err), "a\x00b") {
				t.Errorf("%s: %v shows a secret", r.Name, err)
			}
			if strings.ContainsAny(err.Error(), "\n\x00\t") {
				t.Errorf("%s: error is not one clean line: %q", r.Name, err)
			}
		}
		for _, name := range r.Variables() {
			if name == "CI" {
				continue
			}
			w := newWorld(t)
			w.env[name] = value
			_, err := w.settings().Lookup(r.Name)
			check(err, failure.Config, "env "+name)
		}
		if r.Flag != "" && r.Name != "output" { // commands check -o: some know more formats
			_, err := newWorld(t).with(map[string]string{r.Name: value}).Lookup(r.Name)
			check(err, failure.Usage, "flag --"+r.Flag)
		}
		if !r.Outside && r.Kind != settings.Bool && r.Kind != settings.Argv {
			w := newWorld(t)
			text, line := yamlAt(r, value)
			w.config(text)
			_, err := w.settings().Lookup(r.Name)
			check(err, failure.Config, fmt.Sprintf("%s:%d", w.path(), line))
		}
	}
}

func TestDerivedDefaults(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"s3.public_endpoint", map[string]string{"AWS_ENDPOINT_URL": "https://s3.example.com"}, "https://s3.example.com"},
		{"tokens.store", map[string]string{"VALETKEY_STORE": "file"}, "file"},
		{"tokens.store", map[string]string{"VALETKEY_STORE": "kernel"}, "kernel"},
		{"tokens.store", map[string]string{"VALETKEY_STORE": "vault"}, "os"},
		{"tokens.store", map[string]string{"VALETKEY_STORE": "memory"}, "os"},
		{"no_input", map[string]string{"CI": "woodpecker"}, "false"},
		{"no_input", map[string]string{"CI": "TRUE"}, "true"},
		{"no_input", map[string]string{"CI": "true", "VALETKEY_NO_INPUT": "0"}, "false"},
		{"state.dir", map[string]string{"XDG_STATE_HOME": "/x"}, "/x/valetkey"},
		{"store.dir", map[string]string{"XDG_DATA_HOME": "/x"}, "/x/valetkey"},
		{"config", map[string]string{"XDG_CONFIG_HOME": "/x"}, "/x/valetkey/config.yaml"},
	} {
		w := newWorld(t)
		maps.Copy(w.env, c.env)
		v, err := w.settings().Lookup(c.name)
		if err != nil || v.Text() != c.want {
			t.Errorf("%s with %v: %q, %v, want %q", c.name, c.env, v.Text(), err, c.want)
		}
	}
}

func TestTableIsSound(t *testing.T) {
	seen := map[string]string{}
	once := func(kind, name, row string) {
		if name == "" {
			return
		}
		if other, ok := seen[kind+name]; ok {
			t.Errorf("%s %s belongs to %s and to %s", kind, name, other, row)
		}
		seen[kind+name] = row
	}
	for _, r := range settings.Rows() {
		once("name ", r.Name, r.Name)
		once("flag ", r.Flag, r.Name)
		once("shorthand ", r.Shorthand, r.Name)
		for _, v := range r.Variables() {
			once("variable ", v, r.Name)
		}
		if r.Secret && r.Flag != "" {
			t.Errorf("%s is a secret and has a flag", r.Name)
		}
		if r.Help == "" || strings.HasSuffix(r.Help, ".") || strings.Contains(r.Help, "`") {
			t.Errorf("%s: help %q", r.Name, r.Help)
		}
		if r.Env != "" && !strings.HasPrefix(r.Env, "VALETKEY_") {
			t.Errorf("%s: variable %s", r.Name, r.Env)
		}
		if r.FileOnly() != (r.Name == "vms.password_command") {
			t.Errorf("%s: file only %v", r.Name, r.FileOnly())
		}
		if r.Group == "" {
			t.Errorf("%s has no group", r.Name)
		}
		if v, err := (settings.New(settings.Input{Env: map[string]string{"HOME": "/h"}})).Lookup(r.Name); err != nil {
			t.Errorf("default of %s: %v %v", r.Name, v, err)
		}
	}
	for _, name := range []string{"VMS_PASSWORD", "VAST_PASSWORD", "VMS_TOKEN", "VAULT_TOKEN", "VALETKEY_VAULT_SECRET_ID"} {
		if !slices.Contains(settings.SecretVariables(), name) {
			t.Errorf("%s is not among the secret variables", name)
		}
	}
}

func TestFlags(t *testing.T) {
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	settings.AddFlags(fs, "global", "vms", "s3.region")
	if err := fs.Parse([]string{"-p", "x", "--vms-insecure", "--vms-tenant=", "--region", "eu", "--timeout", "1w"}); err != nil {
		t.Fatal(err)
	}
	got := settings.FlagValues(fs)
	want := map[string]string{"profile": "x", "vms.insecure": "true", "vms.tenant": "", "s3.region": "eu", "timeout": "1w"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if fs.Lookup("endpoint") != nil || fs.Lookup("vault-address") != nil {
		t.Error("flags of other groups came along")
	}
	if u := fs.FlagUsages(); !strings.Contains(u, "VALETKEY_VMS_ADDRESS, VMS_ADDRESS, VAST_VIP") || !strings.Contains(u, "(default 30s)") {
		t.Errorf("help: %s", u)
	}
	for _, args := range [][]string{{"--timeout", "5"}, {"--timeout", ""}, {"--vms-insecure=maybe"}, {"--vms-api-version", "7"}} {
		if err := fs.Parse(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	if v, err := newWorld(t).with(got).Lookup("vms.tenant"); err != nil || v.Source != "flag --vms-tenant" || !v.IsEmpty() {
		t.Errorf("an empty flag does not say none: %v %v", v, err)
	}
}

func TestAddFlagsWantsKnownGroups(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an unknown group does not panic")
		}
	}()
	settings.AddFlags(pflag.NewFlagSet("x", pflag.ContinueOnError), "vsm")
}

func TestUnknownSetting(t *testing.T) {
	s := newWorld(t).settings()
	for word, want := range map[string]string{"vms.adress": "vms.address", "public_endpoint": "s3.public_endpoint", "vault.adress": "vault.address", "VMS.TOKEN": "vms.token"} {
		_, err := s.Get(word)
		wantKind(t, err, failure.Usage)
		if !strings.Contains(failure.HintOf(err), want+"?") {
			t.Errorf("%s: hint %q", word, failure.HintOf(err))
		}
	}
	if _, err := s.Get("zzzzzzzz"); strings.Contains(failure.HintOf(err), "mean") {
		t.Errorf("a suggestion from nowhere: %q", failure.HintOf(err))
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.env["VMS_PASSWORD"] = "sesame"
	w.env["VAULT_TOKEN"] = "sesame"
	w.config("profiles: {default: {team: t}}")
	list, err := w.settings().List()
	if err != nil || len(list) != len(settings.Rows()) {
		t.Fatal(len(list), err)
	}
	all := fmt.Sprintf("%v %+v %#v", list, list, list)
	if strings.Contains(all, "sesame") {
		t.Errorf("a secret shows: %s", all)
	}
	delete(w.env, "HOME")
	if _, err := w.settings().List(); err != nil {
		t.Errorf("without a home: %v", err)
	}
	w.env["VALETKEY_TIMEOUT"] = "5"
	_, err = w.settings().List()
	wantKind(t, err, failure.Config)
}
