package presign_test

import (
	"fmt"
	"time"

	"github.com/valetkey/valetkey/pkg/presign"
	"github.com/valetkey/valetkey/pkg/secret"
)

// A URL with which anybody can put one CSV file within an hour.
func ExampleSigner_URL() {
	signer, err := presign.NewSigner(presign.Config{
		Endpoint: "https://s3.example.com", Region: "us-east-1", Addressing: presign.Path,
		Credentials: presign.Credentials{
			AccessKey: "AKIAIOSFODNN7EXAMPLE",
			SecretKey: secret.FromString("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := signer.URL(presign.Request{
		Method: "PUT", Bucket: "demo", Key: "in/2026/report.csv",
		Headers: []presign.Header{{Name: "Content-Type", Value: "text/csv"}},
		Expires: time.Hour, Time: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signed.URL[:47])
	fmt.Println("until", signed.EffectiveExpires.Format(time.RFC3339), "with", signed.Headers)
	// Output:
	// https://s3.example.com/demo/in/2026/report.csv?
	// until 2026-01-31T13:00:00Z with map[content-type:text/csv]
}

// Many URLs through one buffer cost no allocation each.
func ExampleSigner_AppendURL() {
	signer, err := presign.NewSigner(presign.Config{
		Endpoint: "https://s3.example.com", Region: "us-east-1", Addressing: presign.Virtual,
		Credentials: presign.Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: secret.FromString("example")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var buf []byte
	for _, key := range []string{"a b", "c+d"} {
		buf, err = signer.AppendURL(buf[:0], presign.Request{
			Method: "GET", Bucket: "demo", Key: key, Expires: time.Minute, Time: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", buf[:36])
	}
	// Output:
	// https://demo.s3.example.com/a%20b?X-
	// https://demo.s3.example.com/c%2Bd?X-
}

func ExampleParseURI() {
	bucket, key, err := presign.ParseURI("s3://demo//a%20b/../c ")
	fmt.Printf("%q %q %v\n", bucket, key, err)
	// Output: "demo" "/a%20b/../c " <nil>
}
