package vms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// Login is a pair of tokens that VMS gave for a user name and password.
type Login struct {
	Access, Refresh secret.Text
	Obtained        time.Time // by the local clock; VMS does not tell when it ends
}

// LoginStore keeps the login of one user at one VMS. Load returns nil, nil when
// there is none. It must be safe for concurrent use.
type LoginStore interface {
	Load(context.Context) (*Login, error)
	Save(context.Context, *Login) error
}

type form int

const (
	nobody form = iota
	apiToken
	bearer
	basic
)

// credential is one way to prove who is calling.
type credential struct {
	form     form
	username string // for basic
	text     secret.Text
}

func (c credential) header() string {
	switch c.form {
	case apiToken:
		return "Api-Token " + c.text.Reveal()
	case bearer:
		return "Bearer " + c.text.Reveal()
	default:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.username+":"+c.text.Reveal()))
	}
}

// secrets are the texts of a request that an answer may repeat.
func (c credential) secrets() []secret.Text {
	if c.form != basic {
		return []secret.Text{c.text}
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(c.username + ":" + c.text.Reveal()))
	return []secret.Text{c.text, secret.FromString(encoded)}
}

// auth finds the credential of a client. Its state is guarded by turn, a lock
// that a waiter can leave: it is held while a password is asked and while a
// login is renewed, so that both happen once for all callers.
type auth struct {
	client   *Client
	username string
	ask      func(context.Context) (secret.Text, error)
	token    secret.Text
	store    LoginStore

	turn     chan struct{}
	loaded   bool
	login    *Login
	asked    bool
	password secret.Text
	askError error
}

func newAuth(client *Client, c Config) *auth {
	return &auth{client: client, username: c.Username, ask: c.Password, token: c.Token, store: c.Login, turn: make(chan struct{}, 1)}
}

func (a *auth) lock(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return a.client.explain(ctx.Err())
	}
}

func (a *auth) unlock() { <-a.turn }

// current is the credential to use now.
func (a *auth) current(ctx context.Context) (credential, error) {
	if !a.token.IsEmpty() {
		return credential{form: apiToken, text: a.token}, nil
	}
	if err := a.lock(ctx); err != nil {
		return credential{}, err
	}
	defer a.unlock()
	return a.currentLocked(ctx)
}

func (a *auth) currentLocked(ctx context.Context) (credential, error) {
	if !a.loaded && a.store != nil {
		login, err := a.store.Load(ctx)
		if err != nil {
			return credential{}, failure.Annotate(err, "read the login to %s", a.client.Address())
		}
		a.login = login
	}
	a.loaded = true
	if a.login != nil && !a.login.Access.IsEmpty() {
		return credential{form: bearer, text: a.login.Access}, nil
	}
	return a.basicLocked(ctx)
}

func (a *auth) basicLocked(ctx context.Context) (credential, error) {
	if a.ask == nil {
		return credential{}, failure.New(failure.Auth, "not logged in to %s", a.client.Address()).WithHint("valetkey login vms")
	}
	if a.username == "" {
		return credential{}, failure.New(failure.Usage, "vms.username is not set").WithHint("set VALETKEY_VMS_USERNAME or --vms-username")
	}
	if !a.asked {
		password, err := a.ask(ctx)
		if failure.Is(err, failure.Cancelled) {
			return credential{}, err // the next caller may still ask
		}
		a.asked, a.password, a.askError = true, password, err
	}
	if a.askError != nil {
		return credential{}, a.askError
	}
	if a.password.IsEmpty() {
		return credential{}, failure.New(failure.Auth, "the password of %s is empty", a.username).WithHint("valetkey login vms")
	}
	return credential{form: basic, username: a.username, text: a.password}, nil
}

// renew replaces a login that VMS no longer takes: by what another caller or
// process has obtained meanwhile, else by its refresh token, else by the password.
func (a *auth) renew(ctx context.Context, used credential) (credential, error) {
	if err := a.lock(ctx); err != nil {
		return credential{}, err
	}
	defer a.unlock()
	if a.login == nil || !a.login.Access.Equal(used.text) {
		return a.currentLocked(ctx)
	}
	if a.store != nil {
		stored, err := a.store.Load(ctx)
		if err == nil && stored != nil && !stored.Access.IsEmpty() && !stored.Access.Equal(used.text) {
			a.login = stored
			return a.currentLocked(ctx)
		}
	}
	err := a.refreshLocked(ctx)
	if err == nil || !failure.Is(err, failure.Auth) {
		return credential{form: bearer, text: a.login.Access}, err
	}
	a.login = nil
	fallback, fallbackErr := a.basicLocked(ctx)
	if fallbackErr == nil || failure.Is(fallbackErr, failure.Cancelled) {
		return fallback, fallbackErr
	}
	return credential{}, err
}

