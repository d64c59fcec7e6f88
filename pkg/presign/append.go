package presign

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeLayout = "20060102T150405Z"
	dateLen    = len("20060102")
)

// AppendURL appends the signed URL of one request to dst and returns the result,
// or nil and an error. The spare room behind the result is used as scratch space,
// so a caller that passes the same buffer again and again, cut to length 0,
// allocates nothing in the long run.
func (s *Signer) AppendURL(dst []byte, r Request) ([]byte, error) {
	method, err := r.check(s.base)
	if err != nil {
		return nil, err
	}
	if !s.expires.IsZero() && !s.expires.After(r.Time) {
		return nil, failure.New(failure.Auth, "the signing credentials ended at %s", s.expires.UTC().Format(time.RFC3339)).
			WithHint("get new ones")
	}
	var stamp [len(timeLayout)]byte
	at := r.Time.UTC().AppendFormat(stamp[:0], timeLayout)

	dst = append(dst, s.base.scheme...)
	dst = append(dst, "://"...)
	host := len(dst)
	if s.base.virtual {
		dst = append(dst, r.Bucket...)
		dst = append(dst, '.')
	}
	dst = append(dst, s.base.host...)
	path := len(dst)
	dst = append(dst, s.base.path...)
	if !s.base.virtual {
		dst = append(dst, '/')
		dst = appendEscaped(dst, r.Bucket, false)
	}
	dst = append(dst, '/')
	dst = appendEscaped(dst, r.Key, true)
	dst = append(dst, '?')
	query := len(dst)
	dst = s.appendQuery(dst, &r, at)
	end := len(dst)

	// The canonical request, from the parts above. Its query is the URL's own,
	// which is written in canonical order.
	dst = append(dst, method...)
	dst = append(dst, '\n')
	dst = append(dst, dst[path:query-1]...)
	dst = append(dst, '\n')
	dst = append(dst, dst[query:end]...)
	dst = append(dst, '\n')
	dst = appendCanonicalHeaders(dst, r.Headers, host, path)
	dst = append(dst, '\n')
	dst = appendSignedHeaders(dst, r.Headers, plain)
	dst = append(dst, "\nUNSIGNED-PAYLOAD"...)
	hash := sha256.Sum256(dst[end:])

	// The string to sign.
	dst = append(dst[:end], algorithm+"\n"...)
	dst = append(dst, at...)
	dst = append(dst, '\n')
	dst = append(dst, at[:dateLen]...)
	dst = append(dst, s.scope...)
	dst = append(dst, '\n')
	dst = hex.AppendEncode(dst, hash[:])
	signature := s.keys.of(at[:dateLen]).sign(dst[end:])

	dst = append(dst[:end], "&X-Amz-Signature="...)
	return hex.AppendEncode(dst, signature[:]), nil
}

// appendQuery appends the query without its signature. The order is the canonical
// one: by the bytes of the escaped names, capitals first.
func (s *Signer) appendQuery(dst []byte, r *Request, at []byte) []byte {
	dst = append(dst, "X-Amz-Algorithm="+algorithm...)
	dst = append(dst, s.credential...)
	dst = append(dst, at[:dateLen]...)
	dst = appendEscaped(dst, s.scope, false)
	dst = append(dst, "&X-Amz-Date="...)
	dst = append(dst, at...)
	dst = append(dst, "&X-Amz-Expires="...)
	dst = strconv.AppendInt(dst, int64(r.Expires/time.Second), 10)
	dst = append(dst, s.token...)
	dst = append(dst, "&X-Amz-SignedHeaders="...)
	dst = appendSignedHeaders(dst, r.Headers, escaped)
	for _, name := range responseHeaders {
		for i := range r.ResponseHeaders {
			if h := &r.ResponseHeaders[i]; isResponseHeader(h.Name, name) {
				dst = append(dst, "&response-"...)
				dst = append(dst, name...)
				dst = append(dst, '=')
				dst = appendEscaped(dst, h.Value, false)
			}
		}
	}
	if r.VersionID != "" {
		dst = append(dst, "&versionId="...)
		dst = appendEscaped(dst, r.VersionID, false)
	}
	return dst
}

// appendCanonicalHeaders appends a line for each signed header, in the order of
// their names. The value of host is what dst holds from host to path.
func appendCanonicalHeaders(dst []byte, headers []Header, host, path int) []byte {
	hostDone := false
	for h := next(headers, ""); h != nil || !hostDone; {
		if !hostDone && (h == nil || compareFold("host", h.Name) < 0) {
			dst = append(dst, "host:"...)
			dst = append(dst, dst[host:path]...)
			dst = append(dst, '\n')
			hostDone = true
			continue
		}
		dst = appendLower(dst, h.Name)
		dst = append(dst, ':')
		dst = appendTrimmed(dst, h.Value)
		dst = append(dst, '\n')
		h = next(headers, h.Name)
	}
	return dst
}

// How the list of signed headers is written: as it is, or as a query value.
const (
	plain   = ";"
	escaped = "%3B"
)

// appendSignedHeaders appends the names of the signed headers in their order.
func appendSignedHeaders(dst []byte, headers []Header, separator string) []byte {
	hostDone := false
	for h := next(headers, ""); h != nil || !hostDone; {
		if !hostDone && (h == nil || compareFold("host", h.Name) < 0) {
			dst = append(dst, "host"...)
			hostDone = true
		} else {
			start := len(dst)
			dst = appendLower(dst, h.Name)
			if separator == escaped {
				dst = escapeTail(dst, start)
			}
			h = next(headers, h.Name)
		}
		if h != nil || !hostDone {
			dst = append(dst, separator...)
		}
	}
	return dst
}

// next returns the header whose name follows after, in the order of lower-case
// names, or nil. Headers are few, and looking again costs less than a sorted copy.
func next(headers []Header, after string) *Header {
	var least *Header
	for i := range headers {
		h := &headers[i]
		if compareFold(h.Name, after) > 0 && (least == nil || compareFold(h.Name, least.Name) < 0) {
			least = h
		}
	}
	return least
}
