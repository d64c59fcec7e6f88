package presign_test

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/valetkey/valetkey/pkg/presign"
	"github.com/valetkey/valetkey/pkg/secret"
)

// fataler is a test, or one try of a property.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// sdkURL signs with the AWS SDK. Path and query parameters are written by the
// test's own slow escaping, so that only the SDK and this test speak for them.
func sdkURL(t fataler, c presign.Config, r presign.Request) string {
	t.Helper()
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	u.Path, u.RawPath = "/"+r.Bucket+"/"+r.Key, "/"+escapeSlowly(r.Bucket, false)+"/"+escapeSlowly(r.Key, true)
	query := url.Values{"X-Amz-Expires": {strconv.Itoa(int(r.Expires / time.Second))}}
	if r.VersionID != "" {
		query.Set("versionId", r.VersionID)
	}
	for _, h := range r.ResponseHeaders {
		query.Set("response-"+h.Name, h.Value)
	}
	u.RawQuery = query.Encode()
	header := http.Header{}
	for _, h := range r.Headers {
		header.Set(h.Name, h.Value)
	}
	hr := (&http.Request{Method: strings.ToUpper(r.Method), URL: u, Host: u.Host, Header: header}).WithContext(context.Background())
	signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{
		AccessKeyID: c.Credentials.AccessKey, SecretAccessKey: c.Credentials.SecretKey.Reveal(),
		SessionToken: c.Credentials.SessionToken.Reveal(),
	}, hr, "UNSIGNED-PAYLOAD", "s3", c.Region, r.Time, func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true // S3 escapes once
		o.DisableHeaderHoisting = true  // a header asked for stays a header
	})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// anyKey is a key of any bytes, often with those that tempt a URL library.
func anyKey() *rapid.Generator[string] {
	tricky := rapid.SampledFrom([]string{"/", "//", ".", "..", "%", "%2F", "+", " ", "?", "#", "&", "=", ";", "~", "'", "ü", "\x00", "\xff", "\n", "a", "Z", "9"})
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for range rapid.IntRange(1, 40).Draw(t, "pieces") {
			if rapid.Bool().Draw(t, "tricky") {
				b.WriteString(tricky.Draw(t, "piece"))
			} else {
				b.WriteByte(rapid.Byte().Draw(t, "byte"))
			}
		}
		return b.String()
	})
}

func TestSignsAsTheSDKDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := presign.Config{
			Endpoint: rapid.SampledFrom([]string{
				"https://s3.example.com", "http://10.0.0.1:9000", "http://[2001:db8::1]:9000", "https://s3.example.com:8443",
			}).Draw(t, "endpoint"),
			Region: rapid.StringMatching(`[a-z]{2}-[a-z]{4,9}-[0-9]`).Draw(t, "region"), Addressing: presign.Path,
			Credentials: presign.Credentials{
				AccessKey:    rapid.StringMatching(`[A-Za-z0-9+/]{1,22}={0,2}`).Draw(t, "access key"),
				SecretKey:    secret.FromString(rapid.StringMatching(`[A-Za-z0-9+/]{1,200}`).Draw(t, "secret")),
				SessionToken: secret.FromString(rapid.StringMatching(`([A-Za-z0-9+/]{10,80}=)?`).Draw(t, "token")),
			},
		}
		seconds := rapid.Int64Range(0, 253402300799).Draw(t, "time") // to the end of 9999
		nanos := rapid.Int64Range(0, 999_999_999).Draw(t, "fraction")
		zone := time.FixedZone("", rapid.IntRange(-14*3600, 14*3600).Draw(t, "zone"))
		r := presign.Request{
			Method: rapid.SampledFrom([]string{"GET", "put", "Head", "DELETE"}).Draw(t, "method"),
			Bucket: rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,30}[a-z0-9]`).Draw(t, "bucket"),
			Key:    anyKey().Draw(t, "key"), Expires: time.Duration(rapid.IntRange(1, 604800).Draw(t, "expires")) * time.Second,
			Time: time.Unix(seconds, nanos).In(zone),
		}
		value := rapid.StringMatching(`[ -~]{0,20}`)
		for name := range rapid.MapOf(rapid.StringMatching(`x-amz-meta-[a-z0-9_!.~|-]{1,12}|content-type|range|if-match|zz-custom|abc`), rapid.Just(0)).Draw(t, "headers") {
			r.Headers = append(r.Headers, presign.Header{Name: name, Value: value.Draw(t, "value")})
		}
		if r.Method == "GET" || r.Method == "Head" {
			r.VersionID = rapid.StringMatching(`[ -~]{0,12}`).Draw(t, "version")
			for name := range rapid.MapOf(rapid.SampledFrom([]string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}), rapid.Just(0)).Draw(t, "response headers") {
				r.ResponseHeaders = append(r.ResponseHeaders, presign.Header{Name: name, Value: value.Draw(t, "value")})
			}
		}
		s, err := presign.NewSigner(c)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := s.AppendURL([]byte("prefix kept "), r)
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := strings.CutPrefix(string(ours), "prefix kept ")
		if !ok {
			t.Fatalf("what was in the buffer is gone: %q", ours)
		}
		// The SDK writes the same bytes, down to the order.
		if diff := cmp.Diff(sdkURL(t, c, r), rest); diff != "" {
			t.Fatalf("-SDK +ours\n%s", diff)
		}
	})
}
