// Package vaulttest is the Vault of the sandbox: an http.Handler that answers
// the part of Vault's HTTP API that valetkey uses, as Vault 1.21 answers it.
//
// KV v2 with versions, check-and-set, soft delete and destroy; mounts that come
// and go; AppRole and userpass logins; tokens that expire, with policies that
// are enforced and can be written; sealing and health. What the real server would refuse is refused here with the same
// status and the same words. Everything lives in memory and is bounded.
package vaulttest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/sandbox/observe"
	"github.com/valetkey/valetkey/pkg/secret"
)

const (
	version        = "1.21.0"
	maxRequestSize = 32 << 20  // Vault's own default
	maxTotal       = 256 << 20 // bytes held, secrets and their names
	maxTokens      = 10_000
	maxVersions    = 10 // kept of a secret, unless its metadata says more
)

// Options describe the world a Server starts with.
type Options struct {
	Now       func() time.Time       // the server's clock; nil is time.Now
	RootToken secret.Text            // may do everything, never expires; required
	RoleID    string                 // of the AppRole "valetkey"; empty: no such role
	SecretID  string                 // its secret id, valid for any number of logins
	Users     map[string]secret.Text // userpass users and their passwords
	Mounts    []string               // KV v2 mounts, such as "secret"; nil is secret and valetkey
	MountsV1  []string               // KV v1 mounts, which hold one version and know no check-and-set
}

// Server is a Vault in memory. It is safe for concurrent use.
type Server struct {
	now        func() time.Time
	maxRequest int64

	mu       sync.Mutex // guards everything below
	routes   []route
	sealed   bool
	share    string // the one key share
	tokens   *tokens
	logins   *logins
	mounts   map[string]*mount // by name without the trailing slash
	policies map[string]rules
	total    int // bytes of secret data held, over all mounts
	limit    int // of total
}

// New returns an unsealed, empty server. It fails only on options that make no
// server: no root token, or a mount that is named twice or not at all.
func New(o Options) (*Server, error) {
	if o.RootToken.IsEmpty() {
		return nil, failure.New(failure.Internal, "sandbox vault: no root token given")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Mounts == nil {
		o.Mounts = []string{"secret", "valetkey"}
	}
	s := &Server{
		now:        o.Now,
		maxRequest: maxRequestSize,
		share:      randomID(32),
		tokens:     newTokens(o.Now),
		logins:     newLogins(o),
		mounts:     map[string]*mount{},
		policies:   builtIn(),
		limit:      maxTotal,
	}
	s.tokens.addRoot(o.RootToken.Reveal())
	for i, names := range [][]string{o.Mounts, o.MountsV1} {
		for _, name := range names {
			name = strings.Trim(name, "/")
			if name == "" || s.mounts[name] != nil {
				return nil, failure.New(failure.Internal, "sandbox vault: mount %q is empty or given twice", name)
			}
			s.mounts[name] = newMount(name, 2-i)
		}
	}
	s.routes = s.table()
	return s, nil
}

// Seal makes every request answer that Vault is sealed, until [Server.Unseal].
func (s *Server) Seal() { s.setSealed(true) }

// Unseal ends what Seal began.
func (s *Server) Unseal() { s.setSealed(false) }

// UnsealKey is the one key share that sys/unseal takes.
func (s *Server) UnsealKey() secret.Text { return secret.FromString(s.share) }

func (s *Server) setSealed(v bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = v
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	for _, c := range r.URL.Path {
		if !unicode.IsPrint(c) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	q, refused := s.parse(w, r)
	if refused == nil {
		s.mu.Lock()
		answer := s.handle(r.Context(), q)
		s.mu.Unlock()
		answer.write(w, q)
		return
	}
	refused.write(w, q)
}

// request is one request as the handlers see it.
type request struct {
	id     string
	method string // GET, POST, DELETE, LIST, …: PUT is POST, and GET with list=true is LIST
	path   string // below /v1/, decoded
	rest   string // the part of path that the route left open
	mount  *mount
	token  string
	caller *token // nil on routes that need no token
	body   map[string]any
	query  map[string][]string
}

func (s *Server) handle(ctx context.Context, q *request) reply {
	rt, rest := s.find(q.method, q.path)
	if s.sealed && (rt == nil || !rt.sealed) {
		return fail(http.StatusServiceUnavailable, "Vault is sealed")
	}
	if ns := q.header("namespace"); ns != "" && ns != "root" && ns != "/" {
		// Namespaces are a feature of the enterprise edition; the other one
		// has the header turned into a path that leads nowhere.
		return fail(http.StatusNotFound, noRoute(strings.Trim(ns, "/")+"/"+q.path))
	}
	if q.caller = s.tokens.find(q.token); q.caller != nil {
		observe.SetUser(ctx, q.caller.user)
	}
	if rt != nil && rt.open {
		q.rest = rest
		return rt.do(ctx, q)
	}
	switch {
	case q.token == "":
		return fail(http.StatusForbidden, "permission denied")
	case q.caller == nil:
		return invalidToken()
	case !s.may(q.caller, q):
		return denied()
	case rt == nil:
		return s.unknown(q)
	}
	q.rest = rest
	if rt.mount != nil {
		q.mount = rt.mount
	}
	return rt.do(ctx, q)
}

// unknown answers a request that a token allows and no route takes.
func (s *Server) unknown(q *request) reply {
	if q.method == http.MethodPost && strings.HasSuffix(q.path, "/") {
		return fail(http.StatusBadRequest, "cannot write to a path ending in '/'")
	}
	for _, rt := range s.routes {
		if _, ok := rt.match(q.path); ok && rt.method != "LIST" {
			return fail(http.StatusMethodNotAllowed, "1 error occurred:\n\t* unsupported operation\n\n")
		}
	}
	for name, m := range s.mounts {
		if !strings.HasPrefix(q.path+"/", name+"/") {
			continue
		}
		if m.version == 2 {
			verb := "get"
			if q.method == "LIST" {
				verb = "list"
			}
			return reply{status: http.StatusNotFound, warnings: []string{fmt.Sprintf("Invalid path for a versioned K/V secrets engine. "+
				"See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv %s' for this operation.", verb)}}
		}
		return fail(http.StatusNotFound, "1 error occurred:\n\t* unsupported path\n\n")
	}
	return fail(http.StatusNotFound, noRoute(q.path))
}

func noRoute(path string) string {
	return fmt.Sprintf("no handler for route %q. route entry not found.", path)
}
