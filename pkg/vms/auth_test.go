package vms_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vms"
)

var basicAlice = "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+canary))

func TestTheOrderOfCredentials(t *testing.T) {
	token := func(c *vms.Config) { c.Token = secret.FromString("TOK") }
	stored := func(c *vms.Config) { c.Login = &memory{login: login("ACC", "REF")} }
	empty := func(c *vms.Config) { c.Login = &memory{} }
	for want, changes := range map[string][]func(*vms.Config){
		"Api-Token TOK": {token, stored}, "Bearer ACC": {stored}, basicAlice: {empty},
	} {
		asked := 0
		f := newFake(t, answers(200, "[]"))
		c := f.client(t, append(changes, func(c *vms.Config) {
			ask := c.Password
			c.Password = func(ctx context.Context) (secret.Text, error) { asked++; return ask(ctx) }
		})...)
		if _, err := c.OwnKeys(t.Context()); err != nil {
			t.Error(err)
		}
		if got := f.authorizations()[0]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if (asked == 1) != strings.HasPrefix(want, "Basic") {
			t.Errorf("%s: password asked %d times", want, asked)
		}
	}
}

func TestNoCredential(t *testing.T) {
	none := func(context.Context) (secret.Text, error) { return secret.Text{}, nil }
	cases := map[string]struct {
		change func(*vms.Config)
		kind   failure.Kind
	}{
		"no password":  {func(c *vms.Config) { c.Password = nil }, failure.Auth},
		"empty":        {func(c *vms.Config) { c.Password = none }, failure.Auth},
		"no user name": {func(c *vms.Config) { c.Username = "" }, failure.Usage},
		"nobody to ask": {func(c *vms.Config) {
			c.Password = func(context.Context) (secret.Text, error) {
				return secret.Text{}, failure.New(failure.Usage, "no terminal")
			}
		}, failure.Usage},
		"broken store": {func(c *vms.Config) { c.Login = &memory{err: failure.New(failure.Store, "locked")} }, failure.Store},
	}
	for name, c := range cases {
		f := newFake(t, answers(200, "[]"))
		if _, _, err := f.client(t, c.change).CreateOwnKey(t.Context()); !failure.Is(err, c.kind) || len(f.requests()) != 0 || errors.Is(err, vms.ErrAnswerLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestThePasswordIsAskedOnceForAll(t *testing.T) {
	var asked atomic.Int32
	f := newFake(t, answers(200, "[]"))
	c := f.client(t, func(c *vms.Config) {
		c.Timeout = 5 * time.Second
		c.Password = func(context.Context) (secret.Text, error) {
			asked.Add(1)
			return secret.FromString(canary), nil
		}
	})
	if asked.Load() != 0 {
		t.Error("asked before it was needed")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.OwnKeys(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestThePromptIsNotTimed(t *testing.T) {
	f := newFake(t, answers(200, "[]"))
	c := f.client(t, func(c *vms.Config) {
		c.Password = func(ctx context.Context) (secret.Text, error) {
			if _, ok := ctx.Deadline(); ok {
				t.Error("the prompt has a deadline")
			}
			return secret.FromString(canary), nil
		}
	})
	if _, err := c.OwnKeys(context.Background()); err != nil {
		t.Error(err)
	}
}

// jwtServer takes one access token, and trades refresh tokens for it.
func jwtServer(t *testing.T, good, refresh string, expired func(http.ResponseWriter)) (*fake, *atomic.Int32) {
	t.Helper()
	var refreshed atomic.Int32
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Authorization")
		switch {
		case strings.HasSuffix(r.URL.Path, "/token/refresh/"):
			if auth != "" {
				t.Error("credentials with a refresh")
			}
			body := make([]byte, 100)
			n, _ := r.Body.Read(body)
			if string(body[:n]) != `{"refresh":"`+refresh+`"}` {
				reply(w, 401, `{"detail":"Token is invalid or expired","code":"token_not_valid"}`)
				return
			}
			refreshed.Add(1)
			reply(w, 200, `{"access":"`+good+`","refresh":"REF2"}`)
		case auth == "Bearer "+good, auth == basicAlice:
			if r.Method == http.MethodPost {
				reply(w, 201, `{"access_key":"AK1","secret_key":"SK1"}`)
				return
			}
			reply(w, 200, "[]")
		default:
			expired(w)
		}
	})
	return f, &refreshed
}

func TestAnExpiredLoginIsRenewedOnceForAll(t *testing.T) {
	for name, expired := range map[string]func(http.ResponseWriter){
		"401": func(w http.ResponseWriter) { reply(w, 401, "") },
		"403": func(w http.ResponseWriter) {
			reply(w, 403, `{"detail":"Given token not valid","messages":[{"message":"Token is invalid or expired"}]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, refreshed := jwtServer(t, "NEW", "REF", expired)
			store := &memory{login: login("OLD", "REF")}
			c := f.client(t, func(c *vms.Config) { c.Login, c.Password = store, nil })
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if _, err := c.OwnKeys(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if refreshed.Load() != 1 || store.saves != 1 || store.login.Access.Reveal() != "NEW" || store.login.Refresh.Reveal() != "REF2" {
				t.Errorf("%d refreshes, %d saves", refreshed.Load(), store.saves)
			}
			if id, _, err := c.CreateOwnKey(t.Context()); id != "AK1" {
				t.Error(err)
			}
		})
	}
}

func TestAKeyIsMadeOnceAfterARenewal(t *testing.T) {
	f, _ := jwtServer(t, "NEW", "REF", func(w http.ResponseWriter) { reply(w, 401, "") })
	c := f.client(t, func(c *vms.Config) { c.Login = &memory{login: login("OLD", "REF")} })
	if _, _, err := c.CreateOwnKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"POST /api/s3keys/", `POST /api/token/refresh/ {"refresh":"REF"}`, "POST /api/s3keys/"}
	if diff := cmp.Diff(want, f.requests()); diff != "" {
		t.Error(diff)
	}
}

func TestWhenTheRefreshIsRefused(t *testing.T) {
	expired := func(w http.ResponseWriter) { reply(w, 401, "") }
	f, _ := jwtServer(t, "NEW", "OTHER", expired)
	store := &memory{login: login("OLD", "REF")}
	if _, err := f.client(t, func(c *vms.Config) { c.Login = store }).OwnKeys(t.Context()); err != nil {
		t.Errorf("the password did not serve: %v", err)
	}
	_, err := f.client(t, func(c *vms.Config) { c.Login, c.Password = store, nil }).OwnKeys(t.Context())
	if !failure.Is(err, failure.Auth) || !strings.Contains(failure.HintOf(err), "valetkey login vms") {
		t.Errorf("%v", err)
	}
	_, err = f.client(t, func(c *vms.Config) {
		c.Login = store
		c.Password = func(context.Context) (secret.Text, error) {
			return secret.Text{}, failure.New(failure.Usage, "no terminal")
		}
	}).OwnKeys(t.Context())
	if !failure.Is(err, failure.Auth) {
		t.Errorf("nobody to ask: %v", err)
	}
}

func TestALoginThatAnotherProcessRenewedIsTaken(t *testing.T) {
	f, refreshed := jwtServer(t, "NEW", "REF", func(w http.ResponseWriter) { reply(w, 401, "") })
	store := &memory{login: login("OLD", "GONE")}
	c := f.client(t, func(c *vms.Config) { c.Login, c.Password = store, nil })
	if _, err := c.OwnKeys(t.Context()); !failure.Is(err, failure.Auth) {
		t.Fatalf("%v", err)
	}
	c = f.client(t, func(c *vms.Config) {
		c.Login, c.Password = &turning{first: login("OLD", "GONE"), then: login("NEW", "REF")}, nil
	})
	if _, err := c.OwnKeys(t.Context()); err != nil || refreshed.Load() != 0 {
		t.Errorf("%v, %d refreshes", err, refreshed.Load())
	}
}

// turning is a store that another process writes between two loads.
type turning struct {
	memory
	first, then *vms.Login
	loads       int
}

func (s *turning) Load(context.Context) (*vms.Login, error) {
	s.loads++
	if s.loads == 1 {
		return s.first, nil
	}
	return s.then, nil
}

func TestPermissionDeniedIsNeverTriedAgain(t *testing.T) {
	for _, status := range []int{401, 403} {
		f := newFake(t, answers(status, `{"detail":"no","code":"permission_denied"}`))
		c := f.client(t, func(c *vms.Config) { c.Login = &memory{login: login("A", "R")} })
		if _, err := c.OwnKeys(t.Context()); !failure.Is(err, failure.Forbidden) || len(f.requests()) != 1 {
			t.Errorf("%d: %v, %v", status, err, f.requests())
		}
	}
}

func TestLoginAndRefresh(t *testing.T) {
	for _, status := range []int{400, 401, 403} {
		f := newFake(t, answers(status, `{"detail":"wrong `+canary+`"}`))
		_, err := f.client(t).Login(t.Context(), secret.FromString(canary))
		if !failure.Is(err, failure.Auth) || strings.Contains(err.Error(), canary) {
			t.Errorf("%d: %v", status, err)
		}
	}
	if _, err := newFake(t, answers(404, "")).client(t).Login(t.Context(), secret.FromString("x")); !failure.Is(err, failure.Network) {
		t.Errorf("no VMS at all: %v", err)
	}
	for _, body := range []string{"", "{}", `{"access":""}`, `{"access":5}`, `{"access":"a\nb"}`, "<html>", `{"access":"CANARY`} {
		f := newFake(t, answers(200, body))
		if _, err := f.client(t).Login(t.Context(), secret.FromString("x")); !failure.Is(err, failure.Network) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v", body, err)
		}
	}
	f, _ := jwtServer(t, "NEW", "REF", func(w http.ResponseWriter) { reply(w, 401, "") })
	store := &memory{login: login("OLD", "REF")}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l, err := f.client(t, func(c *vms.Config) { c.Login, c.Now = store, func() time.Time { return now } }).Refresh(t.Context())
	if err != nil || l.Access.Reveal() != "NEW" || !l.Obtained.Equal(now) || store.saves != 1 {
		t.Errorf("%v %v", l, err)
	}
	if _, err := f.client(t).Refresh(t.Context()); !failure.Is(err, failure.Auth) {
		t.Errorf("no login: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for status, want := range map[int]failure.Kind{200: -1, 403: -1, 401: failure.Auth, 500: failure.Network, 404: failure.Network} {
		err := newFake(t, answers(status, "")).client(t).Check(t.Context())
		if want < 0 && err != nil || want >= 0 && !failure.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestPrepareSendsNothing(t *testing.T) {
	f := newFake(t, answers(200, "[]"))
	if err := f.client(t).Prepare(t.Context()); err != nil || len(f.requests()) != 0 {
		t.Errorf("%v %v", err, f.requests())
	}
	if err := f.client(t, func(c *vms.Config) { c.Password = nil }).Prepare(t.Context()); !failure.Is(err, failure.Auth) {
		t.Errorf("%v", err)
	}
}
