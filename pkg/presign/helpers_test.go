package presign_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/valetkey/valetkey/pkg/presign"
	"github.com/valetkey/valetkey/pkg/secret"
)

const exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

func credentials() presign.Credentials {
	return presign.Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: secret.FromString(exampleSecret)}
}

func config() presign.Config {
	return presign.Config{
		Endpoint: "https://s3.example.com", Region: "us-east-1",
		Addressing: presign.Path, Credentials: credentials(),
	}
}

func request() presign.Request {
	return presign.Request{
		Method: "GET", Bucket: "test-bucket", Key: "test-obj", Expires: 5 * time.Minute,
		Time: time.Date(2015, 12, 29, 0, 0, 0, 0, time.UTC),
	}
}

func signer(t testing.TB, c presign.Config) *presign.Signer {
	t.Helper()
	s, err := presign.NewSigner(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t testing.TB, c presign.Config, r presign.Request) presign.Presigned {
	t.Helper()
	p, err := signer(t, c).URL(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// escapeSlowly is the rule of S3 in its plainest form.
func escapeSlowly(s string, keepSlash bool) string {
	const asIs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(asIs, c) >= 0 || c == '/' && keepSlash {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// parts splits a URL into what stands before the query, and the query. It is not
// net/url's parser that says where one begins.
func parts(t testing.TB, u string) (string, url.Values) {
	t.Helper()
	before, query, _ := strings.Cut(u, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return before, values
}
