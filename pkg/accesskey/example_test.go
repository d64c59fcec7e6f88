package accesskey_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
	"github.com/valetkey/valetkey/pkg/secret"
)

// oneKey stands for a VMS client.
type oneKey struct{ made bool }

func (v *oneKey) CreateKey(context.Context) (string, secret.Text, error) {
	if v.made {
		return "", secret.Text{}, accesskey.NotIssued(failure.New(failure.KeyLimit, "refused"))
	}
	v.made = true
	return "4XACULB2SLCZ80ZQPVMX", secret.FromString("told-once"), nil
}
func (v *oneKey) Keys(context.Context) ([]accesskey.Remote, error)   { return nil, nil }
func (v *oneKey) DeleteKey(context.Context, string) error            { return nil }
func (v *oneKey) ServerTime(context.Context) (time.Time, error)      { return time.Unix(0, 0), nil }
func (v *oneKey) connect(context.Context) (accesskey.VMSKeys, error) { return v, nil }

func ExampleService_EnsureKey() {
	dir, err := os.MkdirTemp("", "accesskey")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	id := accesskey.Identity{VMS: "vms.example.com", User: "alice"}
	now := func() time.Time { return time.Unix(1700000000, 0) }
	coordinator := accesskey.NewLocal(accesskey.LocalOptions{
		Identity: id, Store: keystore.NewMemory(), Now: now,
		Places: func() (accesskey.Places, error) {
			return accesskey.PlacesIn(filepath.Join(dir, "state"), "this-machine", "", id), nil
		},
	})
	keys := accesskey.New(accesskey.Deps{
		Identity: id, Coordinator: coordinator, Now: now,
		VMS:     new(oneKey).connect,
		Machine: func() (string, error) { return "this-machine", nil },
	})
	for range 2 {
		key, err := keys.EnsureKey(context.Background())
		fmt.Println(key.AccessKey, key.SecretKey, err)
	}
	// Output:
	// 4XACULB2SLCZ80ZQPVMX [redacted] <nil>
	// 4XACULB2SLCZ80ZQPVMX [redacted] <nil>
}

func ExampleItem_Current() {
	it := accesskey.Item{Identity: accesskey.Identity{VMS: "vms.example.com", User: "alice"}}
	it = it.Activate(accesskey.Generation{AccessKey: "OLD", SecretKey: secret.FromString("s")})
	it = it.Activate(accesskey.Generation{AccessKey: "NEW", SecretKey: secret.FromString("s")})
	newest, _ := it.Current()
	fmt.Println(newest.AccessKey)
	before, _ := it.Drop("NEW").Current()
	fmt.Println(before.AccessKey)
	// Output:
	// NEW
	// OLD
}
