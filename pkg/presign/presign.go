// Package presign signs URLs for objects: whoever holds such a URL can do one
// thing with one object until it expires.
//
// It is AWS Signature Version 4 in the query string, for S3 and what speaks like
// it. The payload is not signed, and of the headers only host and those asked
// for, so a URL works from a browser, curl or any HTTP client. Nothing is added
// that was not asked for: no x-id, no checksum parameters.
//
// The package is pure: it does no I/O and reads neither clock nor environment.
// Equal requests give equal bytes.
//
// Errors are of package failure: Usage for a request that makes no sense, Config
// for a bad endpoint, region or addressing, Auth for credentials that are absent
// or have ended, TooLarge for a time of life outside 1 second to 7 days and for a
// key over 1,024 bytes.
package presign

import (
	"fmt"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

// The limits of a URL's life. Signature Version 4 knows whole seconds only, and
// a signing key is good for seven days.
const (
	MinExpires = time.Second
	MaxExpires = 7 * 24 * time.Hour
)

// MaxKeyBytes is the longest object key that S3 knows, in bytes.
const MaxKeyBytes = 1024

// Credentials are what a URL is signed with.
type Credentials struct {
	AccessKey    string // may hold any of =, / and +: older VAST access keys are base64
	SecretKey    secret.Text
	SessionToken secret.Text // of temporary credentials; empty = none. It becomes part of the URL
	Expires      time.Time   // when they end; zero = they do not
}

// Addressing says where the bucket stands in a URL.
type Addressing string

// The two places for a bucket.
const (
	Path    Addressing = "path"    // https://host/bucket/key
	Virtual Addressing = "virtual" // https://bucket.host/key
)

// Config is what all URLs of a Signer have in common.
type Config struct {
	Endpoint    string // http or https URL of the server as those who get a URL reach it; a path stays in front
	Region      string // such as us-east-1; it is part of the signature
	Addressing  Addressing
	Credentials Credentials
}

// Header is one header field.
type Header struct{ Name, Value string }

// Request says what a URL allows.
type Request struct {
	Method    string // GET, PUT, HEAD or DELETE, in any case
	Bucket    string
	Key       string // any bytes; nothing is decoded or tidied
	VersionID string // GET and HEAD only; empty = the newest

	// Headers must be sent by whoever uses the URL, exactly as they are here.
	Headers []Header
	// ResponseHeaders replace what the object itself would answer: content-type,
	// also written response-content-type, and the five others that S3 allows. GET and HEAD only.
	ResponseHeaders []Header

	Expires time.Duration // whole seconds, MinExpires to MaxExpires
	Time    time.Time     // when the URL begins to work; any zone, fractions of a second are cut off
}

// Presigned is a signed URL and what a person must know of it.
type Presigned struct {
	URL              string // a secret: it is all that one needs
	Method           string
	Expires          time.Time         // when the signature ends
	EffectiveExpires time.Time         // when the URL stops working: Expires, or the end of the credentials if that is earlier
	Headers          map[string]string // what must be sent, by lower-case name; nil if nothing
}

// Signer signs URLs for one endpoint with one set of credentials. It is safe for
// concurrent use; the signing key is derived once a day of signing.
type Signer struct {
	base       base
	expires    time.Time
	credential string // X-Amz-Credential as far as it is the same every day, escaped
	token      string // &X-Amz-Security-Token=…, escaped, or empty
	scope      string // what follows the date in the scope of a signature
	keys       keyCache
}

// NewSigner checks the configuration and returns a Signer for it. An absent
// endpoint is Usage, a bad one Config, absent or unusable credentials are Auth.
func NewSigner(c Config) (*Signer, error) {
	b, err := parseBase(c)
	if err != nil {
		return nil, err
	}
	if err := c.Credentials.check(); err != nil {
		return nil, err
	}
	s := &Signer{base: b, expires: c.Credentials.Expires, scope: "/" + c.Region + "/s3/aws4_request"}
	s.credential = "&X-Amz-Credential=" + string(appendEscaped(nil, c.Credentials.AccessKey+"/", false))
	if token := c.Credentials.SessionToken; !token.IsEmpty() {
		s.token = "&X-Amz-Security-Token=" + string(appendEscaped(nil, token.Reveal(), false))
	}
	s.keys = keyCache{secret: c.Credentials.SecretKey, region: c.Region}
	return s, nil
}

// check finds credentials that cannot sign. A control character is most often
// the newline of the file that a key was read from.
func (c Credentials) check() error {
	const (
		both    = "an access key and its secret are both needed"
		newline = "is there a newline at its end?"
	)
	switch {
	case c.AccessKey == "":
		return failure.New(failure.Auth, "no access key to sign with").WithHint(both)
	case c.SecretKey.IsEmpty():
		return failure.New(failure.Auth, "no secret key to sign with").WithHint(both)
	case hasControl(c.AccessKey):
		return failure.New(failure.Auth, "the access key holds a control character").WithHint(newline)
	case hasControl(c.SecretKey.Bytes()):
		return failure.New(failure.Auth, "the secret key holds a control character").WithHint(newline)
	case hasControl(c.SessionToken.Bytes()):
		return failure.New(failure.Auth, "the session token holds a control character").WithHint(newline)
	}
	return nil
}

// Check tells what is wrong with a request, or with the configuration apart from
// its credentials, so that it can be said before credentials are fetched.
func Check(c Config, r Request) error {
	b, err := parseBase(c)
	if err != nil {
		return err
	}
	_, err = r.check(b)
	return err
}

// URL signs one request.
func (s *Signer) URL(r Request) (Presigned, error) {
	url, err := s.AppendURL(make([]byte, 0, 1024), r)
	if err != nil {
		return Presigned{}, err
	}
	method, _ := canonicalMethod(r.Method)
	end := time.Unix(r.Time.Unix(), 0).UTC().Add(r.Expires)
	p := Presigned{URL: string(url), Method: method, Expires: end, EffectiveExpires: end}
	if !s.expires.IsZero() && s.expires.Before(end) {
		p.EffectiveExpires = s.expires.UTC()
	}
	if len(r.Headers) > 0 {
		p.Headers = make(map[string]string, len(r.Headers))
		for _, h := range r.Headers {
			p.Headers[strings.ToLower(h.Name)] = h.Value
		}
	}
	return p, nil
}

// Warnings says what is likely to go wrong with URLs for the bucket although they
// are signed as asked. A certificate for *.host does not cover a.b.host.
func (s *Signer) Warnings(bucket string) []string {
	if s.base.virtual && s.base.scheme == "https" && strings.Contains(bucket, ".") {
		return []string{fmt.Sprintf("the certificate of %s is unlikely to cover %s.%s, since the bucket has a dot in its name; path addressing avoids it",
			s.base.host, bucket, s.base.host)}
	}
	return nil
}

// Format implements fmt.Formatter for every verb, so that a printed Signer shows no secret.
func (s *Signer) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "presign.Signer(%s://%s)", s.base.scheme, s.base.host)
}
