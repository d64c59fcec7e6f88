package vault_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/valetkey/valetkey/pkg/sandbox/vaulttest"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vault"
)

func Example() {
	sandbox, err := vaulttest.New(vaulttest.Options{RootToken: secret.FromString("root"), RoleID: "role", SecretID: "secret-id"})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewTLSServer(sandbox)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := vault.New(vault.Config{Address: server.URL, HTTP: server.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := c.LoginAppRole(ctx, "approle", "role", secret.FromString("secret-id"))
	if err != nil {
		fmt.Println(err)
		return
	}
	c.SetToken(login.Token)
	written, err := c.WriteSecret(ctx, "secret", "team/job", []byte(`{"a":"b"}`), 0)
	fmt.Println(written.Version, err)
	_, err = c.WriteSecret(ctx, "secret", "team/job", []byte(`{"a":"c"}`), 0)
	fmt.Println(err)
	doc, err := c.ReadSecret(ctx, "secret", "team/job")
	fmt.Println(string(doc.Data), doc.Version, err)
	// Output:
	// 1 <nil>
	// write secret secret/data/team/job: somebody else changed it first
	// {"a":"b"} 1 <nil>
}
