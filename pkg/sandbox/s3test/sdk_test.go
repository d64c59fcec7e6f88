package s3test_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/sandbox/s3test"
	"github.com/valetkey/valetkey/pkg/secret"
)

// world is a server with three users: alice may do everything, bob may read
// the bucket demo, carol nothing.
type world struct {
	t      *testing.T
	server *s3test.Server
	http   *httptest.Server

	mu      sync.Mutex
	now     time.Time
	keys    map[string]key
	actions []string
}

type key struct {
	secret, user string
	disabled     bool
}

func (w *world) FindKey(id string) (secret.Text, string, bool, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k, ok := w.keys[id]
	return secret.FromString(k.secret), k.user, !k.disabled, ok
}

func (w *world) allowed(user, action, resource string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.actions = append(w.actions, action+" "+resource)
	switch user {
	case "alice":
		return true
	case "bob":
		return (action == "s3:GetObject" || action == "s3:ListBucket") && (resource == "demo" || strings.HasPrefix(resource, "demo/"))
	}
	return false
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t *testing.T, change ...func(*s3test.Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.Now(), keys: map[string]key{
		"AKALICE": {"alice-secret/with+odd=bytes", "alice", false},
		"AKBOB":   {"bob-secret", "bob", false},
		"AKCAROL": {"carol-secret", "carol", false},
	}}
	o := s3test.Options{Keys: w, Allowed: w.allowed, Now: w.clock, Buckets: []string{"demo", "vastdb"}}
	for _, f := range change {
		f(&o)
	}
	var err error
	if w.server, err = s3test.New(o); err != nil {
		t.Fatal(err)
	}
	w.http = httptest.NewTLSServer(w.server)
	t.Cleanup(w.http.Close)
	return w
}

func (w *world) client(id string, change ...func(*s3.Options)) *s3.Client {
	sec := w.keys[id].secret
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(w.http.URL), UsePathStyle: true, HTTPClient: w.http.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: sec}, nil
		}),
		RetryMaxAttempts:           1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}, change...)
}

func put(t *testing.T, c *s3.Client, bucket, key, body string) {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func get(t *testing.T, c *s3.Client, bucket, key string) string {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	defer func() { _ = out.Body.Close() }()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("read %q: %v", key, err)
	}
	return string(b)
}

func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestObjectRoundTrip(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	in := &s3.PutObjectInput{
		Bucket: aws.String("demo"), Key: aws.String("dir/file.txt"), Body: strings.NewReader("hello"),
		ContentType: aws.String("text/plain; charset=utf-8"), CacheControl: aws.String("no-store"), ContentEncoding: aws.String("identity"),
		ContentDisposition: aws.String(`attachment; filename="a.txt"`), Metadata: map[string]string{"color": "blue  green", "n": "1"},
	}
	out, err := c.PutObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := aws.ToString(out.ETag), `"5d41402abc4b2a76b9719d911017c592"`; got != want {
		t.Errorf("ETag %s, want %s", got, want)
	}
	if aws.ToString(out.ChecksumCRC32) != "NhCmhg==" {
		t.Errorf("CRC32 %q: the default checksum of the SDK was not taken", aws.ToString(out.ChecksumCRC32))
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	type facts struct {
		Type, Cache, Encoding, Disposition, Sum string
		Length                                  int64
		Meta                                    map[string]string
	}
	got := facts{
		aws.ToString(head.ContentType), aws.ToString(head.CacheControl), aws.ToString(head.ContentEncoding),
		aws.ToString(head.ContentDisposition), aws.ToString(head.ChecksumCRC32), aws.ToInt64(head.ContentLength), head.Metadata,
	}
	want := facts{
		"text/plain; charset=utf-8", "no-store", "identity", `attachment; filename="a.txt"`, "NhCmhg==", 5,
		map[string]string{"color": "blue  green", "n": "1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := get(t, c, "demo", "dir/file.txt"); got != "hello" {
		t.Errorf("got %q", got)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: in.Bucket, Key: in.Key}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: in.Bucket, Key: in.Key})
	if code(err) != "NoSuchKey" {
		t.Errorf("after delete: %v", err)
	}
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key})
	var missing *types.NotFound
	if !errors.As(err, &missing) {
		t.Errorf("head after delete: %v", err)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: in.Bucket, Key: in.Key}); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

