package vaulttest_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"
)

// hashicorp is HashiCorp's own client on the sandbox: a witness that shares no
// code with ours.
func hashicorp(t *testing.T, w *world) *api.Client {
	t.Helper()
	for _, name := range []string{"VAULT_ADDR", "VAULT_CACERT", "VAULT_CAPATH", "VAULT_NAMESPACE", "VAULT_TOKEN", "VAULT_SKIP_VERIFY", "VAULT_HEADERS"} {
		t.Setenv(name, "") // this client reads them whatever it is told
		_ = os.Unsetenv(name)
	}
	srv := httptest.NewTLSServer(w)
	t.Cleanup(srv.Close)
	c, err := api.NewClient(&api.Config{Address: srv.URL, HttpClient: srv.Client(), Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func status(err error) int {
	var e *api.ResponseError
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

func TestHashiCorpsClientTellsTheSameStory(t *testing.T) {
	w := newWorld(t)
	c, ctx := hashicorp(t, w), context.Background()

	login, err := c.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": "role", "secret_id": "sid"})
	if err != nil {
		t.Fatal(err)
	}
	if ttl, err := login.TokenTTL(); err != nil || ttl != time.Hour {
		t.Errorf("ttl %v %v", ttl, err)
	}
	policies, err := login.TokenPolicies()
	if diff := cmp.Diff([]string{"default", "valetkey"}, policies); diff != "" || err != nil {
		t.Error(diff, err)
	}
	c.SetToken(login.Auth.ClientToken)

	kv := c.KVv2("secret")
	if _, err := kv.Get(ctx, "team/job"); !errors.Is(err, api.ErrSecretNotFound) {
		t.Errorf("absent: %v", err)
	}
	s, err := kv.Put(ctx, "team/job", map[string]any{"a": "1"}, api.WithCheckAndSet(0))
	if err != nil || s.VersionMetadata.Version != 1 || s.VersionMetadata.CreatedTime.IsZero() {
		t.Fatalf("%+v %v", s, err)
	}
	_, err = kv.Put(ctx, "team/job", map[string]any{"a": "2"}, api.WithCheckAndSet(0))
	if status(err) != 400 || !strings.Contains(err.Error(), "check-and-set parameter did not match the current version") {
		t.Errorf("lost check-and-set: %v", err)
	}
	if _, err = kv.Put(ctx, "team/job", map[string]any{"a": "2"}, api.WithCheckAndSet(1)); err != nil {
		t.Error(err)
	}
	if err := kv.PutMetadata(ctx, "team/job", api.KVMetadataPutInput{CustomMetadata: map[string]any{"by": "me"}, MaxVersions: 5}); err == nil {
		t.Error("delete_version_after is taken and not played")
	}
	if s, err = kv.GetVersion(ctx, "team/job", 1); err != nil || s.Data["a"] != "1" {
		t.Errorf("%+v %v", s, err)
	}
	if s, err = kv.Rollback(ctx, "team/job", 1); err != nil || s.VersionMetadata.Version != 3 {
		t.Errorf("rollback: %+v %v", s, err)
	}
	versions, err := kv.GetVersionsAsList(ctx, "team/job")
	if err != nil || len(versions) != 3 {
		t.Errorf("%d versions, %v", len(versions), err)
	}
	if err := kv.Delete(ctx, "team/job"); err != nil {
		t.Error(err)
	}
	if s, err = kv.Get(ctx, "team/job"); err != nil || s.Data != nil || s.VersionMetadata.Version != 3 || s.VersionMetadata.DeletionTime.IsZero() {
		t.Errorf("deleted: %+v %v", s, err)
	}
	if err := kv.Undelete(ctx, "team/job", []int{3}); err != nil {
		t.Error(err)
	}
	if s, err = kv.Get(ctx, "team/job"); err != nil || s.Data["a"] != "1" {
		t.Errorf("undeleted: %+v %v", s, err)
	}
	if err := kv.Destroy(ctx, "team/job", []int{3}); err != nil {
		t.Error(err)
	}
	if err := kv.DeleteMetadata(ctx, "team/job"); err != nil {
		t.Error(err)
	}
	if _, err := c.Logical().ListWithContext(ctx, "secret/metadata/team"); err != nil {
		t.Error(err)
	}

	own, err := c.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil || own.Data["display_name"] != "approle" {
		t.Errorf("%+v %v", own, err)
	}
	if _, err := c.Auth().Token().RenewSelfWithContext(ctx, 60); err != nil {
		t.Error(err)
	}
	if _, err := c.Sys().ListMountsWithContext(ctx); status(err) != 403 {
		t.Errorf("a token without the right lists mounts: %v", err)
	}
	if err := c.Auth().Token().RevokeSelfWithContext(ctx, ""); err != nil {
		t.Error(err)
	}
	if _, err := c.Auth().Token().LookupSelfWithContext(ctx); status(err) != 403 {
		t.Errorf("a revoked token looks itself up: %v", err)
	}

	c.SetToken(rootToken)
	mounts, err := c.Sys().ListMountsWithContext(ctx)
	if err != nil || mounts["secret/"].Options["version"] != "2" || mounts["old/"].Options["version"] != "1" {
		t.Errorf("%+v %v", mounts, err)
	}
	made, err := c.Auth().Token().CreateWithContext(ctx, &api.TokenCreateRequest{Policies: []string{"valetkey-read"}, TTL: "1h"})
	if err != nil || made.Auth.LeaseDuration != 3600 {
		t.Errorf("%+v %v", made, err)
	}
	health, err := c.Sys().HealthWithContext(ctx)
	if err != nil || !health.Initialized || health.Sealed {
		t.Errorf("%+v %v", health, err)
	}
	if err := c.Sys().SealWithContext(ctx); err != nil {
		t.Error(err)
	}
	if _, err := kv.Get(ctx, "team/job"); status(err) != 503 {
		t.Errorf("sealed: %v", err)
	}
	seal, err := c.Sys().UnsealWithContext(ctx, w.UnsealKey().Reveal())
	if err != nil || seal.Sealed {
		t.Errorf("%+v %v", seal, err)
	}
}
