package presign_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/valetkey/valetkey/pkg/presign"
	"github.com/valetkey/valetkey/pkg/secret"
)

// TestPublishedVectors compares with the example in AWS's documentation of
// signatures in query strings, and with URLs computed by botocore 1.43.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	example := config()
	example.Endpoint, example.Addressing = "https://s3.amazonaws.com", presign.Virtual
	vip := config()
	vip.Endpoint = "http://vip1.vastdata.example.com"
	at2015 := time.Date(2015, 12, 29, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name      string
		config    presign.Config
		request   presign.Request
		before    string
		signature string
	}{
		{
			"AWS documentation", example,
			presign.Request{
				Method: "GET", Bucket: "examplebucket", Key: "test.txt", Expires: 86400 * time.Second,
				Time: time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC),
			},
			"https://examplebucket.s3.amazonaws.com/test.txt",
			"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
		},
		{
			"GET, path style", vip,
			presign.Request{Method: "GET", Bucket: "test-bucket", Key: "test-obj", Expires: 300 * time.Second, Time: at2015},
			"http://vip1.vastdata.example.com/test-bucket/test-obj",
			"6d496b1886ec1664ea4b91be48e541ebdc9fbb1f325db61308610bb08cecc9d2",
		},
		{
			"PUT, seven days", vip,
			presign.Request{Method: "PUT", Bucket: "b", Key: "a b/ü.txt", Expires: 604800 * time.Second, Time: at2015},
			"http://vip1.vastdata.example.com/b/a%20b/%C3%BC.txt",
			"2049785724168d40da08f95af87c19a7228a2d84dfd55972fc7fbb1113b6fab9",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := sign(t, c.config, c.request)
			before, query := parts(t, p.URL)
			if before != c.before {
				t.Errorf("URL begins %s, want %s", before, c.before)
			}
			if got := query.Get("X-Amz-Signature"); got != c.signature {
				t.Errorf("signature %s, want %s", got, c.signature)
			}
		})
	}
}

// TestWholeURL freezes the bytes: the order of the parameters is ours to keep.
func TestWholeURL(t *testing.T) {
	t.Parallel()
	c := config()
	c.Credentials.SessionToken = secret.FromString("a/b+c==")
	r := request()
	r.VersionID = "v/1"
	r.Headers = []presign.Header{{"X-Amz-Meta-B", "2"}, {"Content-Type", "text/plain"}, {"x-amz-meta-a", ""}}
	r.ResponseHeaders = []presign.Header{{"response-expires", "0"}, {"Cache-Control", "no-cache"}}
	got := sign(t, c, r).URL
	want := "https://s3.example.com/test-bucket/test-obj?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
		"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20151229%2Fus-east-1%2Fs3%2Faws4_request" +
		"&X-Amz-Date=20151229T000000Z&X-Amz-Expires=300&X-Amz-Security-Token=a%2Fb%2Bc%3D%3D" +
		"&X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-meta-a%3Bx-amz-meta-b" +
		"&response-cache-control=no-cache&response-expires=0&versionId=v%2F1&X-Amz-Signature="
	if before, _, _ := strings.Cut(got, "X-Amz-Signature="); before+"X-Amz-Signature=" != want {
		t.Errorf("%s", cmp.Diff(want, before+"X-Amz-Signature="))
	}
}

type botocoreFile struct {
	Time      time.Time
	SecretKey string `json:"secret_key"`
	Vectors   []struct {
		Endpoint, Region, Addressing, Method, Bucket, Key, URL string
		AccessKey                                              string            `json:"access_key"`
		SessionToken                                           string            `json:"session_token"`
		VersionID                                              string            `json:"version_id"`
		ResponseHeaders                                        map[string]string `json:"response_headers"`
		Headers                                                map[string]string
		Expires                                                int
	}
}

// TestBotocore compares with URLs that boto3 signed; testdata/make_vectors.py makes
// them. Only the order of the parameters is botocore's own.
func TestBotocore(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/botocore.json")
	if err != nil {
		t.Fatal(err)
	}
	var file botocoreFile
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) < 30 {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	list := func(m map[string]string) (headers []presign.Header) {
		for name, value := range m {
			headers = append(headers, presign.Header{Name: name, Value: value})
		}
		return headers
	}
	for _, v := range file.Vectors {
		c := presign.Config{
			Endpoint: v.Endpoint, Region: v.Region, Addressing: presign.Addressing(v.Addressing),
			Credentials: presign.Credentials{
				AccessKey: v.AccessKey, SecretKey: secret.FromString(file.SecretKey), SessionToken: secret.FromString(v.SessionToken),
			},
		}
		p := sign(t, c, presign.Request{
			Method: v.Method, Bucket: v.Bucket, Key: v.Key, VersionID: v.VersionID, Headers: list(v.Headers),
			ResponseHeaders: list(v.ResponseHeaders), Expires: time.Duration(v.Expires) * time.Second, Time: file.Time,
		})
		before, query := parts(t, p.URL)
		wantBefore, wantQuery := parts(t, v.URL)
		if before != wantBefore {
			t.Errorf("%s %q: URL begins %s, botocore's %s", v.Method, v.Key, before, wantBefore)
		}
		if diff := cmp.Diff(wantQuery, query); diff != "" {
			t.Errorf("%s %q: -botocore +ours\n%s", v.Method, v.Key, diff)
		}
	}
}