var oddKeys = []string{
	"a", "a/", "a//b", "/lead", "//", ".", "..", "./a", "../a", "a/../b", "a/./b", "a/..", "with space", "with+plus", "100%", "%2F", "%2e%2e/x",
	"ä/ü ß.txt", "日本語", "emoji-😀", "q?x=1", "h#frag", "a&b=c;d", "'quote\"", "<xml>&amp;", "back\\slash", "tab\there", "~tilde*!()", "@:,$",
	"new\nline", strings.Repeat("k", 1024),
}

func TestOddKeys(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	for _, k := range oddKeys {
		put(t, c, "demo", k, "content of "+k)
	}
	for _, k := range oddKeys {
		if got := get(t, c, "demo", k); got != "content of "+k {
			t.Errorf("%q: got %q", k, got)
		}
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("demo")})
	if err != nil || len(out.Contents) != len(oddKeys) {
		t.Errorf("listed %d of %d: %v", len(out.Contents), len(oddKeys), err)
	}
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("demo"), Key: aws.String(strings.Repeat("k", 1025)), Body: strings.NewReader("")})
	if code(err) != "KeyTooLongError" {
		t.Errorf("1025 bytes: %v", err)
	}
}

func TestMultipart(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	bucket, name := aws.String("demo"), aws.String("big/ä +.bin")
	content := make([]byte, 5<<20+1000)
	_, _ = rand.Read(content)
	for _, algorithm := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256, types.ChecksumAlgorithmCrc64nvme} {
		t.Run("algorithm "+string(algorithm), func(t *testing.T) {
			up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
				Bucket: bucket, Key: name, ChecksumAlgorithm: algorithm, ContentType: aws.String("x/y"),
			})
			if err != nil {
				t.Fatal(err)
			}
			var done []types.CompletedPart
			for i, n := 0, int32(1); i < len(content); i, n = i+5<<20, n+1 {
				p, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
					Bucket: bucket, Key: name, UploadId: up.UploadId, PartNumber: &n, ChecksumAlgorithm: algorithm,
					Body: bytes.NewReader(content[i:min(i+5<<20, len(content))]),
				})
				if err != nil {
					t.Fatal(err)
				}
				done = append(done, types.CompletedPart{
					PartNumber: &n, ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32, ChecksumCRC32C: p.ChecksumCRC32C,
					ChecksumSHA1: p.ChecksumSHA1, ChecksumSHA256: p.ChecksumSHA256, ChecksumCRC64NVME: p.ChecksumCRC64NVME,
				})
			}
			parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: bucket, Key: name, UploadId: up.UploadId, MaxParts: aws.Int32(1)})
			if err != nil || len(parts.Parts) != 1 || !aws.ToBool(parts.IsTruncated) || aws.ToString(parts.NextPartNumberMarker) != "1" {
				t.Fatalf("list parts: %+v %v", parts, err)
			}
			list, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: bucket})
			if err != nil || len(list.Uploads) != 1 || *list.Uploads[0].Key != *name {
				t.Fatalf("list uploads: %+v %v", list, err)
			}
			end, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
				Bucket: bucket, Key: name, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
			})
			if err != nil || !strings.HasSuffix(aws.ToString(end.ETag), `-2"`) {
				t.Fatalf("complete: %+v %v", end, err)
			}
			if got := get(t, c, *bucket, *name); got != string(content) {
				t.Error("content differs")
			}
			r, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: name, Range: aws.String("bytes=5242870-5242889")})
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(r.Body)
			if !bytes.Equal(got, content[5242870:5242890]) || aws.ToString(r.ContentRange) != "bytes 5242870-5242889/5243880" {
				t.Errorf("range over parts: %d bytes, %s", len(got), aws.ToString(r.ContentRange))
			}
		})
	}
	t.Run("abort", func(t *testing.T) {
		up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: bucket, Key: name, UploadId: up.UploadId}); err != nil {
			t.Fatal(err)
		}
		_, err = c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: bucket, Key: name, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
		if code(err) != "NoSuchUpload" {
			t.Errorf("part after abort: %v", err)
		}
	})
}

