package s3test_test

import (
	"crypto/md5"  //nolint:gosec // Content-MD5 is an MD5 by definition
	"crypto/sha1" //nolint:gosec // one of S3's checksums
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/valetkey/valetkey/pkg/sandbox/observe"
	"github.com/valetkey/valetkey/pkg/sandbox/s3test"
)

const emptySHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

type answer struct {
	status        int
	header        http.Header
	body          string
	Code, Message string
}

// do sends a request to the handler itself, signed by the SDK's own signer.
func (w *world) do(method, target, body, payload string, header ...string) answer {
	r := httptest.NewRequest(method, "https://127.0.0.1"+target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w.sign(r, payload)
	return w.serve(r)
}

func (w *world) sign(r *http.Request, payload string) {
	w.t.Helper()
	if payload == "" {
		payload = emptySHA
	}
	r.Header.Set("X-Amz-Content-Sha256", payload)
	err := v4.NewSigner().SignHTTP(w.t.Context(), aws.Credentials{AccessKeyID: "AKALICE", SecretAccessKey: w.keys["AKALICE"].secret},
		r, payload, "s3", "us-east-1", w.clock(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) serve(r *http.Request) answer {
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	a := answer{status: rec.Code, header: rec.Header(), body: rec.Body.String()}
	if rec.Code >= 300 && rec.Body.Len() > 0 {
		if err := xml.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			w.t.Errorf("an error that is no XML: %v: %s", err, a.body)
		}
	}
	return a
}

func sha(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func TestBodies(t *testing.T) {
	w := newWorld(t)
	sum := md5.Sum([]byte("hello")) //nolint:gosec // see the import
	hello5 := base64.StdEncoding.EncodeToString(sum[:])
	for _, c := range []struct {
		name, body, payload string
		header              []string
		want                string
	}{
		{"signed", "hello", sha("hello"), nil, ""},
		{"another body", "jello", sha("hello"), nil, "XAmzContentSHA256Mismatch"},
		{"unsigned", "jello", "UNSIGNED-PAYLOAD", nil, ""},
		{"no hash at all", "hello", "hello", nil, "InvalidArgument"},
		{"md5", "hello", "UNSIGNED-PAYLOAD", []string{"Content-MD5", hello5}, ""},
		{"wrong md5", "jello", "UNSIGNED-PAYLOAD", []string{"Content-MD5", hello5}, "BadDigest"},
		{"no md5", "hello", "UNSIGNED-PAYLOAD", []string{"Content-MD5", "hello"}, "InvalidDigest"},
		{"crc32", "hello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Checksum-Crc32", "NhCmhg=="}, ""},
		{"wrong crc32", "jello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Checksum-Crc32", "NhCmhg=="}, "BadDigest"},
		{"short crc32", "hello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Checksum-Crc32", "NhCm"}, "InvalidRequest"},
		{"two checksums", "hello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Checksum-Crc32", "NhCmhg==", "X-Amz-Checksum-Crc32c", "mnG7TA=="}, "InvalidRequest"},
		{"unknown checksum", "hello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Checksum-Md4", "NhCmhg=="}, "InvalidRequest"},
		{"token", "hello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Security-Token", "tok"}, "InvalidToken"},
		{"tags", "hello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Tagging", "a=b"}, "NotImplemented"},
		{"metadata", "hello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Meta-A", strings.Repeat("x", 2047)}, ""},
		{"too much metadata", "hello", "UNSIGNED-PAYLOAD", []string{"X-Amz-Meta-A", strings.Repeat("x", 2048)}, "MetadataTooLarge"},
		{"no decoded length", "0\r\n\r\n", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", nil, "MissingContentLength"},
	} {
		if a := w.do("PUT", "/demo/body", c.body, c.payload, c.header...); a.Code != c.want {
			t.Errorf("%s: %d %s %s, want %s", c.name, a.status, a.Code, a.Message, c.want)
		}
	}
	if a := w.do("DELETE", "/demo/body", "hello", emptySHA); a.Code != "XAmzContentSHA256Mismatch" {
		t.Errorf("a body where none was signed: %+v", a)
	}
	if got := get(t, w.client("AKALICE"), "demo", "body"); got != "hello" {
		t.Errorf("refused requests changed the object: %q", got)
	}
	r := httptest.NewRequest("PUT", "https://127.0.0.1/demo/long", io.NopCloser(strings.NewReader("hello")))
	r.ContentLength = -1
	w.sign(r, "UNSIGNED-PAYLOAD")
	if a := w.serve(r); a.Code != "MissingContentLength" {
		t.Errorf("no length: %+v", a)
	}
}

