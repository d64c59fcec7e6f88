package vaulttest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/jobsecrets"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vault"
)

// documents joins the use-cases and the client, as the program does.
type documents struct{ *vault.Client }

func (d documents) Read(ctx context.Context, path string) (jobsecrets.Document, error) {
	doc, err := d.ReadSecret(ctx, "secret", path)
	return jobsecrets.Document{Data: doc.Data, Version: doc.Version}, err
}

func (d documents) Write(ctx context.Context, path string, data json.RawMessage, cas int) (int, error) {
	w, err := d.WriteSecret(ctx, "secret", path, data, cas)
	return w.Version, err
}

func (d documents) List(ctx context.Context, path string) ([]string, error) {
	return d.ListSecrets(ctx, "secret", path)
}

// services starts the sandbox and returns n independent users of it.
func services(t *testing.T, n int, layout jobsecrets.Layout) (*world, []*jobsecrets.Service) {
	t.Helper()
	w := newWorld(t)
	srv := httptest.NewTLSServer(w)
	t.Cleanup(srv.Close)
	var all []*jobsecrets.Service
	for range n {
		c, err := vault.New(vault.Config{Address: srv.URL, HTTP: srv.Client()})
		if err != nil {
			t.Fatal(err)
		}
		login, err := c.LoginAppRole(t.Context(), "", "role", secret.FromString("sid"))
		if err != nil {
			t.Fatal(err)
		}
		c.SetToken(login.Token)
		svc, err := jobsecrets.New(jobsecrets.Deps{Documents: documents{c}, Layout: layout})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, svc)
	}
	return w, all
}

func change(name, value string) []jobsecrets.Change {
	return []jobsecrets.Change{{Name: name, Value: secret.FromString(value)}}
}

func TestJobSecretsThroughTheClient(t *testing.T) {
	w, all := services(t, 1, jobsecrets.VDK)
	svc, ctx := all[0], t.Context()
	job, err := jobsecrets.NewJob("my team", "job é%2f")
	if err != nil {
		t.Fatal(err)
	}
	const odd = `{"n":9007199254740993,"e":1E400,"half":"\ud800","nul":"\u0000"}`
	if _, err := svc.Set(ctx, job, change("odd", odd), false); err != nil {
		t.Fatal(err)
	}
	got, err := svc.Get(ctx, job, "odd")
	if err != nil || got.Value.Reveal() != odd || got.Version != 1 {
		t.Errorf("%s, version %d, %v", got.Value.Reveal(), got.Version, err)
	}
	// As VDK would read it.
	_, body := w.ask(rootToken, "GET", "secret/data/my%20team/job%20%C3%A9%252f", "")
	if pick(t, body, "data", "data", "jobName") != "my team/job é%2f" || pick(t, body, "data", "data", "secretsJson") != `{"odd":`+odd+`}` {
		t.Error(body)
	}
	names, err := svc.Team(ctx, "my team")
	if err != nil || len(names) != 1 || len(names["job é%2f"]) != 1 {
		t.Errorf("%v %v", names, err)
	}
	if wr, err := svc.Delete(ctx, job, jobsecrets.DeleteOptions{All: true}); err != nil || wr.Version != 2 {
		t.Errorf("%+v %v", wr, err)
	}
	// VDK's own delete leaves a version that is deleted; ours goes on from its number.
	w.ask(rootToken, "DELETE", "secret/data/my%20team/job%20%C3%A9%252f", "")
	if wr, err := svc.Set(ctx, job, change("a", `"b"`), false); err != nil || wr.Version != 3 {
		t.Errorf("%+v %v", wr, err)
	}
}

func TestTwentyUsersSetTwentySecrets(t *testing.T) {
	_, all := services(t, 20, jobsecrets.VDK)
	job := jobsecrets.Job{Team: "demo", Name: "hello-job"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, svc := range all {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, errs[i] = svc.Set(ctx, job, change(fmt.Sprint("name", i), fmt.Sprint(i)), false)
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	l, err := all[0].List(ctx, job)
	if err != nil || len(l.Secrets) != 20 || l.Version != 20 {
		t.Errorf("%d secrets in version %d, %v", len(l.Secrets), l.Version, err)
	}
}

func TestTwentyUsersSetOneSecret(t *testing.T) {
	_, all := services(t, 20, jobsecrets.VDK)
	job := jobsecrets.Job{Team: "demo", Name: "hello-job"}
	if _, err := all[0].Set(t.Context(), job, change("a", `"start"`), false); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, len(all))
	var ready, wg sync.WaitGroup
	ready.Add(len(all))
	for i, svc := range all {
		wg.Add(1)
		go func() {
			defer wg.Done()
			ready.Done()
			ready.Wait()
			_, errs[i] = svc.Set(t.Context(), job, change("a", fmt.Sprintf(`"%d"`, i)), false)
		}()
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !failure.Is(err, failure.Conflict) || failure.DetailsOf(err)["name"] != "a":
			t.Errorf("%v is no conflict that names the secret", err)
		}
	}
	l, err := all[0].List(t.Context(), job)
	// Every success is a version of its own, and nobody else's was lost unseen.
	if err != nil || won == 0 || l.Version != 1+won {
		t.Errorf("%d won, version %d, %v", won, l.Version, err)
	}
}

func TestSecretsOfExactlyTheLimit(t *testing.T) {
	_, all := services(t, 1, jobsecrets.VDK)
	job := jobsecrets.Job{Team: "demo", Name: "large"}
	value := `"` + strings.Repeat("x", jobsecrets.MaxSize-len(`{"a":""}`)) + `"`
	if _, err := all[0].Set(t.Context(), job, change("a", value), false); err != nil {
		t.Fatal(err)
	}
	_, err := all[0].Set(t.Context(), job, change("b", "1"), false)
	if !failure.Is(err, failure.TooLarge) {
		t.Errorf("%v", err)
	}
	if _, err := all[0].Get(t.Context(), job, "a"); err != nil {
		t.Error(err)
	}
}
