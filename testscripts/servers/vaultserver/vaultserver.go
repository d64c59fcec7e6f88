// Package vaultserver runs a real, empty Vault in this process: storage in
// memory, TLS on a free port of 127.0.0.1, KV v2 at secret/ and valetkey/, an
// AppRole named valetkey and a userpass account named alice, as `valetkey dev`
// has them.
//
// Linking Vault takes minutes, so it is imported by cmd/realvault alone; tests
// start that program.
package vaultserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"

	"github.com/valetkey/valetkey/testscripts/servers/certs"
)

// Server is a Vault that answers.
type Server struct {
	Address string // https://127.0.0.1:PORT
	CAFile  string
	Token   string // may do everything

	RoleID, SecretID string // AppRole valetkey
	Password         string // of alice, userpass

	core *vault.Core
	http *http.Server
}

// mayUse is what alice and the AppRole may do: everything in the two KV mounts.
const mayUse = `
path "secret/*"   { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
path "valetkey/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
`

// Start starts a Vault and returns when it is initialized, unsealed and set up.
// dir gets its ca.pem.
func Start(ctx context.Context, dir string) (*Server, error) {
	quiet := hclog.NewNullLogger()
	storage, err := inmem.NewInmem(nil, quiet)
	if err != nil {
		return nil, err
	}
	engines := map[string]logical.Factory{"kv": kv.Factory}
	logins := map[string]logical.Factory{"approle": approle.Factory, "userpass": userpass.Factory}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, DisableMlock: true, Logger: quiet,
		LogicalBackends: engines, CredentialBackends: logins,
		BuiltinRegistry: registry{engines: engines, logins: logins},
		DefaultLeaseTTL: time.Hour, MaxLeaseTTL: 30 * 24 * time.Hour,
	})
	if err != nil {
		return nil, fmt.Errorf("make vault: %w", err)
	}
	pair, err := certs.New()
	if err != nil {
		return nil, err
	}
	config, err := pair.ServerTLS()
	if err != nil {
		return nil, err
	}
	caFile, err := pair.WriteCA(dir)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		Address: "https://" + listener.Addr().String(), CAFile: caFile, Password: rand.Text(), core: core,
		http: &http.Server{
			Handler:           vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}}),
			TLSConfig:         config,
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          quiet.StandardLogger(&hclog.StandardLoggerOptions{}),
		},
	}
	go func() {
		if err := s.http.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Print(err)
		}
	}()
	if err := s.setUp(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close stops the server; what it held is gone.
func (s *Server) Close() error {
	return errors.Join(s.http.Close(), s.core.Shutdown())
}

func (s *Server) setUp(ctx context.Context) error {
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	made, err := s.core.Initialize(ctx, &vault.InitParams{BarrierConfig: one, RecoveryConfig: one})
	if err != nil {
		return fmt.Errorf("initialize vault: %w", err)
	}
	s.Token = made.RootToken
	if open, err := s.core.Unseal(made.SecretShares[0]); err != nil || !open {
		return fmt.Errorf("unseal vault: open %t: %w", open, err)
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	sys := client.Sys()
	for _, mount := range []string{"secret", "valetkey"} {
		err := sys.MountWithContext(ctx, mount, &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}})
		if err != nil {
			return fmt.Errorf("mount %s: %w", mount, err)
		}
	}
	for _, method := range []string{"approle", "userpass"} {
		if err := sys.EnableAuthWithOptionsWithContext(ctx, method, &api.EnableAuthOptions{Type: method}); err != nil {
			return fmt.Errorf("enable %s: %w", method, err)
		}
	}
	if err := sys.PutPolicyWithContext(ctx, "valetkey", mayUse); err != nil {
		return err
	}
	write := func(path string, data map[string]any) (*api.Secret, error) {
		secret, err := client.Logical().WriteWithContext(ctx, path, data)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		return secret, nil
	}
	if _, err := write("auth/userpass/users/alice", map[string]any{"password": s.Password, "token_policies": "valetkey"}); err != nil {
		return err
	}
	if _, err := write("auth/approle/role/valetkey", map[string]any{"token_policies": "valetkey"}); err != nil {
		return err
	}
	role, err := client.Logical().ReadWithContext(ctx, "auth/approle/role/valetkey/role-id")
	if err != nil {
		return err
	}
	secretID, err := write("auth/approle/role/valetkey/secret-id", nil)
	if err != nil {
		return err
	}
	s.RoleID, _ = role.Data["role_id"].(string)
	s.SecretID, _ = secretID.Data["secret_id"].(string)
	if s.RoleID == "" || s.SecretID == "" {
		return errors.New("vault answered without a role id or a secret id")
	}
	return s.waitForKV(ctx, client)
}

// waitForKV waits until both mounts take writes: a new KV v2 mount says for a
// moment that it is still upgrading.
func (s *Server) waitForKV(ctx context.Context, client *api.Client) error {
	for _, mount := range []string{"secret", "valetkey"} {
		for {
			_, err := client.Logical().ListWithContext(ctx, mount+"/metadata")
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for mount %s: %w", mount, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func (s *Server) client() (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	if err := config.ConfigureTLS(&api.TLSConfig{CACert: s.CAFile}); err != nil {
		return nil, err
	}
	config.Address = s.Address
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(s.Token)
	client.ClearNamespace()
	return client, nil
}