func TestTrailers(t *testing.T) {
	w := newWorld(t)
	const content = "hello, trailers"
	for name, h := range map[string]hash.Hash{
		"crc32": crc32.NewIEEE(), "crc32c": crc32.New(crc32.MakeTable(crc32.Castagnoli)),
		"crc64nvme": crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)), "sha1": sha1.New(), "sha256": sha256.New(), //nolint:gosec // see the import
	} {
		_, _ = h.Write([]byte(content))
		sum := base64.StdEncoding.EncodeToString(h.Sum(nil))
		trailer := "x-amz-checksum-" + name
		chunks := "5\r\nhello\r\nA\r\n, trailers\r\n0\r\n"
		send := func(what, body, want string, length int, announced string) {
			t.Helper()
			a := w.do("PUT", "/demo/trailer", body, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "Content-Encoding", "aws-chunked",
				"X-Amz-Decoded-Content-Length", strconv.Itoa(length), "X-Amz-Trailer", announced)
			if a.Code != want {
				t.Errorf("%s, %s: %d %s %s, want %s", name, what, a.status, a.Code, a.Message, want)
			}
			if want == "" && a.header.Get(trailer) != sum {
				t.Errorf("%s, %s: answered %q", name, what, a.header.Get(trailer))
			}
		}
		n := len(content)
		send("right", chunks+trailer+":"+sum+"\r\n\r\n", "", n, trailer)
		send("with a space", chunks+trailer+": "+sum+"\r\n\r\n", "", n, trailer)
		send("another body", strings.Replace(chunks, "hello", "jello", 1)+trailer+":"+sum+"\r\n\r\n", "BadDigest", n, trailer)
		send("no base64", chunks+trailer+":!!\r\n\r\n", "InvalidRequest", n, trailer)
		send("missing", chunks+"\r\n", "MalformedTrailerError", n, trailer)
		send("not announced", chunks+trailer+":"+sum+"\r\n\r\n", "MalformedTrailerError", n, "")
		send("twice", chunks+strings.Repeat(trailer+":"+sum+"\r\n", 2)+"\r\n", "MalformedTrailerError", n, trailer)
		send("unknown", chunks+"x-amz-other:1\r\n\r\n", "InvalidRequest", n, "x-amz-other")
		send("too long", chunks+trailer+":"+sum+"\r\n\r\n", "IncompleteBody", n-1, trailer)
		send("too short", chunks+trailer+":"+sum+"\r\n\r\n", "IncompleteBody", n+1, trailer)
		send("cut off", chunks+trailer+":"+sum, "IncompleteBody", n, trailer)
		send("no chunk size", "x\r\n\r\n", "InvalidRequest", n, trailer)
		send("endless line", strings.Repeat("0", 5000), "InvalidRequest", n, trailer)
	}
	a := w.do("HEAD", "/demo/trailer", "", "")
	if a.status != http.StatusOK || a.header.Get("Content-Encoding") != "" || a.header.Get("Content-Length") != strconv.Itoa(len(content)) {
		t.Errorf("%+v", a)
	}
}

func TestErrorsOfHeadHaveNoBody(t *testing.T) {
	w := newWorld(t)
	for _, target := range []string{"/demo/none", "/none"} {
		if a := w.do("HEAD", target, "", ""); a.status != http.StatusNotFound || a.body != "" {
			t.Errorf("%s: %+v", target, a)
		}
	}
	a := w.do("GET", "/demo/none", "", "")
	if a.header.Get("Content-Type") != "application/xml" || !strings.HasPrefix(a.body, "<?xml") || !strings.Contains(a.body, "<Key>none</Key>") {
		t.Errorf("%+v", a)
	}
}

func TestDuplicateHeaders(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"X-Amz-Date", "X-Amz-Content-Sha256", "Authorization"} {
		r := httptest.NewRequest("GET", "https://127.0.0.1/demo", http.NoBody)
		w.sign(r, emptySHA)
		r.Header.Add(name, r.Header.Get(name))
		if a := w.serve(r); a.status < 400 {
			t.Errorf("%s twice: %d", name, a.status)
		}
	}
}

func TestVirtualHost(t *testing.T) {
	w := newWorld(t)
	put(t, w.client("AKALICE"), "demo", "a/b", "1")
	r := httptest.NewRequest("GET", "https://demo.localhost:8443/a/b", http.NoBody)
	w.sign(r, emptySHA)
	if a := w.serve(r); a.body != "1" {
		t.Errorf("%+v", a)
	}
	r = httptest.NewRequest("GET", "https://demo.localhost/?list-type=2", http.NoBody)
	w.sign(r, emptySHA)
	if a := w.serve(r); !strings.Contains(a.body, "<Key>a/b</Key>") {
		t.Errorf("%+v", a)
	}
}

