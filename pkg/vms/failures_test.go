package vms_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
	"github.com/valetkey/valetkey/pkg/vms"
)

func TestRefusals(t *testing.T) {
	cases := map[string]struct {
		status int
		body   string
		kind   failure.Kind
		part   string
	}{
		"detail":          {400, `{"detail":"bad thing"}`, failure.Internal, "bad thing"},
		"detail and code": {409, `{"detail":"exists","code":"conflict"}`, failure.Conflict, "exists"},
		"fields":          {400, `{"name":["This field is required."],"gid":["a","b"]}`, failure.Internal, "gid: a, b; name: This field is required."},
		"bare string":     {400, `"no more tokens"`, failure.Internal, "no more tokens"},
		"html":            {500, `<html><title>Oops</title>`, failure.Network, "an HTML page"},
		"empty":           {500, ``, failure.Network, "Internal Server Error"},
		"broken JSON":     {400, `{"detail":"bad th`, failure.Internal, "breaks off"},
		"plain text":      {400, `sorry`, failure.Internal, "sorry"},
		"control":         {400, "{\"detail\":\"a\\u001b[31m\\nb\"}", failure.Internal, `a\x1b[31m\nb`},
		"long":            {400, `{"detail":"` + strings.Repeat("x", 5000) + `"}`, failure.Internal, "xxx…"},
		"wrong password":  {401, `{"detail":"Invalid username/password."}`, failure.Auth, "user name and password of alice"},
		"401 empty":       {401, ``, failure.Auth, "alice"},
		"403 of unknown":  {403, `{"detail":"Authentication credentials were not provided."}`, failure.Auth, "alice"},
		"not allowed":     {403, `{"detail":"You do not have permission"}`, failure.Forbidden, "does not allow"},
		"403 empty":       {403, ``, failure.Forbidden, "does not allow"},
		"own list":        {404, `<html>`, failure.Network, "does not answer as VMS does"},
		"method":          {405, ``, failure.Network, "does not know this request"},
		"too often":       {429, ``, failure.Network, "too often"},
		"unavailable":     {503, `"down"`, failure.Network, "down"},
		"odd status":      {304, ``, failure.Network, "means nothing here"},
		"unknown status":  {599, ``, failure.Network, "fails with 599"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, answers(c.status, c.body))
			_, err := f.client(t).OwnKeys(t.Context())
			if !failure.Is(err, c.kind) || errors.Is(err, vms.ErrUnknownShape) {
				t.Fatalf("%v: %v", failure.KindOf(err), err)
			}
			mustContain(t, "message", err.Error(), c.part, "list access keys")
			if len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), "Oops") {
				t.Errorf("%q", err)
			}
		})
	}
	err := func() error { _, err := newFake(t, answers(404, "")).client(t).OwnKeys(t.Context()); return err }()
	mustContain(t, "hint", failure.HintOf(err), "vms.api_version")
}

func TestTheTwoKeyRefusalIsKnownByItsText(t *testing.T) {
	const seed = "A user cannot have more than two access keys"
	for _, status := range []int{200, 201, 400, 403, 404, 409, 422, 500, 503} {
		for _, body := range []string{
			`{"detail":"` + seed + `"}`, `{"detail":"` + strings.ToUpper(seed) + `."}`, `"` + seed + `"`, `{"non_field_errors":["` + seed + `"]}`,
			`{"detail":"User alice can't have more  than 2 access keys"}`,
		} {
			f := newFake(t, answers(status, body))
			_, _, err := f.client(t).CreateOwnKey(t.Context())
			if !failure.Is(err, failure.KeyLimit) || errors.Is(err, vms.ErrAnswerLost) || len(f.requests()) != 1 {
				t.Errorf("%d %s: %v", status, body, err)
			}
		}
	}
	_, _, err := newFake(t, answers(400, `{"detail":"more than two tokens"}`)).client(t).CreateOwnKey(t.Context())
	if failure.Is(err, failure.KeyLimit) {
		t.Error("another limit was taken for it")
	}
}

