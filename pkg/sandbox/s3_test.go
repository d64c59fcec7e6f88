package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

// newKey has VMS make a key for the user.
func newKey(t *testing.T, s *sandbox.Sandbox, user string) (access, secret string) {
	t.Helper()
	status, body, _ := post(t, s, user)
	var pair struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.Unmarshal([]byte(body), &pair); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	return pair.AccessKey, pair.SecretKey
}

// s3As is the SDK as a person would set it up.
func s3As(t *testing.T, s *sandbox.Sandbox, access, secret string) *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.S3()), UsePathStyle: true, HTTPClient: client(t, s),
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
		Retryer:     aws.NopRetryer{},
	})
}

// code is the S3 error code, or empty.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestRightsOnS3(t *testing.T) {
	s := start(t, sandbox.Options{})
	put := func(c *s3.Client) error {
		_, err := c.PutObject(context.Background(), &s3.PutObjectInput{
			Bucket: aws.String("demo"), Key: aws.String("a/b.txt"), Body: strings.NewReader("hello"),
		})
		return err
	}
	get := func(c *s3.Client) error {
		out, err := c.GetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String("demo"), Key: aws.String("a/b.txt")})
		if err == nil {
			defer out.Body.Close()
			if data, err := io.ReadAll(out.Body); err != nil || string(data) != "hello" {
				t.Errorf("read %q %v", data, err)
			}
		}
		return err
	}
	list := func(c *s3.Client) error {
		_, err := c.ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: aws.String("demo")})
		return err
	}
	buckets := func(c *s3.Client) error {
		_, err := c.ListBuckets(context.Background(), &s3.ListBucketsInput{})
		return err
	}
	const no = "AccessDenied"
	for _, c := range []struct {
		user                    string
		put, get, list, buckets string
	}{
		{"alice", "", "", "", ""},
		{"bob", no, "", "", no},
		{"carol", no, no, no, no},
	} {
		access, secret := newKey(t, s, c.user)
		as := s3As(t, s, access, secret)
		for _, step := range []struct {
			name string
			do   func(*s3.Client) error
			want string
		}{{"put", put, c.put}, {"get", get, c.get}, {"list", list, c.list}, {"buckets", buckets, c.buckets}} {
			if got := code(step.do(as)); got != step.want {
				t.Errorf("%s %s: %q, want %q", c.user, step.name, got, step.want)
			}
		}
	}
	last := requests(t, s)
	if l := last[len(last)-1]; l.Server != "s3" || l.User != "carol" || l.Status != http.StatusForbidden || l.Path != "/" {
		t.Errorf("%+v", l)
	}
}

func TestAKeyDiesEverywhereAtOnce(t *testing.T) {
	s := start(t, sandbox.Options{})
	access, secret := newKey(t, s, "alice")
	as := s3As(t, s, access, secret)
	buckets := func() string {
		_, err := as.ListBuckets(context.Background(), &s3.ListBucketsInput{})
		return code(err)
	}
	if got := buckets(); got != "" {
		t.Fatal(got)
	}
	admin := func(method, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.VMS()+"/api/users/non_local_keys/", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("admin", s.Password("admin").Reveal())
		req.Header.Set("Content-Type", "application/json")
		resp, err := client(t, s).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("%s %s: %d", method, body, resp.StatusCode)
		}
	}
	who := `{"access_key":"` + access + `","username":"alice","enabled":`
	admin(http.MethodPatch, who+`false}`)
	if got := buckets(); got != "InvalidAccessKeyId" {
		t.Errorf("disabled: %q", got)
	}
	admin(http.MethodPatch, who+`true}`)
	if got := buckets(); got != "" {
		t.Errorf("enabled again: %q", got)
	}
	if status, _, _ := do(t, s, http.MethodDelete, "alice", "/api/s3keys/"+access+"/"); status != http.StatusNoContent {
		t.Fatal(status)
	}
	if got := buckets(); got != "InvalidAccessKeyId" {
		t.Errorf("deleted: %q", got)
	}
}

func TestASkewedClientIsTurnedAway(t *testing.T) {
	s := start(t, sandbox.Options{})
	access, secret := newKey(t, s, "alice")
	if err := os.WriteFile(filepath.Join(s.Dir(), "clock"), []byte("+16m"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s3As(t, s, access, secret).ListBuckets(context.Background(), &s3.ListBucketsInput{})
	if got := code(err); got != "RequestTimeTooSkewed" {
		t.Errorf("%q", got)
	}
}
