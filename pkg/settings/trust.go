package settings

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/valetkey/valetkey/pkg/failure"
)

// checkTrust holds the rule that a credential of the profile goes only to the
// profile's own address, or to one typed as a flag. An address, CA file, server
// name, pin or insecure that a variable put in its place would let whoever sets
// the environment of one program collect the credential.
//
// servers are the settings that say where the credential goes.
func (s *Settings) checkTrust(servers []Value, t TLS, credentials ...Value) error {
	for _, c := range credentials {
		if c.layer != fromProfile || c.IsEmpty() {
			continue
		}
		for _, v := range append(t.recognition(), servers...) {
			if s.replaced(v) {
				return misdirected(c, v)
			}
		}
	}
	return nil
}

func misdirected(c, v Value) error {
	return failure.New(failure.Config, "%s (%s) is not sent with %s (%s), which is not the profile's own", c.Name, c.Source, v.Name, v.Source).
		WithHint("give %s as a flag or write it into the profile, or give the credential the same way as the %s", v.Name, lastPart(v.Name)).
		WithDetail("credential", c.Name).WithDetail("setting", v.Name)
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// replaced reports whether a variable put v in place of what the profile says.
func (s *Settings) replaced(v Value) bool {
	if !v.fromEnvironment() {
		return false
	}
	if harmless(v) {
		return false
	}
	own := ""
	if s.file != nil {
		own = s.own(v.Name)
	}
	if v.kind == Address {
		return canonical(own) != canonical(v.Text())
	}
	return own != v.Text()
}

func (v Value) fromEnvironment() bool { return v.layer == fromEnv || v.layer == fromAlias }

// own is what the chosen profile itself says about a setting.
func (s *Settings) own(name string) string {
	chosen, err := s.must("profile")
	if err != nil {
		return ""
	}
	profile := chosen.Text()
	if profile == "" {
		profile = "default"
	}
	said, ok := s.file.profiles[profile][name]
	if !ok {
		return ""
	}
	row, _ := Find(name)
	v, err := s.value(row, entry{said.text, fromProfile, ""})
	if err != nil {
		return ""
	}
	return v.Text()
}

// canonical makes two spellings of an address comparable.
func canonical(address string) string {
	address = strings.ToLower(strings.TrimSpace(address))
	address = strings.TrimPrefix(address, "https://")
	return strings.TrimSuffix(strings.TrimRight(address, "/"), ":443")
}

// Trust sums up how a server is recognized, in words that two runs can compare.
// It is recorded beside a stored login and holds no secret.
func (t TLS) Trust() string {
	var parts []string
	for _, v := range t.recognition() {
		parts = append(parts, trustPart(v))
	}
	return strings.Join(parts, " ")
}

func (t TLS) recognition() []Value {
	return []Value{t.CAFile, t.ServerName, t.PinSHA256, t.Insecure}
}

// trustPart is what Trust says about one setting, such as server_name="vms".
func trustPart(v Value) string {
	text := v.Text()
	if v.kind == Path && text != "" {
		if abs, err := filepath.Abs(text); err == nil {
			text = abs
		}
	}
	return lastPart(v.Name) + "=" + strconv.Quote(text)
}

// CheckStored applies the rule for credentials to one from a store: recorded is
// what Trust said when it was stored, credential names it ("the stored login").
// A way to recognize the server that differs, and that the environment brought,
// is failure.Config. The address needs no check where it is part of the name
// under which the credential is stored.
func (t TLS) CheckStored(credential, recorded string) error {
	for _, v := range t.recognition() {
		if v.fromEnvironment() && !harmless(v) && !strings.Contains(recorded, trustPart(v)) {
			return failure.New(failure.Config, "%s is not sent with %s (%s), which differs from when it was stored", credential, v.Name, v.Source).
				WithHint("give %s as a flag or write it into the profile, or log in again", v.Name).
				WithDetail("credential", credential).WithDetail("setting", v.Name)
		}
	}
	return nil
}

// harmless is insecure=false: it is never worse than what was there.
func harmless(v Value) bool { return v.kind == Bool && !v.Bool() }