func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func dropMidBody(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	w.WriteHeader(201)
	_, _ = io.WriteString(w, `{"access_key":"AKCANARY","secret_key":"SKCANARY`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func elsewhere(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Location", "https://evil.example/?CANARY")
	w.WriteHeader(307)
}

func TestWhenTheAnswerToTheIssuingPostIsLost(t *testing.T) {
	cases := map[string]struct {
		handler http.HandlerFunc
		kind    failure.Kind
		lost    bool
	}{
		"drop":           {drop, failure.Network, true},
		"drop mid-body":  {dropMidBody, failure.Network, true},
		"hang":           {hang, failure.Network, true},
		"truncated":      {answers(201, `{"access_key":"AKCANARY","secret_key":"SKCAN`), failure.Network, true},
		"empty":          {answers(200, ``), failure.Network, true},
		"no secret":      {answers(201, `{"access_key":"AKCANARY"}`), failure.Network, true},
		"no id":          {answers(201, `{"secret_key":"SKCANARY"}`), failure.Network, true},
		"odd id":         {answers(201, `{"access_key":"a b","secret_key":"SKCANARY"}`), failure.Network, true},
		"html":           {answers(200, `<html>SKCANARY`), failure.Network, true},
		"html 500":       {answers(500, `<html>`), failure.Network, true},
		"gateway":        {answers(504, ``), failure.Network, true},
		"refused":        {answers(403, ``), failure.Forbidden, false},
		"bad request":    {answers(400, `{"detail":"x"}`), failure.Internal, false},
		"wrong password": {answers(401, ``), failure.Auth, false},
		"no such path":   {answers(404, ``), failure.Network, false},
		"redirect":       {elsewhere, failure.Network, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.handler)
			client := f.client(t, func(c *vms.Config) {
				if name == "hang" {
					c.Timeout = 200 * time.Millisecond
				}
			})
			id, sec, err := client.CreateOwnKey(t.Context())
			if !failure.Is(err, c.kind) || errors.Is(err, vms.ErrAnswerLost) != c.lost || id != "" || !sec.IsEmpty() {
				t.Fatalf("kind %v, lost %v: %v", failure.KindOf(err), errors.Is(err, vms.ErrAnswerLost), err)
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("shows the answer: %v", err)
			}
			if len(f.requests()) != 1 {
				t.Errorf("sent %d times", len(f.requests()))
			}
			if c.lost {
				mustContain(t, "message", err.Error(), "create access key")
			}
		})
	}
	// Also for keys of others, and when the user interrupts.
	f := newFake(t, drop)
	if _, _, err := f.client(t).CreateUserKey(t.Context(), 1, 0); !errors.Is(err, vms.ErrAnswerLost) || len(f.requests()) != 1 {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	interrupted := newFake(t, func(http.ResponseWriter, *http.Request) { cancel(); <-release })
	_, _, err := interrupted.client(t).CreateOwnKey(ctx)
	close(release)
	if !errors.Is(err, vms.ErrAnswerLost) || !failure.Is(err, failure.Cancelled) {
		t.Errorf("%v", err)
	}
	// Nobody there: certainly not sent.
	gone := newFake(t, answers(201, ""))
	client := gone.client(t)
	gone.Close()
	if _, _, err := client.CreateOwnKey(t.Context()); errors.Is(err, vms.ErrAnswerLost) || !failure.Is(err, failure.Network) {
		t.Errorf("refused port: %v", err)
	}
}

func TestRepetitions(t *testing.T) {
	var n atomic.Int32
	after := func(failures int32, fail, then http.HandlerFunc) http.HandlerFunc {
		n.Store(0)
		return func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) <= failures {
				fail(w, r)
				return
			}
			then(w, r)
		}
	}
	ctx := t.Context()
	listOwn := func(c *vms.Client) error { _, err := c.OwnKeys(ctx); return err }
	listAll := func(c *vms.Client) error {
		for _, err := range c.LocalKeys(ctx, vms.KeyFilter{}) {
			return err
		}
		return nil
	}
	remove := func(c *vms.Client) error { return c.DeleteOwnKey(ctx, "AK1") }
	removeOther := func(c *vms.Client) error { return c.DeleteUserKey(ctx, 1, "AK1") }
	logIn := func(c *vms.Client) error { _, err := c.Login(ctx, secret.FromString("x")); return err }
	add := func(name string, failures int32, fail, then http.HandlerFunc, call func(*vms.Client) error, ok bool, requests int) {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, after(failures, fail, then))
			if err := call(f.client(t)); (err == nil) != ok || len(f.requests()) != requests {
				t.Errorf("%v after %v", err, f.requests())
			}
		})
	}
	add("list, 503 twice", 2, answers(503, ""), answers(200, "[]"), listOwn, true, 3)
	add("list, 503 thrice", 3, answers(503, ""), answers(200, "[]"), listOwn, false, 3)
	add("list, dropped", 1, drop, answers(200, "[]"), listOwn, true, 2)
	add("list, dropped mid-body", 1, dropMidBody, answers(200, "[]"), listOwn, true, 2)
	add("list, 400", 1, answers(400, ""), answers(200, "[]"), listOwn, false, 1)
	add("list, redirect", 1, elsewhere, answers(200, "[]"), listOwn, false, 1)
	add("pages", 2, answers(500, "<html>"), answers(200, "[]"), listAll, true, 3)
	add("delete, then gone", 1, drop, answers(404, ""), remove, true, 3)
	add("delete of another's, then gone", 1, answers(502, ""), answers(404, ""), removeOther, true, 2)
	add("delete of another's, never there", 0, drop, answers(404, ""), removeOther, false, 1)
	add("log in", 1, answers(503, ""), answers(200, `{"access":"a","refresh":"r"}`), logIn, true, 2)
}

