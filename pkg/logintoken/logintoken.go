// Package logintoken is the stored form of a login: the tokens that VMS or
// Vault gave for a password, kept so that the next process need not ask.
//
// The form is frozen and carries a version; one written by a newer valetkey is
// refused, not misread. The package does no I/O.
package logintoken

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// version is what this release writes and the newest that it reads. Version 1
// is closed: an unknown member was written by a newer valetkey.
const version = 1

// Kind is what the login is for.
type Kind string

// The kinds.
const (
	VMS   Kind = "vms"
	Vault Kind = "vault"
)

// Item is a stored login. Times have a resolution of one second; a zero time
// is unknown.
type Item struct {
	Kind    Kind
	Address string // normalized: host, or host:port where the port is not 443
	Realm   string // the tenant of VMS or the namespace of Vault; empty is none
	Mount   string // Vault: the auth method's mount
	User    string // VMS: who logged in; Vault: what the method calls the caller, for people

	Access  secret.Text // the JWT of VMS, or the token of Vault
	Refresh secret.Text // VMS: what gets another JWT

	Obtained  time.Time
	Expires   time.Time
	TTL       time.Duration // as granted; half of it is when renewing starts
	Renewable bool          // Vault
	Given     bool          // Vault: a person had the token from elsewhere, where it may be in use; it is not ours to revoke
	Accessor  string        // Vault: names the token without being it
	Trust     string        // what the address was trusted by, so that a login is not sent to another server of that name
}

// Name is the name of the item in a store. Logins at different servers,
// tenants or namespaces, and mounts never share one.
func (it Item) Name() string {
	if it.Kind == Vault {
		return VaultName(it.Address, it.Realm, it.Mount)
	}
	return VMSName(it.Address, it.Realm, it.User)
}

// VMSName is the name of a VMS login: "login/vms/host/tenant/user", "-" for no
// tenant. A slash or percent sign within a part is percent-encoded.
func VMSName(address, tenant, user string) string {
	return "login/vms/" + segment(address) + "/" + orDash(tenant) + "/" + segment(user)
}

// VaultName is the name of a Vault login: "login/vault/host/namespace/mount",
// "-" for no namespace, encoded like a VMSName. Slashes at the ends of
// namespace and mount mean nothing to Vault, and nothing here.
func VaultName(address, namespace, mount string) string {
	return "login/vault/" + segment(address) + "/" + orDash(strings.Trim(namespace, "/")) + "/" + segment(strings.Trim(mount, "/"))
}

var segments = strings.NewReplacer("%", "%25", "/", "%2F")

func segment(s string) string { return segments.Replace(s) }

func orDash(s string) string {
	switch s {
	case "":
		return "-"
	case "-":
		return "%2D"
	}
	return segment(s)
}

// wire is the only place where a token becomes JSON.
type wire struct {
	Version   int       `json:"version"`
	Kind      Kind      `json:"kind"`
	Address   string    `json:"address"`
	Realm     string    `json:"realm,omitempty"`
	Mount     string    `json:"mount,omitempty"`
	User      string    `json:"user,omitempty"`
	Access    string    `json:"access"`
	Refresh   string    `json:"refresh,omitempty"`
	Obtained  time.Time `json:"obtained,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	TTL       int64     `json:"ttl_seconds,omitempty"`
	Renewable bool      `json:"renewable,omitempty"`
	Given     bool      `json:"given,omitempty"`
	Accessor  string    `json:"accessor,omitempty"`
	Trust     string    `json:"trust,omitempty"`
}

// Encode returns the stored form. Equal items give equal bytes.
func (it Item) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(wire{
		Version: version, Kind: it.Kind, Address: it.Address, Realm: it.Realm, Mount: it.Mount, User: it.User,
		Access: it.Access.Reveal(), Refresh: it.Refresh.Reveal(),
		Obtained: second(it.Obtained), Expires: second(it.Expires), TTL: int64(it.TTL / time.Second),
		Renewable: it.Renewable, Given: it.Given, Accessor: it.Accessor, Trust: it.Trust,
	})
	if err != nil {
		return nil, failure.New(failure.Internal, "encode a stored login")
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// Decode reads the stored form. The name is that of the store's item: a login
// found under another name than its own is refused, so that a token is sent
// nowhere but to the server that gave it. Damaged, foreign and newer items are
// failure.Store; no error quotes the content.
func Decode(name string, raw []byte) (Item, error) {
	var w wire
	if err := json.Unmarshal(raw, &w); err != nil {
		// A newer version may have another shape altogether.
		var head struct {
			Version int `json:"version"`
		}
		if json.Unmarshal(raw, &head) == nil && head.Version > version {
			return Item{}, newer(name, head.Version)
		}
		return Item{}, damaged(name)
	}
	if w.Version > version {
		return Item{}, newer(name, w.Version)
	}
	if w.Version < 1 || w.Access == "" || w.Kind != VMS && w.Kind != Vault {
		return Item{}, damaged(name)
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&wire{}); err != nil {
		return Item{}, failure.New(failure.Store, "stored login %q was written by a newer valetkey", name).WithHint("update valetkey, or log in again")
	}
	it := Item{
		Kind: w.Kind, Address: w.Address, Realm: w.Realm, Mount: w.Mount, User: w.User,
		Access: secret.FromString(w.Access), Refresh: secret.FromString(w.Refresh),
		Obtained: second(w.Obtained), Expires: second(w.Expires), TTL: time.Duration(w.TTL) * time.Second,
		Renewable: w.Renewable, Given: w.Given, Accessor: w.Accessor, Trust: w.Trust,
	}
	if it.Name() != name {
		return Item{}, failure.New(failure.Store, "stored login %q is that of %q", name, it.Name()).
			WithHint("it was copied or renamed by hand; log in again")
	}
	return it, nil
}

// Valid reports whether the access token is not known to have expired.
func (it Item) Valid(now time.Time) bool {
	return !it.Access.IsEmpty() && (it.Expires.IsZero() || now.Before(it.Expires))
}

func damaged(name string) error {
	return failure.New(failure.Store, "stored login %q is damaged", name).WithHint("log in again")
}

func newer(name string, v int) error {
	return failure.New(failure.Store, "stored login %q was written by a newer valetkey (version %s)", name, strconv.Itoa(v)).
		WithHint("update valetkey, or log in again")
}

func second(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}
