package settings

import (
	"errors"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// TLS is how a server is told from an impostor.
type TLS struct {
	CAFile, ServerName, PinSHA256 Value
	ClientCert, ClientKey         Value
	Insecure                      Value
}

// VMS is what the client of VMS needs. Of the credentials only those of the
// highest layer are filled in: a password from the environment hides a token of
// the profile.
type VMS struct {
	Address, Username, Tenant, APIVersion Value
	Password, PasswordCommand, Token      Value
	TLS
}

// Vault is what the client of Vault needs, apart from how to log in.
type Vault struct {
	Address, Namespace, RedirectHosts Value
	TLS
}

// VaultAuth is how to log in to Vault.
type VaultAuth struct {
	Method, Mount, Role, RoleID, Username Value
	SecretID, SecretIDFile, JWTFile       Value
	Password                              Value
	// Token is empty when an explicit method other than token hides it.
	Token Value
	// StoredFirst says that a stored login goes before Token, which is not from
	// the environment but from ~/.vault-token or the profile.
	StoredFirst bool
}

// KV is where the secrets of jobs lie in Vault.
type KV struct{ Mount, Layout Value }

// S3 is what signing and the S3 client need.
type S3 struct {
	Endpoint, PublicEndpoint, Region, Addressing Value
	TLS
}

// Keys is how access keys are kept. MaxAge is zero when keys have no age limit.
type Keys struct {
	Store, VaultMount, TokensStore Value
	Refresh, MaxAge, Grace         time.Duration
	RefreshFrom, MaxAgeFrom        Value
	GraceFrom                      Value
}

// Job names a data job.
type Job struct{ Team, Job Value }

// Global is what every command obeys.
type Global struct {
	Profile, Output, Timeout, Debug, DebugFile, NoInput, Quiet Value
}

// fill looks settings up one after the other and keeps the first error. The
// caller holds the lock.
type fill struct {
	s   *Settings
	err error
}

func (f *fill) get(name string) Value {
	if f.err != nil {
		return Value{Name: name}
	}
	var v Value
	v, f.err = f.s.must(name)
	return v
}

func (f *fill) tls(group string, withClient bool) TLS {
	t := TLS{CAFile: f.get(group + ".ca_file"), Insecure: f.get(group + ".insecure")}
	if withClient {
		t.ServerName, t.PinSHA256 = f.get(group+".server_name"), f.get(group+".pin_sha256")
		t.ClientCert, t.ClientKey = f.get(group+".client_cert"), f.get(group+".client_key")
		if f.err == nil && t.ClientCert.IsEmpty() != t.ClientKey.IsEmpty() {
			has, lacks := t.ClientCert, t.ClientKey
			if has.IsEmpty() {
				has, lacks = lacks, has
			}
			f.err = failure.New(failure.Config, "%s (%s) is set without %s", has.Name, has.Source, lacks.Name)
		}
	}
	if t.Insecure.Bool() {
		f.s.warn(group + ".insecure is on (" + t.Insecure.Source + "): the certificate of the server is not verified")
	}
	return t
}

// VMS returns the settings of VMS. A credential of the profile that would go
// to a server which the environment put in the profile's place is failure.Config.
func (s *Settings) VMS() (VMS, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &fill{s: s}
	v := VMS{
		Address: f.get("vms.address"), Username: f.get("vms.username"),
		Tenant: f.get("vms.tenant"), APIVersion: f.get("vms.api_version"),
		Password: f.get("vms.password"), PasswordCommand: f.get("vms.password_command"), Token: f.get("vms.token"),
		TLS: f.tls("vms", true),
	}
	if f.err != nil {
		return v, f.err
	}
	keepHighest(&v.Password, &v.PasswordCommand, &v.Token)
	return v, s.checkTrust([]Value{v.Address}, v.TLS, v.Password, v.PasswordCommand, v.Token)
}

// keepHighest empties the credentials that a higher layer made pointless.
func keepHighest(credentials ...*Value) {
	highest := fromDefault
	for _, c := range credentials {
		if !c.IsEmpty() {
			highest = max(highest, c.layer)
		}
	}
	for _, c := range credentials {
		if c.layer < highest {
			*c = Value{Name: c.Name, Source: "default", hidden: c.hidden, kind: c.kind}
		}
	}
}

// Vault returns the settings of Vault and of the login there. A credential of
// the profile that would go to a server which the environment put in the
// profile's place is failure.Config. ~/.vault-token belongs to no profile and
// goes where Vault's own CLI would send it: to the address in effect.
func (s *Settings) Vault() (Vault, VaultAuth, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &fill{s: s}
	v := Vault{
		Address: f.get("vault.address"), Namespace: f.get("vault.namespace"),
		RedirectHosts: f.get("vault.redirect_hosts"), TLS: f.tls("vault", true),
	}
	a := VaultAuth{
		Method: f.get("vault.auth.method"), Mount: f.get("vault.auth.mount"), Role: f.get("vault.auth.role"),
		RoleID: f.get("vault.auth.role_id"), Username: f.get("vault.auth.username"),
		SecretID: f.get("vault.auth.secret_id"), SecretIDFile: f.get("vault.auth.secret_id_file"),
		JWTFile: f.get("vault.auth.jwt_file"), Password: f.get("vault.auth.password"),
	}
	if text := s.getenv("VAULT_SKIP_VERIFY"); text != "" {
		if on, err := parseBool(text); on || err != nil {
			s.warn("VAULT_SKIP_VERIFY is ignored; --vault-insecure or VALETKEY_VAULT_INSECURE says it for valetkey")
		}
	}
	if f.err != nil {
		return v, a, f.err
	}
	if err := s.vaultToken(&a); err != nil {
		return v, a, err
	}
	method := a.Method.Text()
	if a.Mount.IsEmpty() && method != "token" {
		a.Mount.parsed.text = method
	}
	if a.JWTFile.IsEmpty() && method == "kubernetes" {
		a.JWTFile.parsed.text = kubernetesJWT
	}
	keepHighest(&a.SecretID, &a.SecretIDFile)
	return v, a, s.checkTrust([]Value{v.Address, v.RedirectHosts}, v.TLS, sent(a)...)
}

// sent returns what the chosen method sends.
func sent(a VaultAuth) []Value {
	if !a.Token.IsEmpty() {
		return []Value{a.Token}
	}
	switch a.Method.Text() {
	case "approle":
		return []Value{a.SecretID, a.SecretIDFile}
	case "userpass", "ldap":
		return []Value{a.Password}
	case "jwt", "kubernetes":
		return []Value{a.JWTFile}
	}
	return nil
}

// vaultToken fills in the token. A method other than token that somebody asked
// for hides a token unless VALETKEY_VAULT_TOKEN stands above the method.
func (s *Settings) vaultToken(a *VaultAuth) error {
	token, err := s.must("vault.token")
	hidden := a.Method.Set && a.Method.Text() != "token" && (token.layer != fromEnv || a.Method.layer >= fromEnv)
	if hidden {
		if err == nil && token.Set {
			s.warn("the Vault token (" + token.Source + ") is ignored, because vault.auth.method (" + a.Method.Source + ") is " + a.Method.Text())
		}
		token = Value{Name: "vault.token", Source: "default", hidden: true}
		err = nil
	}
	a.Token = token
	a.StoredFirst = token.Set && token.layer < fromAlias
	return err
}

// KV returns where the secrets of jobs lie in Vault.
func (s *Settings) KV() (KV, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &fill{s: s}
	return KV{Mount: f.get("vault.mount"), Layout: f.get("vault.layout")}, f.err
}

// S3 returns the settings of S3. No credential rule is needed: a signature does
// not give the key away.
func (s *Settings) S3() (S3, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &fill{s: s}
	return S3{
		Endpoint: f.get("s3.endpoint"), PublicEndpoint: f.get("s3.public_endpoint"),
		Region: f.get("s3.region"), Addressing: f.get("s3.addressing"), TLS: f.tls("s3", false),
	}, f.err
}

// minRefresh is the shortest refresh: SDKs renew minutes before the end and
// would otherwise ask all the time.
const minRefresh = 30 * time.Minute

// Keys returns how access keys are kept, after checking that the times fit
// together; if they do not, that is failure.Config.
func (s *Settings) Keys() (Keys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &fill{s: s}
	k := Keys{
		Store: f.get("keys.store"), VaultMount: f.get("keys.vault_mount"), TokensStore: f.get("tokens.store"),
		RefreshFrom: f.get("keys.refresh"), MaxAgeFrom: f.get("keys.max_age"), GraceFrom: f.get("keys.grace"),
	}
	if f.err != nil {
		return k, f.err
	}
	k.Refresh, k.MaxAge, k.Grace = k.RefreshFrom.Duration(), k.MaxAgeFrom.Duration(), k.GraceFrom.Duration()
	switch {
	case k.Refresh < minRefresh:
		return k, failure.New(failure.Config, "%s is less than 30m", shown(k.RefreshFrom)).
			WithHint("an SDK that asks more often gains nothing: a VAST key does not expire")
	case k.Refresh > k.Grace:
		return k, failure.New(failure.Config, "%s is more than %s", shown(k.RefreshFrom), shown(k.GraceFrom)).
			WithHint("a rotated key must outlive the time an SDK may go on using it")
	case k.MaxAge != 0 && k.MaxAge-k.Grace <= k.Refresh:
		return k, failure.New(failure.Config, "%s is not more than %s and %s together", shown(k.MaxAgeFrom), shown(k.GraceFrom), shown(k.RefreshFrom)).
			WithHint("the next rotation must find the slot of the last one free")
	}
	return k, nil
}

// shown is a value in an error.
func shown(v Value) string { return v.Name + " " + v.Text() + " (" + v.Source + ")" }

// Job returns the data job that is meant.
func (s *Settings) Job() (Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &fill{s: s}
	return Job{Team: f.get("team"), Job: f.get("job")}, f.err
}

// Global returns what every command obeys. When it returns an error, the
// settings still say what flags, environment and defaults say, as far as that
// is readable: enough to print the error in the format that was asked for, and
// for commands that must work with a broken config file.
func (s *Settings) Global() (Global, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	get := func(name string) Value {
		v, err := s.must(name)
		if err == nil {
			return v
		}
		errs = append(errs, err)
		row, _ := Find(name)
		if v, err = s.value(row, s.top(name)); err == nil {
			return v
		}
		v = Value{Name: name, Source: "default", kind: row.Kind}
		v.parsed, _ = row.parse(row.Default)
		return v
	}
	g := Global{
		Profile: get("profile"), Output: get("output"), Timeout: get("timeout"), Debug: get("debug"),
		DebugFile: get("debug_file"), NoInput: get("no_input"), Quiet: get("quiet"),
	}
	if len(errs) == 0 {
		return g, nil
	}
	return g, usageFirst(errs)
}

// usageFirst picks the error to tell: a wrong flag before anything about files.
func usageFirst(errs []error) error {
	for _, err := range errs {
		var e *failure.Error
		if errors.As(err, &e) && e.Kind == failure.Usage {
			return err
		}
	}
	return errs[0]
}
