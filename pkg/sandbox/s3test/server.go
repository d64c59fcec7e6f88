// Package s3test is the S3 half of the sandbox: an S3 server in memory that
// checks signatures, clocks, rights and checksums the way S3 does.
//
// It takes Signature Version 4 in the Authorization header and in the query of
// presigned URLs, with signed, unsigned and aws-chunked bodies, the trailers
// of today's SDKs among them. It shares no code with the package that signs,
// so that the one can witness for the other.
//
// Keys of objects are bytes: a path is never cleaned, so "a//b", "." and ".."
// are keys like any other. A [Server] must therefore not stand behind an
// http.ServeMux, which cleans paths.
package s3test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/sandbox/observe"
	"github.com/valetkey/valetkey/pkg/secret"
)

// DefaultMaxBytes is how much a server holds unless told otherwise: 1 GiB.
const DefaultMaxBytes = 1 << 30

// DefaultRegion is the region a signature's scope must name unless told otherwise.
const DefaultRegion = "us-east-1"

// KeyFinder looks up access keys. It is asked for every request, so that a key
// stops working as soon as it is deleted or disabled.
type KeyFinder interface {
	// FindKey returns the secret key, the user it belongs to, whether the key
	// is enabled, and whether there is such a key.
	FindKey(accessKey string) (sec secret.Text, user string, enabled, found bool)
}

// Options configure a server.
type Options struct {
	// Keys is required.
	Keys KeyFinder
	// Allowed judges an action of a user, such as "s3:GetObject", on a resource:
	// "BUCKET", "BUCKET/KEY", or "*" for s3:ListAllMyBuckets. Nil allows nothing.
	Allowed func(user, action, resource string) bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Buckets exist from the start.
	Buckets []string
	// Region is what signatures must name; empty is DefaultRegion.
	Region string
	// Domains are the hosts below which a bucket may be the first label
	// (BUCKET.localhost); nil is localhost alone.
	Domains []string
	// MaxBytes bounds what is stored, uploads under way included; 0 is DefaultMaxBytes.
	MaxBytes int64
}

// Server is an S3 server. It is safe for concurrent use.
type Server struct {
	keys    KeyFinder
	allowed func(user, action, resource string) bool
	now     func() time.Time
	region  string
	domains []string
	store   *store
}

// New returns a server. An unusable bucket name or missing Keys are failure.Internal:
// both come from the program, not from a user.
func New(o Options) (*Server, error) {
	if o.Keys == nil {
		return nil, failure.New(failure.Internal, "start the S3 sandbox: no key finder")
	}
	s := &Server{
		keys:    o.Keys,
		allowed: o.Allowed,
		now:     o.Now,
		region:  cmp.Or(o.Region, DefaultRegion),
		domains: o.Domains,
		store:   newStore(cmp.Or(o.MaxBytes, DefaultMaxBytes)),
	}
	if s.allowed == nil {
		s.allowed = func(string, string, string) bool { return false }
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.domains == nil {
		s.domains = []string{"localhost"}
	}
	for _, name := range o.Buckets {
		if err := s.store.createBucket(name, "", s.now()); err != nil {
			return nil, failure.Wrap(failure.Internal, err, "start the S3 sandbox: create bucket %q", name)
		}
	}
	return s, nil
}

// call is one request on its way.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	t       *target
	now     time.Time
	user    string
	proof   *proof
	headers http.Header // the request's, and what a presigned URL carries in its query
	body    *payload
}

// Route names the operation a request asks for, as Routes lists them. It looks
// at the request line and one header, never at the body.
func (s *Server) Route(r *http.Request) string {
	t, err := parseTarget(r, s.domains)
	if err != nil {
		return routeUnknown
	}
	return routeOf(r, t).name
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: w, r: r, now: s.now()}
	id := rand.Text()[:16]
	w.Header().Set("X-Amz-Request-Id", id)
	w.Header().Set("Date", c.now.UTC().Format(http.TimeFormat)) // clients correct their clocks by it
	if err := c.serve(); err != nil {
		c.fail(err, id)
	}
}

func (c *call) serve() *apiError {
	var err *apiError
	if c.t, err = parseTarget(c.r, c.s.domains); err != nil {
		return err
	}
	op := routeOf(c.r, c.t)
	if err := c.authenticate(); err != nil {
		return err
	}
	if op.name == routeUnknown {
		if c.t.bucket == "" || op.action != "" {
			return errNotImplemented
		}
		return errMethodNotAllowed.with("Method", c.r.Method)
	}
	if c.t.bucket != "" && !validBucketName(c.t.bucket) {
		return errInvalidBucketName.with("BucketName", c.t.bucket)
	}
	if len(c.t.key) > maxKeySize {
		return errKeyTooLong.with("Size", itoa(len(c.t.key))).with("MaxSizeAllowed", itoa(maxKeySize))
	}
	if op.action != "" {
		if err := c.authorize(op.action, c.resource()); err != nil {
			return err
		}
	}
	if c.body, err = newPayload(c.r, c.headers, c.proof); err != nil {
		return err
	}
	if !op.body { // a body that is signed is checked even where it means nothing
		if err := c.drain(); err != nil {
			return err
		}
	}
	return op.handle(c)
}

