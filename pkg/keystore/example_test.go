package keystore_test

import (
	"context"
	"fmt"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/keystore"
)

func ExampleStore() {
	ctx := context.Background()
	var store keystore.Store = keystore.NewMemory()
	if err := store.Put(ctx, "vms.example.com/-/alice", []byte(`{"version":1}`)); err != nil {
		fmt.Println(err)
	}
	value, err := store.Get(ctx, "vms.example.com/-/alice")
	fmt.Println(string(value), err)
	_, err = store.Get(ctx, "vms.example.com/-/bob")
	fmt.Println(failure.KindOf(err))
	// Output:
	// {"version":1} <nil>
	// not_found
}

func ExampleReasonOf() {
	err := keystore.Unusable("kernel", keystore.Denied, nil, "kernel store: read the key")
	fmt.Println(keystore.ReasonOf(err), failure.DetailsOf(err)["alternatives"])
	// Output: denied [file os]
}
