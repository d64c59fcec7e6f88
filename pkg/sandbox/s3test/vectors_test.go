package s3test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/secret"
)

// The examples that AWS publishes for Signature Version 4 with S3.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleHost   = "examplebucket.s3.amazonaws.com"
	emptyHash     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

type vector struct {
	name, method, target string
	host                 string   // exampleHost unless given
	headers              []string // NAME, VALUE, …
	signed, signature    string
	body                 string
}

var vectors = []vector{
	{
		name: "get object with a range", method: "GET", target: "/test.txt",
		headers: []string{"Range", "bytes=0-9", "X-Amz-Content-Sha256", emptyHash, "X-Amz-Date", "20130524T000000Z"},
		signed:  "host;range;x-amz-content-sha256;x-amz-date", signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
	},
	{
		name: "put object", method: "PUT", target: "/test%24file.text",
		headers: []string{
			"Date", "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Date", "20130524T000000Z", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
			"X-Amz-Content-Sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		},
		signed: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
		body: "Welcome to Amazon S3.",
	},
	{
		name: "get bucket lifecycle", method: "GET", target: "/?lifecycle",
		headers: []string{"X-Amz-Content-Sha256", emptyHash, "X-Amz-Date", "20130524T000000Z"},
		signed:  "host;x-amz-content-sha256;x-amz-date", signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
	},
	{
		name: "list objects", method: "GET", target: "/?max-keys=2&prefix=J",
		headers: []string{"X-Amz-Content-Sha256", emptyHash, "X-Amz-Date", "20130524T000000Z"},
		signed:  "host;x-amz-content-sha256;x-amz-date", signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
	},
	{
		name: "presigned get", method: "GET",
		target: "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
			"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
		signature: "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
	},
	{
		name: "chunked upload", method: "PUT", host: "s3.amazonaws.com", target: "/examplebucket/chunkObject.txt", headers: chunkedHeaders,
		signed:    "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
		signature: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", body: chunkedBody(),
	},
	{
		name: "chunked upload with a trailer", method: "PUT", host: "s3.amazonaws.com", target: "/examplebucket/chunkObject.txt", headers: trailerHeaders,
		signed:    "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
		signature: "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", body: trailerBody(),
	},
}

var chunkedHeaders = []string{
	"Content-Encoding", "aws-chunked", "Content-Length", "66824", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
	"X-Amz-Content-Sha256", streamingSigned, "X-Amz-Date", "20130524T000000Z", "X-Amz-Decoded-Content-Length", "66560",
}

func chunkedBody() string {
	return "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
}

var trailerHeaders = []string{
	"Content-Encoding", "aws-chunked", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY", "X-Amz-Trailer", "x-amz-checksum-crc32c",
	"X-Amz-Content-Sha256", streamingSignedTrailer, "X-Amz-Date", "20130524T000000Z", "X-Amz-Decoded-Content-Length", "66560",
}

func trailerBody() string {
	return "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
}

func (v vector) request() *http.Request {
	r := httptest.NewRequest(v.method, "/", strings.NewReader(v.body))
	r.RequestURI, r.Host = v.target, cmp.Or(v.host, exampleHost)
	for i := 0; i < len(v.headers); i += 2 {
		r.Header.Set(v.headers[i], v.headers[i+1])
	}
	if v.signed != "" {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+exampleKey+"/20130524/us-east-1/s3/aws4_request,SignedHeaders="+v.signed+",Signature="+v.signature)
	}
	return r
}

// check verifies a request the way the server does, without one.
func check(r *http.Request) (*proof, *target, *apiError) {
	t, err := parseTarget(r, []string{"s3.amazonaws.com"})
	if err != nil {
		return nil, nil, err
	}
	c, err := parseClaim(r, t, "us-east-1")
	if err != nil {
		return nil, nil, err
	}
	if err := c.checkTime(exampleTime); err != nil {
		return nil, nil, err
	}
	p, err := verify(r, t, c, secret.FromString(exampleSecret))
	return p, t, err
}

func TestPublishedVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			r := v.request()
			p, target, err := check(r)
			if err != nil {
				t.Fatalf("%v %v", err, err.extra)
			}
			if target.bucket != "examplebucket" {
				t.Errorf("bucket %q", target.bucket)
			}
			body, err := newPayload(r, r.Header, p)
			if err != nil {
				t.Fatal(err)
			}
			got, rerr := io.ReadAll(body)
			if rerr != nil {
				t.Fatal(rerr)
			}
			want := v.body
			if body.chunks != nil {
				want = strings.Repeat("a", 66560)
			}
			if string(got) != want {
				t.Errorf("body of %d bytes, want %d", len(got), len(want))
			}
		})
	}
}

// Every byte of what is signed counts.
func TestTamperedVectors(t *testing.T) {
	for _, v := range vectors {
		tamper := func(what string, change func(*http.Request)) {
			t.Helper()
			r := v.request()
			change(r)
			if _, _, err := check(r); err == nil {
				t.Errorf("%s: accepted with another %s", v.name, what)
			}
		}
		for i := range v.signature {
			flipped := flip(v.signature, i)
			tamper("signature", func(r *http.Request) {
				r.RequestURI = strings.ReplaceAll(r.RequestURI, v.signature, flipped)
				if a := r.Header.Get("Authorization"); a != "" {
					r.Header.Set("Authorization", strings.ReplaceAll(a, v.signature, flipped))
				}
			})
		}
		for i := 1; i < len(v.target); i++ {
			tamper("target at "+v.target[i:], func(r *http.Request) { r.RequestURI = flip(v.target, i) })
		}
		for i := 1; i < len(v.headers); i += 2 {
			name := v.headers[i-1]
			if name == "Content-Length" {
				continue
			}
			tamper(name, func(r *http.Request) { r.Header.Set(name, flip(v.headers[i], 0)) })
			tamper(name+" gone", func(r *http.Request) { r.Header.Del(name) })
			tamper(name+" twice", func(r *http.Request) { r.Header.Add(name, v.headers[i]) })
		}
		tamper("host", func(r *http.Request) { r.Host = "x" + r.Host })
		tamper("method", func(r *http.Request) { r.Method = "POST" })
		tamper("x-amz- header", func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") })
		tamper("parameter", func(r *http.Request) {
			if strings.Contains(r.RequestURI, "?") {
				r.RequestURI += "&a=b"
			} else {
				r.RequestURI += "?a=b"
			}
		})
	}
}

func flip(s string, i int) string {
	b := []byte(s)
	if b[i] ^= 1; b[i] == '%' || b[i] == '#' || b[i] == '?' || b[i] == ' ' {
		b[i] ^= 3
	}
	return string(b)
}

func TestTamperedBodies(t *testing.T) {
	read := func(v vector) error {
		r := v.request()
		p, _, err := check(r)
		if err != nil {
			return err
		}
		r.ContentLength = -1
		body, err := newPayload(r, r.Header, p)
		if err != nil {
			return err
		}
		_, rerr := io.Copy(io.Discard, body)
		return rerr
	}
	for _, v := range vectors {
		if v.body == "" {
			continue
		}
		for i := 0; i < len(v.body); i += max(1, min(len(v.body)-i-400, 997)) {
			w := v
			b := []byte(v.body)
			b[i] ^= 1
			if w.body = string(b); strings.EqualFold(w.body, v.body) {
				continue
			}
			if read(w) == nil {
				t.Errorf("%s: accepted with byte %d (%q) changed", v.name, i, v.body[i])
			}
		}
		for _, n := range []int{0, 1, len(v.body) / 2, len(v.body) - 3, len(v.body) - 1} {
			w := v
			w.body = v.body[:n]
			if read(w) == nil {
				t.Errorf("%s: accepted with %d of %d bytes", v.name, n, len(v.body))
			}
		}
		w := v
		w.body += "x"
		if read(w) == nil {
			t.Errorf("%s: accepted with one byte more", v.name)
		}
	}
}

func TestParseClaim(t *testing.T) {
	const (
		scope = exampleKey + "/20130524/us-east-1/s3/aws4_request"
		sig   = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	)
	query := func(change ...string) string {
		m := map[string]string{
			"X-Amz-Algorithm": algorithm, "X-Amz-Credential": scope, "X-Amz-Date": "20130524T000000Z",
			"X-Amz-Expires": "60", "X-Amz-SignedHeaders": "host", "X-Amz-Signature": sig,
		}
		for i := 0; i < len(change); i += 2 {
			m[change[i]] = change[i+1]
		}
		q := ""
		for k, v := range m {
			if v != "-" {
				q += "&" + k + "=" + escape(v, false)
			}
		}
		return "/test.txt?" + q
	}
	for _, c := range []struct{ name, header, target, want string }{
		{"nothing", "", "/", "AccessDenied"},
		{"version 2", "AWS " + exampleKey + ":sig", "/", "InvalidRequest"},
		{"version 2 query", "", "/?AWSAccessKeyId=x&Signature=y&Expires=1", "InvalidRequest"},
		{"version 4a", "AWS4-ECDSA-P256-SHA256 Credential=x", "/", "InvalidRequest"},
		{"basic", "Basic YTpi", "/", "InvalidArgument"},
		{"empty members", algorithm + " ", "/", "AuthorizationHeaderMalformed"},
		{"no signature", algorithm + " Credential=" + scope + ",SignedHeaders=host", "/", "AuthorizationHeaderMalformed"},
		{"twice a member", algorithm + " Credential=" + scope + ",SignedHeaders=host,SignedHeaders=host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"member unknown", algorithm + " Credential=" + scope + ",SignedHeaders=host,Signature=" + sig + ",X=1", "/", "AuthorizationHeaderMalformed"},
		{"short credential", algorithm + " Credential=a/b/c,SignedHeaders=host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"no key", algorithm + " Credential=/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"region", algorithm + " Credential=A/20130524/eu-west-1/s3/aws4_request,SignedHeaders=host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"service", algorithm + " Credential=A/20130524/us-east-1/sts/aws4_request,SignedHeaders=host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"terminal", algorithm + " Credential=A/20130524/us-east-1/s3/aws5_request,SignedHeaders=host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"date of scope", algorithm + " Credential=A/20130525/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"capitals signed", algorithm + " Credential=" + scope + ",SignedHeaders=Host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"header twice signed", algorithm + " Credential=" + scope + ",SignedHeaders=host;host,Signature=" + sig, "/", "AuthorizationHeaderMalformed"},
		{"host unsigned", algorithm + " Credential=" + scope + ",SignedHeaders=x-amz-date,Signature=" + sig, "/", "AccessDenied"},
		{"both", algorithm + " Credential=" + scope + ",SignedHeaders=host,Signature=" + sig, query(), "InvalidArgument"},
		{"no payload hash", algorithm + " Credential=" + scope + ",SignedHeaders=host;x-amz-date,Signature=" + sig, "/", "InvalidRequest"},
		{"query algorithm", "", query("X-Amz-Algorithm", "AWS4-HMAC-SHA1"), "AuthorizationQueryParametersError"},
		{"query without date", "", query("X-Amz-Date", "-"), "AuthorizationQueryParametersError"},
		{"query date", "", query("X-Amz-Date", "20130524T00:00:00Z"), "AuthorizationQueryParametersError"},
		{"no expiry", "", query("X-Amz-Expires", "-"), "AuthorizationQueryParametersError"},
		{"expiry 0", "", query("X-Amz-Expires", "0"), "AuthorizationQueryParametersError"},
		{"expiry negative", "", query("X-Amz-Expires", "-5"), "AuthorizationQueryParametersError"},
		{"expiry words", "", query("X-Amz-Expires", "1h"), "AuthorizationQueryParametersError"},
		{"expiry over a week", "", query("X-Amz-Expires", "604801"), "AuthorizationQueryParametersError"},
		{"a parameter twice", "", query() + "&X-Amz-Expires=61", "AuthorizationQueryParametersError"},
		{"a parameter in small letters too", "", query() + "&x-amz-expires=61", "AuthorizationQueryParametersError"},
		{"not yet valid", "", query("X-Amz-Date", "20130524T002000Z"), "AccessDenied"},
		{"wrong signature", "", query(), "SignatureDoesNotMatch"},
	} {
		v := vector{method: "GET", target: c.target, headers: []string{"X-Amz-Date", "20130524T000000Z"}}
		if strings.Contains(c.target, "X-Amz-Algorithm") {
			v.headers = nil
		}
		r := v.request()
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		_, _, err := check(r)
		if err == nil || err.code != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	late := exampleTime.Add(-61 * time.Second)
	v := vector{method: "GET", target: query("X-Amz-Date", late.Format(dateFormat), "X-Amz-Credential", strings.Replace(scope, "20130524", "20130523", 1))}
	if _, _, err := check(v.request()); err == nil || err.message != "Request has expired" {
		t.Errorf("expired: %v", err)
	}
}

func TestCRC64NVME(t *testing.T) {
	h := checksums["crc64nvme"].new()
	_, _ = h.Write([]byte("123456789")) // the check value of the catalog of CRCs
	if got := hex.EncodeToString(h.Sum(nil)); got != "ae8b14860a799888" {
		t.Errorf("got %s", got)
	}
}

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		header         string
		size           int64
		offset, length int64
		whole, invalid bool
	}{
		{"", 10, 0, 10, true, false},
		{"bytes=0-0", 10, 0, 1, false, false},
		{"bytes=2-", 10, 2, 8, false, false},
		{"bytes=-3", 10, 7, 3, false, false},
		{"bytes=-30", 10, 0, 10, false, false},
		{"bytes=5-99", 10, 5, 5, false, false},
		{"bytes=10-", 10, 0, 0, false, true},
		{"bytes=-0", 10, 0, 0, false, true},
		{"bytes=0-", 0, 0, 0, false, true},
		{"bytes=5-2", 10, 0, 10, true, false},
		{"bytes=0-1,3-4", 10, 0, 10, true, false},
		{"bytes=a-b", 10, 0, 10, true, false},
		{"bytes=-", 10, 0, 10, true, false},
		{"bytes=0-99999999999999999999", 10, 0, 10, true, false},
		{"items=0-1", 10, 0, 10, true, false},
	} {
		o, n, whole, err := parseRange(c.header, c.size)
		if o != c.offset || n != c.length || whole != c.whole || (err != nil) != c.invalid {
			t.Errorf("%q of %d: %d+%d whole=%v %v", c.header, c.size, o, n, whole, err)
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, v := range vectors {
		if a := v.request().Header.Get("Authorization"); a != "" {
			f.Add(a)
		}
	}
	f.Add(algorithm + " Credential=a/b/c/d/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseAuthorization(s)
		if err != nil {
			return
		}
		if c.accessKey == "" || len(c.date) != 8 || len(c.signed) == 0 || c.signature == "" {
			t.Errorf("%q taken as %+v", s, c)
		}
		if !strings.Contains(s, c.accessKey+"/"+c.scope()) {
			t.Errorf("%q: the scope is %q", s, c.scope())
		}
	})
}

func FuzzChunkReader(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"), false)
	f.Add([]byte("0\r\n\r\n"), false)
	f.Add([]byte("fffffffffffffff\r\nx"), false)
	f.Add([]byte("1;chunk-signature=ad80c730\r\na\r\n0;chunk-signature=b6c6ea8a\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, body []byte, signed bool) {
		p := &proof{payload: streamingUnsignedTrailer, signingKey: []byte("k")}
		p.stamp = "20130524T000000Z"
		if signed {
			p.payload = streamingSigned
		}
		c := newChunkReader(bytes.NewReader(body), p)
		got, err := io.ReadAll(c)
		var api *apiError
		if err != nil && !errors.As(err, &api) {
			t.Errorf("an error S3 does not know: %v", err)
		}
		if len(got) > len(body) {
			t.Errorf("%d bytes out of %d", len(got), len(body))
		}
		if err == nil && signed {
			t.Error("a signature was guessed")
		}
		if _, again := c.Read(make([]byte, 1)); again == nil {
			t.Error("reading goes on after the end")
		}
	})
}