func TestUserIsObserved(t *testing.T) {
	w := newWorld(t)
	ctx, caller := observe.WithCaller(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "https://127.0.0.1/demo", http.NoBody)
	w.sign(r, emptySHA)
	forged := r.Clone(ctx)
	forged.Header.Set("Authorization", r.Header.Get("Authorization")+"0")
	if w.serve(forged); caller.User() != "" {
		t.Errorf("a forged request is %q's", caller.User())
	}
	if w.serve(r); caller.User() != "alice" {
		t.Errorf("user %q", caller.User())
	}
}

func TestListingOfOddKeysEncodes(t *testing.T) {
	w := newWorld(t)
	put(t, w.client("AKALICE"), "demo", "a\x01 +<ü>/x", "")
	a := w.do("GET", "/demo?list-type=2&encoding-type=url", "", "")
	if !strings.Contains(a.body, "<Key>a%01%20%2B%3C%C3%BC%3E/x</Key>") {
		t.Error(a.body)
	}
	if a := w.do("GET", "/demo?list-type=2&max-keys=-1", "", ""); a.Code != "InvalidArgument" {
		t.Errorf("%+v", a)
	}
	if a := w.do("GET", "/demo?list-type=2&continuation-token=%21", "", ""); a.Code != "InvalidArgument" {
		t.Errorf("%+v", a)
	}
	if a := w.do("GET", "/demo?list-type=2&max-keys=0", "", ""); !strings.Contains(a.body, "<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>") {
		t.Errorf("%+v", a)
	}
}

func TestMultipartRefusals(t *testing.T) {
	w := newWorld(t)
	started := func() string {
		a := w.do("POST", "/demo/m?uploads=", "", "")
		var out struct{ UploadId string } //nolint:revive // named by S3
		if err := xml.Unmarshal([]byte(a.body), &out); err != nil || out.UploadId == "" {
			t.Fatalf("%+v %v", a, err)
		}
		return out.UploadId
	}
	id := started()
	tags := make([]string, 3)
	for n := 1; n <= 2; n++ {
		a := w.do("PUT", fmt.Sprintf("/demo/m?partNumber=%d&uploadId=%s", n, id), "hello", "UNSIGNED-PAYLOAD")
		tags[n] = a.header.Get("ETag")
	}
	part := func(n int, tag string) string {
		return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, tag)
	}
	for _, c := range []struct{ name, body, want string }{
		{"no xml", "x", "MalformedXML"},
		{"no parts", "<CompleteMultipartUpload/>", "MalformedXML"},
		{"another document", "<Delete/>", "MalformedXML"},
		{"small part", part(1, tags[1]) + part(2, tags[2]), "EntityTooSmall"},
		{"order", part(2, tags[2]) + part(1, tags[1]), "InvalidPartOrder"},
		{"missing part", part(3, tags[1]), "InvalidPart"},
		{"wrong tag", part(1, `"0"`), "InvalidPart"},
	} {
		body := c.body
		if strings.HasPrefix(body, "<Part>") {
			body = "<CompleteMultipartUpload>" + body + "</CompleteMultipartUpload>"
		}
		if a := w.do("POST", "/demo/m?uploadId="+id, body, sha(body)); a.Code != c.want {
			t.Errorf("%s: %+v, want %s", c.name, a, c.want)
		}
	}
	for _, n := range []string{"0", "10001", "x", ""} {
		if a := w.do("PUT", "/demo/m?partNumber="+n+"&uploadId="+id, "x", "UNSIGNED-PAYLOAD"); a.Code != "InvalidArgument" {
			t.Errorf("part %q: %+v", n, a)
		}
	}
	if a := w.do("PUT", "/demo/other?partNumber=1&uploadId="+id, "x", "UNSIGNED-PAYLOAD"); a.Code != "NoSuchUpload" {
		t.Errorf("another key: %+v", a)
	}
	last := "<CompleteMultipartUpload>" + part(2, tags[2]) + "</CompleteMultipartUpload>"
	if a := w.do("POST", "/demo/m?uploadId="+id, last, sha(last)); a.status != http.StatusOK {
		t.Errorf("one part: %+v", a)
	}
	if a := w.do("POST", "/demo/m?uploadId="+id, last, sha(last)); a.Code != "NoSuchUpload" {
		t.Errorf("twice: %+v", a)
	}
}

