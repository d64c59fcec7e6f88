package accesskey

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// itemVersion is the version of the stored item that this release writes and
// the newest that it reads.
//
// Version 1 is closed: a member that a v1 reader does not know means that a
// newer valetkey wrote the item, and is refused like a newer version, since a
// rewrite would lose it. Every member of rotation, grace and leases is in v1
// from the start.
const itemVersion = 1

// MaxItemSize is what an item with three generations stays below, in bytes:
// the Windows Credential Manager takes 2560.
const MaxItemSize = 2500

// padSize is the length of the access and secret key that pending room stands
// for. VAST issues 20 and 40 characters; older releases issued 24 and more.
const padSize = 24 + 64

// The wire structs are the only place where a secret becomes JSON.
type wireItem struct {
	Version  int          `json:"version"`
	Identity wireIdentity `json:"identity"`
	Keys     []wireKey    `json:"keys"`
	NextTry  time.Time    `json:"next_try,omitzero"`
	Checked  time.Time    `json:"checked,omitzero"`
}

type wireIdentity struct {
	VMS    string `json:"vms"`
	Tenant string `json:"tenant,omitempty"`
	User   string `json:"user"`
}

type wireKey struct {
	AccessKey    string    `json:"access_key,omitempty"`
	SecretKey    string    `json:"secret_key,omitempty"`
	State        State     `json:"state"`
	Created      time.Time `json:"created,omitzero"`
	IssuedBy     string    `json:"issued_by,omitempty"`
	Longest      int64     `json:"longest_refresh_seconds,omitempty"`
	Retired      time.Time `json:"retired,omitzero"`
	RefreshUntil time.Time `json:"refresh_until,omitzero"`
	DeleteAfter  time.Time `json:"delete_after,omitzero"`
	Disabled     bool      `json:"disabled,omitempty"`
	Intent       string    `json:"intent,omitempty"`
	LeaseUntil   time.Time `json:"lease_until,omitzero"`
	Pad          string    `json:"pad,omitempty"`
}

func wire(id Identity) wireIdentity { return wireIdentity(id) }

// second cuts a time to what is stored.
func second(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}

// Encode returns the stored form of the item. Equal items give equal bytes.
func (it Item) Encode() ([]byte, error) {
	w := wireItem{
		Version: itemVersion, Identity: wire(it.Identity), Keys: make([]wireKey, 0, len(it.Keys)),
		NextTry: second(it.NextTry), Checked: second(it.Checked),
	}
	for _, g := range it.Keys {
		k := wireKey{
			AccessKey: g.AccessKey, SecretKey: g.SecretKey.Reveal(), State: g.State,
			Created: second(g.Created), IssuedBy: g.IssuedBy, Longest: int64(g.LongestRefresh / time.Second),
			Retired: second(g.Retired), RefreshUntil: second(g.RefreshUntil), DeleteAfter: second(g.DeleteAfter),
			Disabled: g.Disabled, Intent: g.Intent, LeaseUntil: second(g.LeaseUntil),
		}
		if g.State == Pending {
			k.Pad = strings.Repeat(".", padSize)
		}
		w.Keys = append(w.Keys, k)
	}
	return encodeJSON(w)
}

// DecodeItem reads a stored item and checks that it belongs to the identity.
// An item that is damaged, foreign or written by a newer valetkey is
// failure.Store, naming the item and never showing its content.
func DecodeItem(id Identity, raw []byte) (Item, error) {
	var w wireItem
	if err := decodeVersioned(raw, itemVersion, &w); err != nil {
		return Item{}, failure.Annotate(err, "stored item %q", id.Item())
	}
	if got := Identity(w.Identity); got != id {
		return Item{}, failure.New(failure.Store, "stored item %q holds the keys of %q", id.Item(), got.Item()).
			WithHint("it was copied or renamed by hand; delete it, or put it back where it belongs")
	}
	it := Item{Identity: id, NextTry: second(w.NextTry), Checked: second(w.Checked)}
	for i, k := range w.Keys {
		g := Generation{
			AccessKey: k.AccessKey, SecretKey: secret.FromString(k.SecretKey), State: k.State,
			Created: second(k.Created), IssuedBy: k.IssuedBy, LongestRefresh: time.Duration(k.Longest) * time.Second,
			Retired: second(k.Retired), RefreshUntil: second(k.RefreshUntil), DeleteAfter: second(k.DeleteAfter),
			Disabled: k.Disabled, Intent: k.Intent, LeaseUntil: second(k.LeaseUntil),
		}
		if err := it.admit(g); err != nil {
			return Item{}, failure.Annotate(err, "stored item %q, key %d", id.Item(), i+1)
		}
		it.Keys = append(it.Keys, g)
	}
	return it, nil
}

// admit checks one generation against those before it.
func (it Item) admit(g Generation) error {
	switch g.State {
	case Pending:
		return nil
	case Active, Retiring:
	default:
		return newer("the state of the key is unknown to this release")
	}
	if g.AccessKey == "" || g.SecretKey.IsEmpty() {
		return damaged("a key is incomplete")
	}
	if _, twice := it.Find(g.AccessKey); twice {
		return damaged("a key is there twice")
	}
	return nil
}

func damaged(what string) *failure.Error {
	return failure.New(failure.Store, "damaged: %s", what).
		WithHint("restore it from a backup, or delete it and issue a new key")
}

func newer(what string) *failure.Error {
	return failure.New(failure.Store, "written by a newer valetkey: %s", what).WithHint("update valetkey")
}

// encodeJSON writes compact JSON and leaves < > & as they are.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, failure.New(failure.Internal, "encode a stored item")
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// decodeVersioned reads a versioned document into v. Its errors never quote
// the document, which may hold secrets.
func decodeVersioned(raw []byte, version int, v any) error {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return damaged("it is not the JSON that was written")
	}
	if head.Version > version {
		return newer("its version is " + strconv.Itoa(head.Version))
	}
	if head.Version < 1 {
		return damaged("it has no version")
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return damaged("a member has the wrong type")
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(v); err != nil {
		return newer("it has a member that this release does not know")
	}
	return nil
}
