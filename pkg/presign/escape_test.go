package presign_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/presign"
)

func TestEscapeEveryByte(t *testing.T) {
	t.Parallel()
	for i := range 256 {
		s := string([]byte{byte(i)})
		for _, keepSlash := range []bool{true, false} {
			if got, want := string(presign.AppendEscaped(nil, s, keepSlash)), escapeSlowly(s, keepSlash); got != want {
				t.Errorf("%q: %s, want %s", s, got, want)
			}
		}
	}
}

// FuzzEscape holds the escaping against the slow form of the rule, and against
// net/url as the one who reads it back.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a/b", "a b+c", "ü", "%2F", "\x00\xff", "~'()*!", "s3://", "日本"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, keepSlash := range []bool{true, false} {
			got := string(presign.AppendEscaped([]byte("x"), s, keepSlash))
			if got != "x"+escapeSlowly(s, keepSlash) {
				t.Fatalf("%q: %q", s, got)
			}
			if back, err := url.PathUnescape(got); err != nil || back != "x"+s {
				t.Fatalf("%q reads back as %q, %v", s, back, err)
			}
		}
	})
}

// FuzzURL signs anything that passes the checks: nothing in a request may add a
// parameter, leave the path or end the URL early.
func FuzzURL(f *testing.F) {
	f.Add("b", "k", "v", "content-type", "text/plain")
	f.Add("my.bucket", "a/../b?x=1#y&X-Amz-Expires=9", "1&versionId=2", "expires", "0&a=b")
	f.Add("B_1", "\r\nHost: evil", "%", "x-amz-meta-a", " ")
	f.Fuzz(func(t *testing.T, bucket, key, version, header, value string) {
		r := request()
		r.Bucket, r.Key, r.VersionID = bucket, key, version
		r.Headers = []presign.Header{{Name: header, Value: value}}
		r.ResponseHeaders = []presign.Header{{Name: "content-type", Value: value}}
		if presign.Check(config(), r) != nil {
			if _, err := signer(t, config()).URL(r); err == nil {
				t.Fatal("refused by Check alone")
			}
			return
		}
		before, query := parts(t, sign(t, config(), r).URL)
		if want := "https://s3.example.com/" + bucket + "/" + escapeSlowly(key, true); before != want {
			t.Fatalf("%q, want %q", before, want)
		}
		want := map[string]string{
			"versionId": version, "response-content-type": value, "X-Amz-Expires": "300", "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
			"X-Amz-Date": "20151229T000000Z", "X-Amz-Credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
		}
		names := []string{"host", strings.ToLower(header)}
		if names[1] < names[0] {
			names[0], names[1] = names[1], names[0]
		}
		want["X-Amz-SignedHeaders"] = strings.Join(names, ";")
		if version == "" {
			delete(want, "versionId")
		}
		if len(query) != len(want)+1 || len(query.Get("X-Amz-Signature")) != 64 {
			t.Fatalf("%v", query)
		}
		for name, value := range want {
			if got := query[name]; len(got) != 1 || got[0] != value {
				t.Fatalf("%s is %q, want %q", name, got, value)
			}
		}
	})
}
