package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// Document is one version of a KV v2 secret.
type Document struct {
	// Data is the JSON object that was stored, or nil when there is none: the
	// path was never written, or its newest version is deleted or destroyed.
	// Vault itself rounds bare numbers beyond 2^53; text comes back untouched.
	Data json.RawMessage
	// Version is the newest version's number, 0 where nothing was ever
	// written. It is what [Client.WriteSecret] wants as cas, also when the
	// version is deleted.
	Version int
	// Deleted says that the newest version is deleted or destroyed.
	Deleted bool
	// Expires is when Vault will delete the newest version by itself, as the
	// delete_version_after of its mount or path says; zero is never.
	Expires time.Time
	// At is the time of the answer by the server's clock, in whole seconds,
	// rounded down; zero where the answer does not tell.
	At time.Time
	// Custom is the custom metadata of the path.
	Custom map[string]string
}

// ReadSecret reads the newest version at a path of a KV v2 mount. What is not
// there is an empty Document and no error; a mount that is not there is
// NotFound, one that is not KV v2 Config.
func (c *Client) ReadSecret(ctx context.Context, mount, path string) (Document, error) {
	q, err := kvCall(http.MethodGet, mount, "data", path)
	if err != nil {
		return Document{}, err
	}
	q.doing = "read secret " + q.path
	a, err := c.do(ctx, q)
	if err != nil {
		return Document{}, err
	}
	if !a.isVault || (a.status != http.StatusOK && (a.status != http.StatusNotFound || len(a.Errors) > 0)) {
		return Document{}, c.refusal(ctx, q, a)
	}
	var inner struct {
		Data     json.RawMessage
		Metadata *struct {
			Version      int
			DeletionTime moment            `json:"deletion_time"`
			Custom       map[string]string `json:"custom_metadata"`
		}
	}
	if len(a.Data) > 0 {
		if err := json.Unmarshal(a.Data, &inner); err != nil {
			inner.Metadata = nil
		}
	}
	if inner.Metadata == nil || inner.Metadata.Version < 1 {
		// Either nothing was ever written, or this is no KV v2 mount: both
		// look alike, and the second must not pass for the first.
		if err := c.needKV2(ctx, mount); err != nil {
			return Document{}, err
		}
		if a.status == http.StatusOK {
			return Document{}, failure.New(failure.Network, "%s: the answer is not that of a KV v2 secret", q.doing)
		}
		return Document{At: a.at}, nil
	}
	c.remember(mount)
	d := Document{Version: inner.Metadata.Version, Custom: inner.Metadata.Custom, At: a.at}
	if a.status == http.StatusNotFound {
		d.Deleted = true
		return d, nil
	}
	d.Expires = inner.Metadata.DeletionTime.UTC()
	d.Data = bytes.TrimSpace(inner.Data)
	if string(d.Data) == "null" {
		d.Data = json.RawMessage("{}") // stored with "data": null, and no less there for that
	}
	if !bytes.HasPrefix(d.Data, []byte("{")) {
		return Document{}, failure.New(failure.Network, "%s: the answer holds no data", q.doing)
	}
	return d, nil
}

// Written is a version that was stored.
type Written struct {
	Version int
	At      time.Time // as in [Document]
}