// authenticate finds out who is asking. The clock is looked at before the key,
// the key before the signature.
func (c *call) authenticate() *apiError {
	claim, err := parseClaim(c.r, c.t, c.s.region)
	if err != nil {
		return err
	}
	c.headers = c.r.Header
	if claim.presigned {
		c.headers = c.hoisted()
	}
	if err := claim.checkTime(c.now); err != nil {
		return err
	}
	sec, user, enabled, found := c.s.keys.FindKey(claim.accessKey)
	if !found || !enabled {
		return errInvalidAccessKeyID.with("AWSAccessKeyId", claim.accessKey)
	}
	if c.headers.Get("X-Amz-Security-Token") != "" {
		return errInvalidToken // sessions are not played, so the token is nobody's
	}
	if c.proof, err = verify(c.r, c.t, claim, sec); err != nil {
		return err
	}
	c.user = user
	observe.SetUser(c.r.Context(), user)
	return nil
}

// hoisted adds to the headers those x-amz- headers that a presigned URL
// carries in its query instead: both mean the same.
func (c *call) hoisted() http.Header {
	h := c.r.Header.Clone()
	for _, p := range c.t.query {
		name := strings.ToLower(p.name)
		switch name {
		case "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature":
			continue
		}
		if strings.HasPrefix(name, "x-amz-") {
			h.Add(name, p.value)
		}
	}
	return h
}

func (c *call) resource() string {
	switch {
	case c.t.bucket == "":
		return "*"
	case c.t.key == "":
		return c.t.bucket
	}
	return c.t.bucket + "/" + c.t.key
}

func (c *call) authorize(action, resource string) *apiError {
	if !c.s.allowed(c.user, action, resource) {
		return errAccessDenied
	}
	return nil
}

// drain reads a body that carries nothing, to have it checked.
func (c *call) drain() *apiError {
	n, err := io.Copy(io.Discard, io.LimitReader(c.body, maxXMLBody+1))
	if err != nil {
		return asAPIError(err)
	}
	if n > maxXMLBody {
		return errEntityTooLarge
	}
	return nil
}

// decode reads an XML body.
func (c *call) decode(into any) *apiError {
	raw, err := io.ReadAll(io.LimitReader(c.body, maxXMLBody+1))
	switch {
	case err != nil:
		return asAPIError(err)
	case len(raw) > maxXMLBody:
		return errEntityTooLarge
	case xml.Unmarshal(raw, into) != nil:
		return errMalformedXML
	}
	return nil
}

// asAPIError keeps S3's own errors. Anything else is a body that broke off.
func asAPIError(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return errIncompleteBody
	}
	return errIncompleteBody.saying("The request body could not be read")
}

// answer writes an XML document with status 200.
func (c *call) answer(document any) *apiError {
	raw, err := xml.Marshal(document)
	if err != nil {
		return errInternal
	}
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(c.w, xml.Header)
	_, _ = c.w.Write(raw)
	return nil
}

const (
	maxIgnored  = 16 << 20 // bytes of an unwanted body that are read all the same
	ignoredTime = 5 * time.Second
)

// swallow reads what a client is still sending, so that it gets to see the
// answer and not a reset connection. A client that waits for "100 Continue"
// sends nothing.
func (c *call) swallow() {
	if c.r.Body == nil || c.r.Header.Get("Expect") != "" {
		return
	}
	conn := http.NewResponseController(c.w)
	_ = conn.SetReadDeadline(time.Now().Add(ignoredTime))
	if n, err := io.Copy(io.Discard, io.LimitReader(c.r.Body, maxIgnored)); err == nil && n < maxIgnored {
		_ = conn.SetReadDeadline(time.Time{})
	}
}

// fail writes an error. HEAD and 304 have no body.
func (c *call) fail(err *apiError, id string) {
	c.swallow()
	if c.r.Method == http.MethodHead || err.status == http.StatusNotModified {
		c.w.WriteHeader(err.status)
		return
	}
	path := c.r.URL.Path
	if c.t != nil {
		path = c.t.path
	}
	raw, merr := xml.Marshal(err.with("Resource", path).with("RequestId", id))
	if merr != nil {
		raw = []byte("<Error><Code>InternalError</Code></Error>")
	}
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.WriteHeader(err.status)
	_, _ = io.WriteString(c.w, xml.Header)
	_, _ = c.w.Write(raw)
}
