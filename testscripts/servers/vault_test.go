package servers

import (
	"testing"

	"github.com/hashicorp/vault/api"
)

// TestVaultAnswers proves the server itself, with HashiCorp's own client.
func TestVaultAnswers(t *testing.T) {
	t.Parallel()
	v := StartVault(t)
	for _, mount := range []string{"secret", "valetkey"} {
		kv := v.client(t).KVv2(mount)
		if _, err := kv.Put(t.Context(), "team/job", map[string]any{"a": "1"}, api.WithCheckAndSet(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), "team/job", map[string]any{"a": "2"}, api.WithCheckAndSet(0)); err == nil {
			t.Errorf("%s: a lost check-and-set was written", mount)
		}
		got, err := kv.Get(t.Context(), "team/job")
		if err != nil {
			t.Fatal(err)
		}
		if got.Data["a"] != "1" || got.VersionMetadata.Version != 1 {
			t.Errorf("%s: got %v, version %d", mount, got.Data, got.VersionMetadata.Version)
		}
	}
	client := v.client(t)
	for path, data := range map[string]map[string]any{
		"auth/userpass/login/alice": {"password": v.Password},
		"auth/approle/login":        {"role_id": v.RoleID, "secret_id": v.SecretID},
	} {
		login, err := client.Logical().WriteWithContext(t.Context(), path, data)
		if err != nil {
			t.Fatal(err)
		}
		person := v.client(t)
		person.SetToken(login.Auth.ClientToken)
		if _, err := person.KVv2("secret").Get(t.Context(), "team/job"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := person.Sys().ListMountsWithContext(t.Context()); err == nil {
			t.Errorf("%s: may list mounts", path)
		}
	}
}

// TestVaultKeepsSecrets runs the verbs for secrets against the real server, with
// each way to log in that needs no prompt.
func TestVaultKeepsSecrets(t *testing.T) {
	t.Parallel()
	v := StartVault(t)
	for name, login := range map[string][]string{
		"token":   {"VALETKEY_VAULT_TOKEN=" + v.Token},
		"approle": {"VALETKEY_VAULT_AUTH_METHOD=approle", "VALETKEY_VAULT_ROLE_ID=" + v.RoleID, "VALETKEY_VAULT_SECRET_ID=" + v.SecretID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vk := newValetkey(t, append(login,
				"VALETKEY_VAULT_ADDRESS="+v.Address, "VALETKEY_VAULT_CA_FILE="+v.CAFile,
				"VALETKEY_TEAM=demo", "VALETKEY_JOB="+name, "VALETKEY_STORE=file")...)
			vk.in("s3cret\n").run("secrets", "set", "db-password", "--stdin")
			vk.in("second\n").run("secrets", "set", "api-key", "--stdin")
			vk.want("s3cret\n", "secrets", "get", "db-password")
			vk.want(`["api-key","db-password"]`+"\n", "secrets", "list", "-o", "json", "--jq", "sort")
			vk.run("secrets", "delete", "api-key", "--yes")
			vk.wantCode(6, "secrets", "get", "api-key")
			vk.want("s3cret\n", "secrets", "get", "db-password")

			document, err := v.client(t).KVv2("secret").GetVersion(t.Context(), "demo/"+name, 3)
			if err != nil {
				t.Fatalf("three writes make version 3: %v", err)
			}
			if _, ok := document.Data["secretsJson"].(string); !ok {
				t.Errorf("a new document is not of the vdk layout: it has %d members", len(document.Data))
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		vk := newValetkey(t, "VALETKEY_VAULT_ADDRESS="+v.Address, "VALETKEY_VAULT_CA_FILE="+v.CAFile,
			"VALETKEY_TEAM=demo", "VALETKEY_JOB=x", "VALETKEY_STORE=file", "VALETKEY_VAULT_TOKEN=hvs.wrong")
		vk.wantCode(4, "secrets", "get", "a")
	})
}

func (v *Vault) client(t *testing.T) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	if err := config.ConfigureTLS(&api.TLSConfig{CACert: v.CAFile}); err != nil {
		t.Fatal(err)
	}
	config.Address = v.Address
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(v.Token)
	return client
}