// Whatever happens, what was taken from the budget comes back.
func TestBudgetBalances(t *testing.T) {
	w := newWorld(t, func(o *s3test.Options) { o.MaxBytes = 64 << 10 })
	for i := range 40 {
		k := fmt.Sprintf("/demo/k%d", i%2)
		body := strings.Repeat("x", 10<<10)
		w.do("PUT", k, body, sha("other"))
		w.do("PUT", "/none/k", body, sha(body))
		w.do("PUT", k, body, sha(body), "If-Match", `"0"`)
		if a := w.do("PUT", k, body, sha(body)); a.status != http.StatusOK {
			t.Fatalf("put %d: %+v", i, a)
		}
		a := w.do("POST", "/demo/m?uploads=", "", "")
		_, id, _ := strings.Cut(a.body, "<UploadId>")
		id, _, _ = strings.Cut(id, "<")
		var tag string
		for n := 1; n <= 2; n++ {
			p := w.do("PUT", fmt.Sprintf("/demo/m?partNumber=%d&uploadId=%s", n, id), body, sha(body))
			if p.status != http.StatusOK {
				t.Fatalf("part in round %d: %+v", i, p)
			}
			tag = p.header.Get("ETag")
		}
		if i%2 == 0 {
			w.do("DELETE", "/demo/m?uploadId="+id, "", "")
			continue
		}
		done := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + tag + "</ETag></Part></CompleteMultipartUpload>"
		if a := w.do("POST", "/demo/m?uploadId="+id, done, sha(done)); a.status != http.StatusOK {
			t.Fatalf("complete in round %d: %+v", i, a)
		}
		if a := w.do("PUT", "/demo/copy", "", "", "X-Amz-Copy-Source", "demo/m"); a.status != http.StatusOK {
			t.Fatalf("copy in round %d: %+v", i, a)
		}
		w.do("DELETE", "/demo/copy", "", "")
		w.do("DELETE", "/demo/m", "", "")
	}
}

func TestPresigned(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	pre := s3.NewPresignClient(c, s3.WithPresignExpires(time.Hour))
	const k = "a//../ü +%.txt"
	send := func(method, url, body string, header http.Header) answer {
		r := httptest.NewRequest(method, url, strings.NewReader(body))
		for name, v := range header {
			if name != "Host" {
				r.Header[name] = v
			}
		}
		return w.serve(r)
	}
	up, err := pre.PresignPutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("demo"), Key: aws.String(k), ContentType: aws.String("text/plain"), Metadata: map[string]string{"n": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := send("PUT", up.URL, "hello", up.SignedHeader); a.status != http.StatusOK {
		t.Fatalf("put: %+v\n%s", a, up.URL)
	}
	if a := send("PUT", up.URL, "hello", http.Header{"Content-Type": {"text/html"}}); a.status != http.StatusForbidden {
		t.Errorf("another type: %+v", a)
	}
	down, err := pre.PresignGetObject(t.Context(), &s3.GetObjectInput{
		Bucket: aws.String("demo"), Key: aws.String(k),
		ResponseContentType: aws.String("application/x-other"), ResponseContentDisposition: aws.String(`attachment; filename="x y.txt"`),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := send("GET", down.URL, "", nil)
	if a.body != "hello" || a.header.Get("Content-Type") != "application/x-other" || a.header.Get("Content-Disposition") != `attachment; filename="x y.txt"` {
		t.Errorf("get: %+v", a)
	}
	lower := strings.ToLower("X-Amz-Meta-N") // as S3 sends it
	if got := a.header[lower]; len(got) != 1 || got[0] != "1" {
		t.Errorf("metadata of a presigned upload: %v", a.header)
	}
	if a := send("HEAD", down.URL, "", nil); a.status != http.StatusForbidden {
		t.Errorf("another method: %+v", a)
	}
	if a := send("GET", down.URL, "", http.Header{"X-Amz-Acl": {"private"}}); a.Code != "AccessDenied" {
		t.Errorf("an unsigned header: %+v", a)
	}
	head, err := pre.PresignHeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("demo"), Key: aws.String(k)})
	if err != nil {
		t.Fatal(err)
	}
	if a := send("HEAD", head.URL, "", head.SignedHeader); a.status != http.StatusOK || a.body != "" {
		t.Errorf("head: %+v", a)
	}
	_, target, _ := strings.Cut(down.URL, "https://"+strings.TrimPrefix(w.http.URL, "https://"))
	for i := 1; i < len(target); i++ {
		b := []byte(target)
		b[i] ^= 1
		r := httptest.NewRequest("GET", down.URL, http.NoBody)
		if r.RequestURI = string(b); strings.ContainsAny(r.RequestURI, " #") {
			continue
		}
		if a := w.serve(r); a.status < 400 {
			t.Errorf("byte %d (%q) changed: %d", i, target[i:], a.status)
		}
	}
	w.advance(59 * time.Minute)
	if a := send("GET", down.URL, "", nil); a.status != http.StatusOK {
		t.Errorf("within its time: %+v", a)
	}
	w.advance(2 * time.Minute)
	if a := send("GET", down.URL, "", nil); a.Code != "AccessDenied" || a.Message != "Request has expired" {
		t.Errorf("expired: %+v", a)
	}
	w.advance(-2 * time.Hour)
	if a := send("GET", down.URL, "", nil); a.Code != "AccessDenied" || a.Message != "Request is not yet valid" {
		t.Errorf("too early: %+v", a)
	}
}