// refreshLocked trades the refresh token for a new pair. A refusal is failure.Auth.
func (a *auth) refreshLocked(ctx context.Context) error {
	expired := failure.New(failure.Auth, "the login to %s has expired", a.client.Address()).WithHint("valetkey login vms")
	if a.login == nil || a.login.Refresh.IsEmpty() {
		return expired
	}
	answer, err := a.client.exchange(ctx, call{
		what: "renew the login", method: http.MethodPost, path: []string{"token", "refresh"}, token: true,
		body: map[string]string{"refresh": a.login.Refresh.Reveal()},
	})
	if err != nil {
		return err
	}
	switch answer.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return expired
	}
	if !answer.ok() {
		return a.client.refusal(answer, a.login.Refresh)
	}
	login, err := a.parseLogin(answer)
	if err != nil {
		return err
	}
	if login.Refresh.IsEmpty() {
		login.Refresh = a.login.Refresh
	}
	a.login = login
	if a.store != nil {
		// A store that fails here costs the next process a login, not this one its work.
		_ = a.store.Save(ctx, login)
	}
	return nil
}

func (a *auth) parseLogin(answer *answer) (*Login, error) {
	var pair struct {
		Access  string `json:"access"`
		Refresh string `json:"refresh"`
	}
	// The decoder's error may quote the text: leave it out.
	if json.Unmarshal(answer.body, &pair) != nil || pair.Access == "" || !headerSafe(pair.Access) {
		return nil, failure.New(failure.Network, "%s: the answer of %s holds no token", answer.call.what, a.client.Address())
	}
	return &Login{
		Access: secret.FromString(pair.Access), Refresh: secret.FromString(pair.Refresh), Obtained: a.client.now().UTC(),
	}, nil
}

func headerSafe(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// Login obtains tokens for the configured user and saves them in the store, if
// there is one; the client uses them from now on. A wrong password is failure.Auth.
func (c *Client) Login(ctx context.Context, password secret.Text) (*Login, error) {
	a := c.auth
	if a.username == "" {
		return nil, failure.New(failure.Usage, "vms.username is not set").WithHint("set VALETKEY_VMS_USERNAME or --vms-username")
	}
	answer, err := c.exchange(ctx, call{
		what: "log in to " + c.Address() + " as " + a.username, method: http.MethodPost, path: []string{"token"}, token: true, repeat: true,
		body: map[string]string{"username": a.username, "password": password.Reveal()},
	})
	if err != nil {
		return nil, err
	}
	switch answer.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		words := c.words(answer, password).text
		return nil, failure.Wrap(failure.Auth, errors.New(orElse(words, "refused")), "%s", answer.call.what).
			WithHint("check user name, password and tenant")
	}
	if !answer.ok() {
		return nil, c.noSuchPath(c.refusal(answer, password))
	}
	login, err := a.parseLogin(answer)
	if err != nil {
		return nil, err
	}
	if err := a.lock(ctx); err != nil {
		return nil, err
	}
	defer a.unlock()
	a.loaded, a.login = true, login
	if a.store != nil {
		if err := a.store.Save(ctx, login); err != nil {
			return nil, failure.Annotate(err, "store the login to %s", c.Address())
		}
	}
	return login, nil
}

// Refresh renews the stored login now. Without one, or when VMS refuses, it is failure.Auth.
func (c *Client) Refresh(ctx context.Context) (*Login, error) {
	a := c.auth
	if err := a.lock(ctx); err != nil {
		return nil, err
	}
	defer a.unlock()
	if a.store != nil {
		login, err := a.store.Load(ctx)
		if err != nil {
			return nil, failure.Annotate(err, "read the login to %s", c.Address())
		}
		a.login, a.loaded = login, true
	}
	if err := a.refreshLocked(ctx); err != nil {
		return nil, err
	}
	return a.login, nil
}

// Check proves that VMS accepts the credentials. What they allow is not judged:
// a user who is known but may not hold keys passes.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.do(ctx, call{what: "check the credentials", method: http.MethodGet, path: []string{"s3keys"}})
	if failure.Is(err, failure.Forbidden) {
		return nil
	}
	return c.noSuchPath(err)
}

// Prepare finds the credential that requests will carry, and asks for the
// password if that is the one. Nothing is sent. It lets a caller get the answer
// of a person before it takes a lock.
func (c *Client) Prepare(ctx context.Context) error {
	_, err := c.auth.current(ctx)
	return err
}
