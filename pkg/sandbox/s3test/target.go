package s3test

import (
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"
)

// target is what a request is about, read from its raw request line. Nothing
// is cleaned: "a//b", "." and ".." are parts of keys like any other.
type target struct {
	path   string  // the decoded path, with its leading slash
	query  []param // in the order of the request, decoded
	bucket string
	key    string
}

type param struct{ name, value string }

// first returns the first value of a parameter; names are case-sensitive.
func (t *target) first(name string) (string, bool) {
	for _, p := range t.query {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

func (t *target) value(name string) string {
	v, _ := t.first(name)
	return v
}

func (t *target) has(name string) bool {
	_, ok := t.first(name)
	return ok
}

// parseTarget splits the request target. With a Host of the form
// BUCKET.DOMAIN the bucket is taken from there.
func parseTarget(r *http.Request, domains []string) (*target, *apiError) {
	raw := r.RequestURI
	if raw == "" { // a request that no server has read
		raw = r.URL.RequestURI()
	}
	if !strings.HasPrefix(raw, "/") { // the absolute form, as a proxy is sent it
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" {
			return nil, errInvalidURI
		}
		_, rest, _ := strings.Cut(raw, "://")
		i := strings.IndexAny(rest, "/?")
		switch {
		case i < 0:
			raw = "/"
		case rest[i] == '?':
			raw = "/" + rest[i:]
		default:
			raw = rest[i:]
		}
	}
	rawPath, rawQuery, _ := strings.Cut(raw, "?")
	path, err := url.PathUnescape(rawPath)
	if err != nil || !utf8.ValidString(path) {
		return nil, errInvalidURI
	}
	t := &target{path: path}
	for part := range strings.SplitSeq(rawQuery, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || !utf8.ValidString(n) || !utf8.ValidString(v) {
			return nil, errInvalidURI
		}
		t.query = append(t.query, param{n, v})
	}
	if b := hostBucket(r.Host, domains); b != "" {
		t.bucket, t.key = b, path[1:]
	} else {
		t.bucket, t.key, _ = strings.Cut(path[1:], "/")
	}
	return t, nil
}

func hostBucket(host string, domains []string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	for _, d := range domains {
		if b, ok := strings.CutSuffix(host, "."+d); ok && b != "" {
			return b
		}
	}
	return ""
}

// escape is the percent-encoding of Signature Version 4: everything but the
// unreserved characters of RFC 3986, in capital hex digits.
func escape(s string, keepSlash bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// canonicalQuery sorts by encoded name, then by encoded value, and leaves out
// the signature itself.
func (t *target) canonicalQuery() string {
	list := make([]param, 0, len(t.query))
	for _, p := range t.query {
		if p.name != "X-Amz-Signature" {
			list = append(list, param{escape(p.name, false), escape(p.value, false)})
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].name != list[j].name {
			return list[i].name < list[j].name
		}
		return list[i].value < list[j].value
	})
	var b strings.Builder
	for i, p := range list {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}
