package settings_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
)

const (
	vmsProfile   = "profiles: {default: {vms: {address: vms.example.com, password: sesame, ca_file: /own.pem}}}"
	noAddress    = "profiles: {default: {vms: {password: sesame}}}"
	tokenProfile = "profiles: {default: {vms: {address: vms.example.com, token: sesame}}}"
	commandFile  = "profiles: {default: {vms: {address: vms.example.com, password_command: [pass, vms]}}}"
	vaultProfile = "profiles: {default: {vault: {address: vault.example.com, token: sesame}}}"
	approle      = "profiles: {default: {vault: {address: vault.example.com, auth: {method: approle, role_id: r, secret_id: sesame}}}}"
	jwt          = "profiles: {default: {vault: {address: vault.example.com, auth: {method: jwt, role: r, jwt_file: /jwt}}}}"
)

type kv = map[string]string

// A credential of the profile goes to the profile's own server, or to one that
// was typed as a flag.
func TestCredentialRule(t *testing.T) {
	for name, c := range map[string]struct {
		file       string
		env, flags kv
		refused    string // the variable that is named, or empty
	}{
		"all from the profile":         {vmsProfile, nil, nil, ""},
		"address from a variable":      {vmsProfile, kv{"VALETKEY_VMS_ADDRESS": "evil.example.com"}, nil, "env VALETKEY_VMS_ADDRESS"},
		"address from an alias":        {vmsProfile, kv{"VAST_VIP": "evil.example.com"}, nil, "env VAST_VIP"},
		"no address of its own":        {noAddress, kv{"VMS_ADDRESS": "vms.example.com"}, nil, "env VMS_ADDRESS"},
		"same address, other spelling": {vmsProfile, kv{"VMS_ADDRESS": "https://VMS.example.com:443/"}, nil, ""},
		"other port":                   {vmsProfile, kv{"VMS_ADDRESS": "vms.example.com:8443"}, nil, "env VMS_ADDRESS"},
		"address from a flag":          {vmsProfile, kv{"VMS_ADDRESS": "evil.example.com"}, kv{"vms.address": "other.example.com"}, ""},
		"flag, but CA of a variable":   {vmsProfile, kv{"VMS_CERT_FILE": "/evil.pem"}, kv{"vms.address": "other.example.com"}, "env VMS_CERT_FILE"},
		"other CA":                     {vmsProfile, kv{"VALETKEY_VMS_CA_FILE": "/evil.pem"}, nil, "env VALETKEY_VMS_CA_FILE"},
		"same CA":                      {vmsProfile, kv{"VALETKEY_VMS_CA_FILE": "/own.pem"}, nil, ""},
		"server name":                  {vmsProfile, kv{"VMS_CERT_SERVER": "evil"}, nil, "env VMS_CERT_SERVER"},
		"pin":                          {vmsProfile, kv{"VALETKEY_VMS_PIN_SHA256": strings.Repeat("a", 64)}, nil, "env VALETKEY_VMS_PIN_SHA256"},
		"insecure":                     {vmsProfile, kv{"VALETKEY_VMS_INSECURE": "1"}, nil, "env VALETKEY_VMS_INSECURE"},
		"secure again":                 {vmsProfile, kv{"VALETKEY_VMS_INSECURE": "0"}, nil, ""},
		"insecure by flag":             {vmsProfile, nil, kv{"vms.insecure": "true"}, ""},
		"password from a variable":     {vmsProfile, kv{"VMS_PASSWORD": "p", "VMS_ADDRESS": "other.example.com"}, nil, ""},
		"token":                        {tokenProfile, kv{"VMS_ADDRESS": "evil.example.com"}, nil, "env VMS_ADDRESS"},
		"token hidden by a password":   {tokenProfile, kv{"VMS_ADDRESS": "other.example.com", "VMS_USER": "u", "VMS_PASSWORD": "p"}, nil, ""},
		"password command":             {commandFile, kv{"VMS_ADDRESS": "evil.example.com"}, nil, "env VMS_ADDRESS"},

		"vault: own":                  {vaultProfile, nil, nil, ""},
		"vault: address":              {vaultProfile, kv{"VAULT_ADDR": "https://evil.example.com"}, nil, "env VAULT_ADDR"},
		"vault: CA":                   {vaultProfile, kv{"VAULT_CACERT": "/evil.pem"}, nil, "env VAULT_CACERT"},
		"vault: redirects":            {vaultProfile, kv{"VALETKEY_VAULT_REDIRECT_HOSTS": "evil.example.com"}, nil, "env VALETKEY_VAULT_REDIRECT_HOSTS"},
		"vault: token of variable":    {vaultProfile, kv{"VAULT_ADDR": "https://other.example.com", "VAULT_TOKEN": "t"}, nil, ""},
		"vault: secret_id":            {approle, kv{"VAULT_ADDR": "https://evil.example.com"}, nil, "env VAULT_ADDR"},
		"vault: secret_id elsewhere":  {approle, kv{"VAULT_ADDR": "https://other.example.com", "VALETKEY_VAULT_SECRET_ID": "s"}, nil, ""},
		"vault: secret_id of a flag":  {approle, kv{"VAULT_ADDR": "https://other.example.com"}, kv{"vault.auth.secret_id_file": "/s"}, ""},
		"vault: jwt_file":             {jwt, kv{"VAULT_ADDR": "https://evil.example.com"}, nil, "env VAULT_ADDR"},
		"vault: unused method":        {approle, kv{"VAULT_ADDR": "https://other.example.com", "VALETKEY_VAULT_AUTH_METHOD": "userpass"}, nil, ""},
		"vault: token above a method": {approle, kv{"VAULT_ADDR": "https://other.example.com", "VALETKEY_VAULT_TOKEN": "t"}, nil, ""},
	} {
		w := newWorld(t)
		w.config(c.file)
		maps.Copy(w.env, c.env)
		s := w.with(c.flags)
		_, vmsErr := s.VMS()
		_, _, vaultErr := s.Vault()
		err := vmsErr
		if strings.HasPrefix(name, "vault") {
			err = vaultErr
		}
		if c.refused == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantKind(t, err, failure.Config)
		if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "(profile default ("+w.path()+":1))") {
			t.Errorf("%s: %v does not name both sources", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "sesame") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTrustOfAStoredLogin(t *testing.T) {
	w := newWorld(t)
	w.config("profiles: {default: {vms: {ca_file: /own pem.pem}}}")
	v, err := w.settings().VMS()
	if err != nil {
		t.Fatal(err)
	}
	recorded := v.Trust()
	for name, c := range map[string]struct {
		env, flags kv
		good       bool
	}{
		"the same":       {nil, nil, true},
		"CA of flag":     {nil, kv{"vms.ca_file": "/other.pem"}, true},
		"CA of variable": {kv{"VMS_CERT_FILE": "/other.pem"}, nil, false},
		"same CA":        {kv{"VMS_CERT_FILE": "/own pem.pem"}, nil, true},
		"insecure":       {kv{"VALETKEY_VMS_INSECURE": "true"}, nil, false},
		"secure":         {kv{"VALETKEY_VMS_INSECURE": "false"}, nil, true},
		"server name":    {kv{"VMS_CERT_SERVER": "x"}, nil, false},
	} {
		w.env = kv{"HOME": w.home}
		maps.Copy(w.env, c.env)
		v, err := w.with(c.flags).VMS()
		if err != nil {
			t.Fatal(err)
		}
		err = v.CheckStored("the stored login", recorded)
		if c.good && err != nil || !c.good && !failure.Is(err, failure.Config) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVMSFillsOnlyTheHighestCredential(t *testing.T) {
	w := newWorld(t)
	w.config("profiles: {default: {vms: {password_command: [pass, vms], token: t}}}")
	v, err := w.settings().VMS()
	if err != nil || len(v.PasswordCommand.List()) != 2 || v.Token.Secret().Reveal() != "t" || !v.Password.IsEmpty() {
		t.Errorf("of the profile: %v %v %v %v", v.PasswordCommand.List(), v.Token, v.Password, err)
	}
	w.env["VMS_TOKEN"] = "alias"
	w.env["VALETKEY_VMS_PASSWORD"] = "p"
	v, err = w.settings().VMS()
	if err != nil || !v.PasswordCommand.IsEmpty() || !v.Token.IsEmpty() || v.Password.Secret().Reveal() != "p" {
		t.Errorf("of the environment: %v %v %v %v", v.PasswordCommand, v.Token, v.Password, err)
	}
}

func TestVaultToken(t *testing.T) {
	for name, c := range map[string]struct {
		env, flags  kv
		file        string
		home        bool
		token       string // its source
		storedFirst bool
		note        string
	}{
		"nothing":                  {nil, nil, "", false, "default", false, ""},
		"home":                     {nil, nil, "", true, "file HOME/.vault-token", true, ""},
		"alias":                    {kv{"VAULT_TOKEN": "t"}, nil, "", true, "env VAULT_TOKEN", false, ""},
		"own":                      {kv{"VAULT_TOKEN": "t", "VALETKEY_VAULT_TOKEN": "t"}, nil, "", true, "env VALETKEY_VAULT_TOKEN", false, ""},
		"home before profile":      {nil, nil, vaultProfile, true, "file HOME/.vault-token", true, ""},
		"profile":                  {nil, nil, vaultProfile, false, "profile default (HOME/.config/valetkey/config.yaml:1)", true, ""},
		"method hides alias":       {kv{"VAULT_TOKEN": "t"}, kv{"vault.auth.method": "approle"}, "", false, "default", false, "VAULT_TOKEN"},
		"method hides home":        {kv{"VALETKEY_VAULT_AUTH_METHOD": "ldap"}, nil, "", true, "default", false, ".vault-token"},
		"profile's method":         {kv{"VAULT_TOKEN": "t"}, nil, approle, false, "default", false, "VAULT_TOKEN"},
		"own token above":          {kv{"VALETKEY_VAULT_TOKEN": "t"}, nil, approle, false, "env VALETKEY_VAULT_TOKEN", false, ""},
		"method beside own":        {kv{"VALETKEY_VAULT_TOKEN": "t", "VALETKEY_VAULT_AUTH_METHOD": "jwt"}, nil, "", false, "default", false, "VALETKEY_VAULT_TOKEN"},
		"method token hides none":  {kv{"VAULT_TOKEN": "t", "VALETKEY_VAULT_AUTH_METHOD": "token"}, nil, "", false, "env VAULT_TOKEN", false, ""},
		"an empty variable is not": {kv{"VAULT_TOKEN": ""}, nil, "", true, "file HOME/.vault-token", true, ""},
	} {
		w := newWorld(t)
		maps.Copy(w.env, c.env)
		if c.file != "" {
			w.config(c.file)
		}
		if c.home {
			w.write(filepath.Join(w.home, ".vault-token"), "home-token\n")
		}
		s := w.with(c.flags)
		_, a, err := s.Vault()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, want := a.Token.Source, strings.ReplaceAll(c.token, "HOME", w.home); got != want || a.StoredFirst != c.storedFirst {
			t.Errorf("%s: token from %q (stored first %v), want %q", name, got, a.StoredFirst, want)
		}
		if strings.HasPrefix(c.token, "file") && a.Token.Secret().Reveal() != "home-token" {
			t.Errorf("%s: the token is not that of the file", name)
		}
		if notes := strings.Join(s.Warnings(), "\n"); c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
			t.Errorf("%s: notes %q", name, notes)
		}
	}
}

func TestVaultAuthDefaults(t *testing.T) {
	for method, want := range map[string][2]string{
		"approle": {"approle", ""}, "kubernetes": {"kubernetes", "/var/run/secrets/kubernetes.io/serviceaccount/token"}, "jwt": {"jwt", ""}, "token": {"", ""},
	} {
		_, a, err := newWorld(t).with(kv{"vault.auth.method": method}).Vault()
		if err != nil || a.Mount.Text() != want[0] || a.JWTFile.Text() != want[1] {
			t.Errorf("%s: mount %q, jwt_file %q, %v", method, a.Mount.Text(), a.JWTFile.Text(), err)
		}
	}
}

func TestWarnings(t *testing.T) {
	w := newWorld(t)
	w.env["VAULT_SKIP_VERIFY"] = "true"
	w.env["VALETKEY_S3_INSECURE"] = "yes"
	s := w.with(kv{"vms.insecure": "true"})
	if got := s.Warnings(); len(got) != 0 {
		t.Errorf("warned before anything was asked: %v", got)
	}
	for range 2 {
		if _, err := s.VMS(); err != nil {
			t.Fatal(err)
		}
		v, _, err := s.Vault()
		if err != nil || v.Insecure.Bool() {
			t.Fatalf("VAULT_SKIP_VERIFY counts: %v %v", v.Insecure, err)
		}
		if _, err := s.S3(); err != nil {
			t.Fatal(err)
		}
	}
	got := s.Warnings()
	if len(got) != 3 || !strings.Contains(got[0], "vms.insecure is on (flag --vms-insecure)") || !strings.Contains(got[1], "VAULT_SKIP_VERIFY is ignored") || !strings.Contains(got[2], "env VALETKEY_S3_INSECURE") {
		t.Errorf("warnings %q", got)
	}
}

func TestKeysTimesFitTogether(t *testing.T) {
	for _, c := range []struct {
		refresh, age, grace string
		names               string
	}{
		{"", "", "", ""}, {"30m", "", "", ""}, {"29m59s", "", "", "keys.refresh"}, {"25h", "", "", "keys.grace"}, {"24h", "", "", ""},
		{"", "25h", "", "keys.max_age"}, {"", "25h1s", "", ""}, {"", "none", "", ""}, {"", "", "59m", "keys.grace"}, {"1h", "3h", "1h", ""},
		{"", "30d", "2000000h", "keys.max_age"},
	} {
		w := newWorld(t)
		w.env["VALETKEY_KEYS_REFRESH"], w.env["VALETKEY_KEYS_MAX_AGE"], w.env["VALETKEY_KEYS_GRACE"] = c.refresh, c.age, c.grace
		k, err := w.settings().Keys()
		if c.names == "" {
			if err != nil {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		wantKind(t, err, failure.Config)
		if err == nil || !strings.Contains(err.Error(), c.names) || !strings.Contains(err.Error(), "(env VALETKEY_KEYS_") {
			t.Errorf("%+v: %v does not name %s and its source (%v)", c, err, c.names, k)
		}
	}
	k, err := newWorld(t).settings().Keys()
	if err != nil || k.Refresh != time.Hour || k.Grace != 24*time.Hour || k.MaxAge != 0 || k.Store.Text() != "os" || k.VaultMount.Text() != "valetkey" {
		t.Errorf("defaults %+v, %v", k, err)
	}
}

func TestClientCertificateNeedsBoth(t *testing.T) {
	_, err := newWorld(t).with(kv{"vms.client_key": "/k"}).VMS()
	wantKind(t, err, failure.Config)
	if err == nil || !strings.Contains(err.Error(), "vms.client_key (flag --vms-client-key) is set without vms.client_cert") {
		t.Error(err)
	}
}

func TestGlobalSurvivesABrokenFile(t *testing.T) {
	w := newWorld(t)
	w.config("profiles: [")
	w.env["VALETKEY_QUIET"] = "1"
	g, err := w.with(kv{"output": "json"}).Global()
	wantKind(t, err, failure.Config)
	if g.Output.Text() != "json" || !g.Quiet.Bool() || g.Timeout.Duration() != 30*time.Second || g.Profile.Text() != "default" {
		t.Errorf("%+v", g)
	}
	g, err = w.with(kv{"timeout": "5", "output": "csv"}).Global()
	wantKind(t, err, failure.Usage) // the flag is told before the file
	if g.Timeout.Duration() != 30*time.Second || g.Output.Text() != "csv" {
		t.Errorf("%+v", g)
	}
}

func TestOtherGroups(t *testing.T) {
	w := newWorld(t)
	w.env["VALETKEY_JOB"] = "hello-job"
	s := w.with(kv{"team": "demo", "vault.mount": "kv"})
	j, err := s.Job()
	if err != nil || j.Team.Text() != "demo" || j.Job.Source != "env VALETKEY_JOB" {
		t.Errorf("%+v %v", j, err)
	}
	if k, err := s.KV(); err != nil || k.Mount.Text() != "kv" || k.Layout.Text() != "vdk" {
		t.Errorf("%+v %v", k, err)
	}
	if s3, err := s.S3(); err != nil || s3.Region.Text() != "us-east-1" || s3.Addressing.Text() != "path" {
		t.Errorf("%+v %v", s3, err)
	}
}

func TestClock(t *testing.T) {
	const loopback = "https://127.0.0.1:1234"
	near := func(s *settings.Settings, want time.Duration) bool {
		d := time.Until(s.Clock()()) - want
		return d.Abs() < time.Hour
	}
	w := newWorld(t)
	file := filepath.Join(w.home, "clock")
	w.write(file, "+25h\n")
	if !near(w.settings(), 0) {
		t.Error("the file counts without VALETKEY_SANDBOX_DIR")
	}
	w.env["VALETKEY_SANDBOX_DIR"] = w.home
	w.env["VALETKEY_VMS_ADDRESS"], w.env["AWS_ENDPOINT_URL"], w.env["VAULT_ADDR"] = loopback, "https://[::1]:1", "localhost:1"
	if !near(w.settings(), 25*time.Hour) {
		t.Error("the file does not count")
	}
	s := w.settings()
	now := s.Clock()
	w.write(file, "-2d")
	if d := time.Until(now()); d > -47*time.Hour {
		t.Errorf("the file is not read anew: %v", d)
	}
	for _, bad := range []string{"", "nonsense", "5", strings.Repeat("1h", 100)} {
		w.write(file, bad)
		if !near(s, 0) {
			t.Errorf("%q moves the clock", bad)
		}
	}
	w.write(file, "+25h")
	for _, address := range []string{"https://vms.example.com", "10.0.0.1", "127.0.0.1.example.com"} {
		w.env["VALETKEY_VMS_ADDRESS"] = address
		if !near(w.settings(), 0) {
			t.Errorf("the clock moves for %s", address)
		}
	}
}

func TestProxy(t *testing.T) {
	for _, c := range []struct {
		env       kv
		url, want string
	}{
		{kv{"HTTPS_PROXY": "http://proxy:1"}, "https://vms.example.com/x", "http://proxy:1"},
		{kv{"https_proxy": "proxy:1"}, "https://vms.example.com/x", "http://proxy:1"},
		{kv{"HTTPS_PROXY": "http://proxy:1", "no_proxy": ".example.com"}, "https://vms.example.com", ""},
		{kv{"HTTPS_PROXY": "http://proxy:1"}, "https://127.0.0.1:1", ""},
		{nil, "https://vms.example.com", ""},
	} {
		u, err := settings.New(settings.Input{Env: c.env}).Proxy()(mustURL(t, c.url))
		got := ""
		if u != nil {
			got = u.String()
		}
		if err != nil || got != c.want {
			t.Errorf("%v: %q %v, want %q", c.env, got, err, c.want)
		}
	}
}