func TestListPages(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	var want []string
	for i := range 7 {
		for j := range 3 {
			k := fmt.Sprintf("p%d/k%d", i, j)
			put(t, c, "demo", k, "")
			want = append(want, k)
		}
	}
	for size := int32(1); size <= 22; size++ {
		var got []string
		pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String("demo"), MaxKeys: &size})
		for pages.HasMorePages() {
			p, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Contents) > int(size) {
				t.Fatalf("%d keys on a page of %d", len(p.Contents), size)
			}
			for _, o := range p.Contents {
				got = append(got, *o.Key)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("pages of %d: %s", size, d)
		}
		var prefixes []string
		pages = s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String("demo"), MaxKeys: &size, Delimiter: aws.String("/")})
		for pages.HasMorePages() {
			p, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range p.CommonPrefixes {
				prefixes = append(prefixes, *o.Prefix)
			}
		}
		if d := cmp.Diff([]string{"p0/", "p1/", "p2/", "p3/", "p4/", "p5/", "p6/"}, prefixes); d != "" {
			t.Fatalf("prefixes by %d: %s", size, d)
		}
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("demo"), Prefix: aws.String("p3/"), StartAfter: aws.String("p3/k0x")})
	if err != nil || len(out.Contents) != 2 || *out.Contents[0].Key != "p3/k1" {
		t.Errorf("start after a key that is not there: %+v %v", out.Contents, err)
	}
	one, err := c.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: aws.String("demo"), Marker: aws.String("p6/k1")})
	if err != nil || len(one.Contents) != 1 {
		t.Errorf("version 1: %+v %v", one.Contents, err)
	}
}

func TestBuckets(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	ctx := t.Context()
	b := aws.String("fresh-bucket")
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: b}); !strings.Contains(fmt.Sprint(err), "404") {
		t.Errorf("head of none: %v", err)
	}
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b}); code(err) != "BucketAlreadyOwnedByYou" {
		t.Errorf("twice: %v", err)
	}
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("demo")}); code(err) != "BucketAlreadyExists" {
		t.Errorf("another's: %v", err)
	}
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: b}); err != nil {
		t.Error(err)
	}
	list, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(list.Buckets) != 3 || *list.Buckets[1].Name != "fresh-bucket" {
		t.Errorf("%+v %v", list.Buckets, err)
	}
	put(t, c, *b, "x", "1")
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b}); code(err) != "BucketNotEmpty" {
		t.Errorf("not empty: %v", err)
	}
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("x")}, {Key: aws.String("none")}}}})
	if err != nil || len(out.Deleted) != 2 || len(out.Errors) != 0 {
		t.Errorf("%+v %v", out, err)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b}); err != nil {
		t.Error(err)
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("x"), Body: strings.NewReader("")}); code(err) != "NoSuchBucket" {
		t.Errorf("put into none: %v", err)
	}
	if _, err := c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: aws.String("demo")}); code(err) != "NotImplemented" {
		t.Errorf("a subresource that is not played: %v", err)
	}
}

func TestCopy(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	put(t, c, "demo", "from ä+b", "content")
	_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("vastdb"), Key: aws.String("to"), CopySource: aws.String("demo/from%20%C3%A4+b")})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "vastdb", "to"); got != "content" {
		t.Errorf("got %q", got)
	}
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("vastdb"), Key: aws.String("to"), CopySource: aws.String("demo/none")})
	if code(err) != "NoSuchKey" {
		t.Errorf("from none: %v", err)
	}
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("vastdb"), Key: aws.String("to"), CopySource: aws.String("vastdb/to")})
	if code(err) != "InvalidRequest" {
		t.Errorf("onto itself: %v", err)
	}
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("demo"), Key: aws.String("parts")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
		Bucket: aws.String("demo"), Key: aws.String("parts"), UploadId: up.UploadId, PartNumber: aws.Int32(1),
		CopySource: aws.String("vastdb/to"), CopySourceRange: aws.String("bytes=1-3"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String("demo"), Key: aws.String("parts"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: p.CopyPartResult.ETag}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "demo", "parts"); got != "ont" {
		t.Errorf("got %q", got)
	}
}

