// Package vmstest plays the S3-key part of the VAST management service (VMS)
// as an http.Handler: logins, access keys, users, API tokens, tenants and
// versions, and identity policies that decide what the owner of a key may do.
//
// It is honest: passwords are checked, tokens expire by the clock it is given,
// a third key is refused, a deleted or disabled key is gone at once for
// whoever asks [Server.Key]. All state is in memory, bounded, and guarded by
// one mutex, so a Server may be used concurrently.
//
// Paths, methods, bodies, answers and success codes follow the published API
// document of VMS. What that document leaves open is decided here and said at
// the place: the status of the two-key refusal, the fields of a key list, the
// answer to a wrong tenant.
package vmstest

import (
	"crypto/rand"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/valetkey/valetkey/pkg/secret"
)

// Limits of one Server.
const (
	maxBody    = 64 << 10
	maxUsers   = 1000
	maxKeys    = 2 // a user, in all tenants together
	accessLife = time.Hour
	renewLife  = 24 * time.Hour
)

// Options say how a Server behaves. The zero value is a server with nobody in it.
type Options struct {
	Now     func() time.Time // default time.Now
	Rand    io.Reader        // default crypto/rand.Reader
	Users   []User
	Tenants []string // the first is the one of a login that names none; default "default"

	// Tokens are API tokens there are from the start, and the users they speak for.
	Tokens map[string]string

	// Lists fixes the shape of list answers.
	Lists ListShape

	// KeyListShape, if set, decides the whole answer to GET /s3keys/: what it
	// returns is sent as JSON, or byte for byte if it is a []byte. Clusters
	// answer in shapes that no document describes.
	KeyListShape func([]ListedKey) any

	// KeyLimitStatus is the status that a third key is refused with. Real ones
	// are known by the message alone; default 400.
	KeyLimitStatus int
}

// ListShape is one of the two forms in which VMS answers lists.
type ListShape int

// The shapes.
const (
	// ListAuto is a bare array, or an envelope when the request has a page or
	// page_size, and always an envelope for GET /s3keys/, which the API
	// document declares to be an object.
	ListAuto ListShape = iota
	ListArray
	ListEnvelope
)

// User is one user at the start.
type User struct {
	Name     string
	Password string
	Kind     Kind
	Policies []Policy
}

// Kind says where a user comes from, which decides the calls that serve them.
type Kind int

// The kinds of users.
const (
	Directory Kind = iota // from Active Directory: may manage their own keys, has no role
	Local                 // made on the cluster: an administrator manages the keys
	Manager               // a cluster administrator: manages others, has no keys
)

// Policy is an identity policy document attached to a user.
type Policy struct {
	Name     string // unique in a Server, without spaces
	Document string // JSON
}

// KeyInfo is what the data path needs to know of an access key.
type KeyInfo struct {
	Secret  secret.Text
	User    string
	Tenant  string
	Enabled bool
}

// Server is the handler. Use [New].
type Server struct {
	o      Options
	signer []byte // HMAC key of the tokens

	mu       sync.Mutex
	users    map[string]*user
	byID     map[int]*user
	keys     map[string]*key
	policies map[int]*policy
	tokens   map[int]*apiToken
	lastID   int
}

// New returns a server with the users and tenants of o.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if len(o.Tenants) == 0 {
		o.Tenants = []string{"default"}
	}
	if o.KeyLimitStatus == 0 {
		o.KeyLimitStatus = http.StatusBadRequest
	}
	s := &Server{
		o: o, signer: make([]byte, 32),
		users: map[string]*user{}, byID: map[int]*user{}, keys: map[string]*key{}, policies: map[int]*policy{}, tokens: map[int]*apiToken{},
	}
	if _, err := io.ReadFull(o.Rand, s.signer); err != nil {
		// A key that could be guessed is worse than tokens that nobody can use twice.
		_, _ = rand.Read(s.signer)
	}
	for _, u := range o.Users {
		s.settle(u)
	}
	for text, owner := range o.Tokens {
		id := s.id()
		s.tokens[id] = &apiToken{id: id, text: text, owner: owner, created: o.Now()}
	}
	return s
}

// Key returns what is known of an access key, and whether there is one.
// A disabled key is there, with Enabled false.
func (s *Server) Key(accessKey string) (KeyInfo, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[accessKey]
	if !ok {
		return KeyInfo{}, false
	}
	return KeyInfo{Secret: k.secret, User: k.owner.name, Tenant: s.o.Tenants[k.tenant-1], Enabled: k.enabled}, true
}

// Allowed reports whether the user's identity policies let them perform the
// action ("s3:GetObject") on the resource ("demo/a.txt" or its arn form).
// Nothing is allowed to a user who is not there.
func (s *Server) Allowed(name, action, resource string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.users[name]
	if !ok {
		return false
	}
	var docs []document
	for _, id := range u.policies {
		if p := s.policies[id]; p.enabled {
			docs = append(docs, p.document)
		}
	}
	switch decide(docs, action, resource) {
	case denied:
		return false
	case allowed:
		return true
	}
	return u.superuser // overridden by a policy that denies, as on a cluster
}

// id returns the next identifier of an object; callers hold the lock.
func (s *Server) id() int {
	s.lastID++
	return s.lastID
}
