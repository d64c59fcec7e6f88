package vms_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vms"
	"github.com/valetkey/valetkey/pkg/wire"
)

func Example() {
	options := wire.Options{
		Group:   "vms",
		Address: wire.Origin{Value: "vms.example", Source: "flag --vms-address"},
	}
	http, err := wire.NewHTTP(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := vms.New(vms.Config{
		Address:  options.Address.Value,
		Username: "alice",
		Password: func(context.Context) (secret.Text, error) { return secret.FromString("from a prompt"), nil },
		HTTP:     http,
		Explain:  func(err error) error { return wire.Explain(options, err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	issue := func(ctx context.Context) error {
		id, sec, err := client.CreateOwnKey(ctx)
		if errors.Is(err, vms.ErrAnswerLost) {
			return fmt.Errorf("look for a key that nobody has the secret of: %w", err)
		}
		_, _ = id, sec // store both before anything else
		return err
	}
	_ = issue
	fmt.Println(client.Address())
	// Output: https://vms.example
}