func TestRights(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.client("AKALICE"), w.client("AKBOB"), w.client("AKCAROL")
	put(t, alice, "demo", "x", "1")
	put(t, alice, "vastdb", "y", "2")
	ctx := t.Context()
	if got := get(t, bob, "demo", "x"); got != "1" {
		t.Errorf("bob reads %q", got)
	}
	demo, x := aws.String("demo"), aws.String("x")
	for name, call := range map[string]func() error{
		"bob puts": func() error {
			_, err := bob.PutObject(ctx, &s3.PutObjectInput{Bucket: demo, Key: x, Body: strings.NewReader("no")})
			return err
		},
		"bob deletes": func() error { _, err := bob.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: demo, Key: x}); return err },
		"bob reads vastdb": func() error {
			_, err := bob.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("vastdb"), Key: aws.String("y")})
			return err
		},
		"bob copies": func() error {
			_, err := bob.CopyObject(ctx, &s3.CopyObjectInput{Bucket: demo, Key: aws.String("z"), CopySource: aws.String("vastdb/y")})
			return err
		},
		"bob lists buckets": func() error { _, err := bob.ListBuckets(ctx, &s3.ListBucketsInput{}); return err },
		"carol reads":       func() error { _, err := carol.GetObject(ctx, &s3.GetObjectInput{Bucket: demo, Key: x}); return err },
		"carol lists":       func() error { _, err := carol.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: demo}); return err },
		"carol creates": func() error {
			_, err := carol.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("carols")})
			return err
		},
	} {
		if err := call(); code(err) != "AccessDenied" {
			t.Errorf("%s: %v", name, err)
		}
	}
	out, err := bob.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: demo, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: x}}}})
	if err != nil || len(out.Errors) != 1 || *out.Errors[0].Code != "AccessDenied" {
		t.Errorf("bob deletes many: %+v %v", out, err)
	}
	if got := get(t, alice, "demo", "x"); got != "1" {
		t.Errorf("x is %q now", got)
	}
}

func TestKeysAreLookedUpLive(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	put(t, c, "demo", "x", "1")
	set := func(k *key) {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.keys, "AKALICE")
		if k != nil {
			w.keys["AKALICE"] = *k
		}
	}
	try := func() string {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("demo"), Key: aws.String("x")})
		return code(err)
	}
	old := w.keys["AKALICE"]
	for _, step := range []struct {
		name string
		key  *key
		want string
	}{
		{"disabled", &key{old.secret, old.user, true}, "InvalidAccessKeyId"},
		{"enabled again", &old, ""},
		{"another secret", &key{"other", old.user, false}, "SignatureDoesNotMatch"},
		{"deleted", nil, "InvalidAccessKeyId"},
	} {
		set(step.key)
		if got := try(); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
}

func TestClockSkew(t *testing.T) {
	for offset, want := range map[time.Duration]string{
		14 * time.Minute: "", -14 * time.Minute: "", 16 * time.Minute: "RequestTimeTooSkewed", -16 * time.Minute: "RequestTimeTooSkewed",
	} {
		w := newWorld(t)
		w.advance(offset)
		_, err := w.client("AKALICE").ListBuckets(t.Context(), &s3.ListBucketsInput{})
		if code(err) != want {
			t.Errorf("%s: %v", offset, err)
		}
	}
}

