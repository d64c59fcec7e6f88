package presign

import (
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// responseHeaders are the six headers of an answer that S3 lets a URL set, in
// the order that their query parameters have in a signature.
var responseHeaders = [...]string{
	"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
}

// reserved headers are part of signing itself.
var reserved = [...]string{"host", "authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}

// canonicalMethod returns the method in capitals, if a URL can be signed for it.
func canonicalMethod(method string) (string, bool) {
	for _, m := range [...]string{"GET", "PUT", "HEAD", "DELETE"} {
		if strings.EqualFold(m, method) {
			return m, true
		}
	}
	return "", false
}

// check returns the method in capitals, or what is wrong with the request. It
// allocates nothing for a good one.
func (r *Request) check(b base) (string, error) {
	method, ok := canonicalMethod(r.Method)
	if !ok {
		return "", failure.New(failure.Usage, "no URL can be signed for method %q", r.Method).WithHint("GET, PUT, HEAD and DELETE can")
	}
	if err := checkBucket(r.Bucket, b.virtual); err != nil {
		return "", err
	}
	switch {
	case r.Key == "":
		return "", failure.New(failure.Usage, "no object key: a URL is for one object").WithHint("such as s3://%s/report.csv", r.Bucket)
	case len(r.Key) > MaxKeyBytes:
		return "", failure.New(failure.TooLarge, "the object key is %d bytes long; S3 allows %d", len(r.Key), MaxKeyBytes)
	}
	reads := method == "GET" || method == "HEAD"
	switch {
	case r.VersionID != "" && !reads:
		return "", failure.New(failure.Usage, "a version id goes with GET and HEAD, not with %s", method)
	case len(r.VersionID) > MaxKeyBytes:
		return "", failure.New(failure.TooLarge, "the version id is %d bytes long; S3 allows %d", len(r.VersionID), MaxKeyBytes)
	case len(r.ResponseHeaders) > 0 && !reads:
		return "", failure.New(failure.Usage, "response header %s goes with GET and HEAD, not with %s", r.ResponseHeaders[0].Name, method)
	}
	if err := checkHeaders(r.Headers); err != nil {
		return "", err
	}
	if err := checkResponseHeaders(r.ResponseHeaders); err != nil {
		return "", err
	}
	return method, r.checkTime()
}

func (r *Request) checkTime() error {
	switch {
	case r.Expires < MinExpires || r.Expires > MaxExpires:
		return failure.New(failure.TooLarge, "a URL cannot live for %s: from 1s to 7d is possible", r.Expires).
			WithHint("Signature Version 4 allows 7 days at most; sign again when it ends")
	case r.Expires%time.Second != 0:
		return failure.New(failure.TooLarge, "a URL cannot live for %s: whole seconds are possible", r.Expires)
	case r.Time.IsZero():
		return failure.New(failure.Usage, "no time to sign for")
	}
	if year := r.Time.UTC().Year(); year < 1 || year > 9999 {
		return failure.New(failure.Usage, "the year %d cannot be signed for", year)
	}
	return nil
}

// checkBucket takes what some S3 server has taken: the strict names of today,
// and longer ones with capitals and underscores. What it refuses would change the
// URL's meaning.
func checkBucket(bucket string, virtual bool) error {
	bad := func(why string) error {
		return failure.New(failure.Usage, "bucket %q %s", bucket, why).
			WithHint("bucket names have 3 to 63 of a-z, 0-9, dots and dashes")
	}
	switch {
	case bucket == "":
		return failure.New(failure.Usage, "no bucket").WithHint("such as s3://bucket/key")
	case len(bucket) > 255:
		return failure.New(failure.TooLarge, "the bucket name is %d bytes long; 63 is the rule, and no server takes more than 255", len(bucket))
	case bucket == "." || bucket == "..":
		return bad("is no name")
	}
	capital := false
	for i := 0; i < len(bucket); i++ {
		c := bucket[i]
		if !unreserved(c) || c == '~' {
			return bad("has a character that no bucket name can have")
		}
		capital = capital || 'A' <= c && c <= 'Z'
	}
	if !virtual {
		return nil
	}
	// The bucket becomes part of a host name, which knows no capitals.
	const hint = "path addressing takes it"
	switch first, last := bucket[0], bucket[len(bucket)-1]; {
	case capital:
		return failure.New(failure.Usage, "bucket %q has capitals, which a host name cannot tell from small letters", bucket).WithHint(hint)
	case len(bucket) > 63, first == '.', first == '-', last == '.', last == '-', strings.Contains(bucket, ".."):
		return failure.New(failure.Usage, "bucket %q cannot be part of a host name", bucket).WithHint(hint)
	}
	return nil
}

func checkHeaders(headers []Header) error {
	for i := range headers {
		h := &headers[i]
		if !isToken(h.Name) {
			return failure.New(failure.Usage, "%q is no name of a header", h.Name)
		}
		for _, name := range reserved {
			if strings.EqualFold(h.Name, name) {
				return failure.New(failure.Usage, "header %s is part of signing and cannot be asked for", name)
			}
		}
		for j := range i {
			if strings.EqualFold(headers[j].Name, h.Name) {
				return failure.New(failure.Usage, "header %s is given twice", h.Name)
			}
		}
		if err := checkValue("header", h); err != nil {
			return err
		}
	}
	return nil
}

func checkResponseHeaders(headers []Header) error {
	seen := [len(responseHeaders)]bool{}
	for i := range headers {
		h := &headers[i]
		known := false
		for n, name := range responseHeaders {
			if !isResponseHeader(h.Name, name) {
				continue
			}
			if seen[n] {
				return failure.New(failure.Usage, "response header %s is given twice", name)
			}
			known, seen[n] = true, true
		}
		if !known {
			return failure.New(failure.Usage, "response header %q cannot be set by a URL", h.Name).
				WithHint("%s can", strings.Join(responseHeaders[:], ", "))
		}
		if err := checkValue("response header", h); err != nil {
			return err
		}
	}
	return nil
}

// isResponseHeader tells whether a name that was asked for is the given one,
// written with response- in front or without.
func isResponseHeader(asked, name string) bool {
	const prefix = "response-"
	if len(asked) == len(prefix)+len(name) && strings.EqualFold(asked[:len(prefix)], prefix) {
		asked = asked[len(prefix):]
	}
	return strings.EqualFold(asked, name)
}

// checkValue keeps out what would end a header early, and what clients encode
// each in their own way, so that the signature would not match.
func checkValue(what string, h *Header) error {
	for i := 0; i < len(h.Value); i++ {
		switch c := h.Value[i]; {
		case c < ' ' || c == 0x7f:
			return failure.New(failure.Usage, "%s %s has a control character in its value", what, h.Name)
		case c > 0x7f:
			return failure.New(failure.Usage, "%s %s has a value that is not ASCII", what, h.Name).
				WithHint("file names have a form for it: filename*=UTF-8''...")
		}
	}
	return nil
}

// isToken tells whether s can be the name of a header (RFC 9110).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (!unreserved(c)) && !strings.ContainsRune("!#$%&'*+^`|", rune(c)) {
			return false
		}
	}
	return s != ""
}

func hasControl[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