func TestADeadlineEndsEverything(t *testing.T) {
	f := newFake(t, hang)
	_, err := f.client(t, func(c *vms.Config) { c.Timeout = 100 * time.Millisecond }).OwnKeys(t.Context())
	if !failure.Is(err, failure.Network) {
		t.Errorf("%v", err)
	}
	mustContain(t, "message", err.Error(), "in time")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.client(t).OwnKeys(ctx); !failure.Is(err, failure.Cancelled) {
		t.Errorf("%v", err)
	}
	// A waiter leaves while another is being asked for the password.
	block, asked := make(chan struct{}), make(chan struct{})
	c := f.client(t, func(c *vms.Config) {
		c.Password = func(context.Context) (secret.Text, error) {
			close(asked)
			<-block
			return secret.Text{}, failure.New(failure.Cancelled, "interrupted")
		}
	})
	done := make(chan struct{})
	go func() { defer close(done); _, _ = c.OwnKeys(t.Context()) }()
	<-asked
	if _, err := c.OwnKeys(ctx); !failure.Is(err, failure.Cancelled) {
		t.Errorf("%v", err)
	}
	close(block)
	<-done
}

// A server that repeats everything it is sent, in every answer it can give.
func TestNoSecretInErrorsOrTrace(t *testing.T) {
	changes := map[string]func(*vms.Config){
		"token":    func(c *vms.Config) { c.Token = secret.FromString(canary) },
		"login":    func(c *vms.Config) { c.Login = &memory{login: login(canary, canary)} },
		"password": func(*vms.Config) {},
	}
	for name, change := range changes {
		for _, status := range []int{200, 400, 401, 403, 404, 409, 500} {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				all := strings.NewReplacer(`"`, `'`, `\`, `/`).Replace(r.Header.Get("Authorization") + string(body))
				reply(w, status, `{"detail":"you sent `+all+`"}`)
			})
			c := f.client(t, change)
			_, _, createErr := c.CreateOwnKey(t.Context())
			_, listErr := c.OwnKeys(t.Context())
			_, loginErr := c.Login(t.Context(), secret.FromString(canary))
			_, refreshErr := c.Refresh(t.Context())
			var pageErr error
			for _, err := range c.LocalKeys(t.Context(), vms.KeyFilter{}) {
				pageErr = err
			}
			text := errors.Join(createErr, listErr, loginErr, refreshErr, pageErr, c.DeleteOwnKey(t.Context(), "AKCANARY")).Error()
			f.mu.Lock()
			trace := strings.Join(f.trace, "\n")
			f.mu.Unlock()
			if strings.Contains(text+trace, canary) || strings.Contains(text+trace, strings.TrimPrefix(basicAlice, "Basic ")) {
				t.Errorf("%s, %d:\n%s\n%s", name, status, text, trace)
			}
			if strings.Contains(trace, "AKCANARY") || trace == "" {
				t.Errorf("trace: %s", trace)
			}
		}
	}
}