func TestConditions(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	demo, x := aws.String("demo"), aws.String("x")
	put(t, c, "demo", "x", "hello")
	tag := aws.String(`"5d41402abc4b2a76b9719d911017c592"`)
	other := aws.String(`"00000000000000000000000000000000"`)
	read := func(in s3.GetObjectInput) func() error {
		in.Bucket, in.Key = demo, x
		return func() error { _, err := c.GetObject(t.Context(), &in); return err }
	}
	write := func(in s3.PutObjectInput) func() error {
		in.Bucket, in.Body = demo, strings.NewReader("hello")
		if in.Key == nil {
			in.Key = x
		}
		return func() error { _, err := c.PutObject(t.Context(), &in); return err }
	}
	for _, step := range []struct {
		name string
		call func() error
		want string
	}{
		{"match", read(s3.GetObjectInput{IfMatch: tag}), ""},
		{"no match", read(s3.GetObjectInput{IfMatch: other}), "PreconditionFailed"},
		{"none match", read(s3.GetObjectInput{IfNoneMatch: other}), ""},
		{"unchanged", read(s3.GetObjectInput{IfNoneMatch: tag}), "304"},
		{"not modified", read(s3.GetObjectInput{IfModifiedSince: aws.Time(w.now.Add(time.Hour))}), "304"},
		{"modified", read(s3.GetObjectInput{IfModifiedSince: aws.Time(w.now.Add(-time.Hour))}), ""},
		{"modified too late", read(s3.GetObjectInput{IfUnmodifiedSince: aws.Time(w.now.Add(-time.Hour))}), "PreconditionFailed"},
		{"create over", write(s3.PutObjectInput{IfNoneMatch: aws.String("*")}), "PreconditionFailed"},
		{"create", write(s3.PutObjectInput{Key: aws.String("new"), IfNoneMatch: aws.String("*")}), ""},
		{"replace", write(s3.PutObjectInput{IfMatch: tag}), ""},
		{"replace other", write(s3.PutObjectInput{IfMatch: other}), "PreconditionFailed"},
		{"replace none", write(s3.PutObjectInput{Key: aws.String("gone"), IfMatch: tag}), "NoSuchKey"},
		{"range", read(s3.GetObjectInput{Range: aws.String("bytes=9-")}), "InvalidRange"},
	} {
		if err := step.call(); code(err) != step.want && (step.want != "304" || !strings.Contains(fmt.Sprint(err), "304")) {
			t.Errorf("%s: %v, want %q", step.name, err, step.want)
		}
	}
}

func TestBudget(t *testing.T) {
	w := newWorld(t, func(o *s3test.Options) { o.MaxBytes = 1 << 20 })
	c := w.client("AKALICE")
	try := func(k string, n int) string {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("demo"), Key: &k, Body: bytes.NewReader(make([]byte, n))})
		return code(err)
	}
	if got := try("a", 2<<20); got != "EntityTooLarge" {
		t.Errorf("more than all: %q", got)
	}
	for range 5 { // replacing gives back what the old one took
		if got := try("a", 400<<10); got != "" {
			t.Errorf("fits: %q", got)
		}
	}
	if got := try("b", 700<<10); got != "InsufficientCapacity" {
		t.Errorf("full: %q", got)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("demo"), Key: aws.String("a")}); err != nil {
		t.Fatal(err)
	}
	if got := try("b", 700<<10); got != "" {
		t.Errorf("after delete: %q", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKALICE")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			k := fmt.Sprint("k", i%3)
			for range 5 {
				put(t, c, "demo", k, strings.Repeat(k, 1000))
				if got := get(t, c, "demo", k); got != strings.Repeat(k, 1000) {
					t.Errorf("%s is torn", k)
				}
				if _, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("demo")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ method, target, want string }{
		{"GET", "/", "s3.list_buckets"},
		{"HEAD", "/demo", "s3.head_bucket"},
		{"GET", "/demo/?list-type=2", "s3.list_objects_v2"},
		{"PUT", "/demo/a/../b", "s3.put_object"},
		{"GET", "/demo/..", "s3.get_object"},
		{"DELETE", "/demo/k?uploadId=1", "s3.abort_multipart_upload"},
		{"DELETE", "/demo?policy", "s3.unknown"},
		{"GET", "//demo/k", "s3.unknown"},
		{"PATCH", "/demo", "s3.unknown"},
		{"GET", "/%zz", "s3.unknown"},
	} {
		r := httptest.NewRequest(c.method, "/", http.NoBody)
		r.RequestURI = c.target
		if got := w.server.Route(r); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.target, got, c.want)
		}
		if c.want != "s3.unknown" && !strings.Contains(strings.Join(w.server.Routes(), " "), c.want) {
			t.Errorf("%s is not listed", c.want)
		}
	}
}

// curl and browsers speak HTTP/2 to a TLS server, where headers travel otherwise.
func TestHTTP2(t *testing.T) {
	w := newWorld(t)
	w.http = httptest.NewUnstartedServer(w.server)
	w.http.EnableHTTP2 = true
	w.http.StartTLS()
	t.Cleanup(w.http.Close)
	c := w.client("AKALICE")
	for _, k := range oddKeys {
		put(t, c, "demo", k, "content of "+k)
		if got := get(t, c, "demo", k); got != "content of "+k {
			t.Errorf("%q: got %q", k, got)
		}
	}
	resp, err := w.http.Client().Get(w.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}