// WriteSecret stores a JSON object as a new version if the newest version is
// still cas (0: nothing was ever written there). Otherwise it is Conflict. It is
// sent once, and whether it was done is known of every error but those that
// match [ErrAnswerLost].
func (c *Client) WriteSecret(ctx context.Context, mount, path string, data json.RawMessage, cas int) (Written, error) {
	q, err := kvCall(http.MethodPost, mount, "data", path)
	if err != nil {
		return Written{}, err
	}
	q.doing, q.opaque = "write secret "+q.path, true
	data = bytes.TrimSpace(data)
	if !bytes.HasPrefix(data, []byte("{")) || !json.Valid(data) {
		return Written{}, failure.New(failure.Internal, "%s: the document is no JSON object", q.doing)
	}
	// A KV v1 mount would take the write, store something else and ignore cas.
	if err := c.needKV2(ctx, mount); err != nil {
		return Written{}, err
	}
	body := make([]byte, 0, len(data)+64)
	body = append(body, `{"options":{"cas":`...)
	body = strconv.AppendInt(body, int64(cas), 10)
	body = append(body, `},"data":`...)
	q.body = append(append(body, data...), '}')
	a, err := c.do(ctx, q)
	if err != nil {
		return Written{}, err
	}
	if a.status != http.StatusOK || !a.isVault {
		err := c.refusal(ctx, q, a)
		if a.undecided() {
			err = lost(err)
		}
		return Written{}, err
	}
	var written struct{ Version int }
	if err := json.Unmarshal(a.Data, &written); err != nil || written.Version < 1 {
		return Written{}, lost(failure.New(failure.Network, "%s: the answer names no version", q.doing))
	}
	return Written{Version: written.Version, At: a.at}, nil
}

// ListSecrets are the names right below a path of a KV v2 mount, folders with
// a slash at the end, as Vault sorts them. The empty path is the mount itself.
// Nothing there is an empty list.
func (c *Client) ListSecrets(ctx context.Context, mount, path string) ([]string, error) {
	q, err := kvCall("LIST", mount, "metadata", path)
	if err != nil {
		return nil, err
	}
	q.doing = "list secrets in " + q.path
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.isVault && a.status == http.StatusNotFound && len(a.Errors) == 0 {
		return nil, c.needKV2(ctx, mount)
	}
	if a.status != http.StatusOK || !a.isVault {
		return nil, c.refusal(ctx, q, a)
	}
	var list struct{ Keys []string }
	if err := json.Unmarshal(a.Data, &list); err != nil || list.Keys == nil {
		return nil, failure.New(failure.Network, "%s: the answer is no list", q.doing)
	}
	// A KV v1 mount lists its folder "metadata" with the same shape.
	return list.Keys, c.needKV2(ctx, mount)
}

func kvCall(method, mount, area, path string) (call, error) {
	mount, err := cleanPath(failure.Config, "the name of the vault mount", mount)
	if err != nil {
		return call{}, err
	}
	full := mount + "/" + area
	if path != "" || method != "LIST" {
		if path, err = cleanPath(failure.Usage, "the path of a secret", path); err != nil {
			return call{}, err
		}
		full += "/" + path
	}
	return call{method: method, path: full}, nil
}

func (c *Client) remember(mount string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kv2[strings.Trim(mount, "/")] = true
}

// needKV2 asks Vault, once a mount, what is mounted there. Anything but KV v2
// is Config, nothing at all NotFound.
func (c *Client) needKV2(ctx context.Context, mount string) error {
	mount = strings.Trim(mount, "/")
	c.mu.Lock()
	known := c.kv2[mount]
	c.mu.Unlock()
	if known {
		return nil
	}
	q := call{method: http.MethodGet, path: "sys/internal/ui/mounts/" + mount, doing: "look at the vault mount " + mount + "/"}
	a, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || !a.isVault {
		return c.refusal(ctx, q, a)
	}
	var m struct {
		Type    string
		Path    string
		Options map[string]string
	}
	if err := json.Unmarshal(a.Data, &m); err != nil || m.Type == "" {
		return failure.New(failure.Network, "%s: the answer describes no mount", q.doing)
	}
	switch {
	case m.Type != "kv" && m.Type != "generic":
		return failure.New(failure.Config, "the vault mount %s/ is an engine of type %s, not a KV v2 store", mount, m.Type)
	case m.Options["version"] != "2":
		return failure.New(failure.Config, "the vault mount %s/ is KV version 1, which has no check-and-set", mount).
			WithHint("an administrator can upgrade it: vault kv enable-versioning %s/", mount)
	case strings.Trim(m.Path, "/") != mount:
		return failure.New(failure.Config, "%s/ is no vault mount, the mount there is %s", mount, m.Path)
	}
	c.remember(mount)
	return nil
}
