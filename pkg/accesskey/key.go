package accesskey

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// Foreign is the state of a key that VMS knows and our store does not.
const Foreign State = "foreign"

// Key is one access key as people see it: what VMS and the store know of it.
type Key struct {
	AccessKey  string
	SecretKey  secret.Text // empty where the store does not have it
	User       string
	Tenant     string
	Enabled    bool
	Created    time.Time     // zero is unknown
	Age        time.Duration // 0 where Created is unknown
	Stored     bool          // the secret is in our store
	IssuedHere bool          // by this machine
	State      State         // active, retiring or foreign
}

// maxAccessKey bounds an access key, in bytes. VAST's have 20 to 24.
const maxAccessKey = 128

// CheckAccessKey refuses what cannot be an access key, as failure.Usage: an empty
// word, which an unset variable gives, one with spaces, or one of any length.
func CheckAccessKey(id string) error {
	switch {
	case id == "":
		return failure.New(failure.Usage, "the access key is empty").WithHint("valetkey keys list shows the keys there are")
	case len(id) > maxAccessKey:
		return failure.New(failure.Usage, "%d bytes are no access key: it has %d at most", len(id), maxAccessKey)
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }), strings.Trim(id, ".") == "":
		return failure.New(failure.Usage, "%q is not an access key", id)
	}
	return nil
}

// KeyDocument is the frozen JSON form of a key. Members may be added, never
// renamed.
type KeyDocument struct {
	AccessKey  string `json:"access_key"`
	SecretKey  string `json:"secret_key,omitempty"`
	User       string `json:"user"`
	Tenant     string `json:"tenant,omitempty"`
	Enabled    bool   `json:"enabled"`
	Created    string `json:"created,omitempty"` // RFC 3339, UTC
	AgeSeconds *int64 `json:"age_seconds,omitempty"`
	Stored     bool   `json:"stored"`
	IssuedHere bool   `json:"issued_here"`
	State      State  `json:"state"`
}

// Document returns the JSON form, with the secret only when asked for.
func (k Key) Document(showSecret bool) KeyDocument {
	d := KeyDocument{
		AccessKey: k.AccessKey, User: k.User, Tenant: k.Tenant, Enabled: k.Enabled,
		Stored: k.Stored, IssuedHere: k.IssuedHere, State: k.State,
	}
	if showSecret {
		d.SecretKey = k.SecretKey.Reveal()
	}
	if !k.Created.IsZero() {
		age := int64(k.Age / time.Second)
		d.Created, d.AgeSeconds = k.Created.UTC().Format(time.RFC3339), &age
	}
	return d
}

// YoungerThan reports whether the key is certainly younger: of an unknown age
// nobody knows.
func (k Key) YoungerThan(d time.Duration) bool { return !k.Created.IsZero() && k.Age < d }

// MarshalJSON writes the form without the secret.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.Document(false)) }

// Credentials are what an S3 client signs with.
type Credentials struct {
	AccessKey    string
	SecretKey    secret.Text
	SessionToken secret.Text // empty for a long-lived key
	Expires      time.Time
	Soft         bool // Expires asks the client to come again; the key itself lives on
}

// Source hands out credentials: a stored key, or temporary ones.
type Source interface {
	Credentials(ctx context.Context) (Credentials, error)
}
