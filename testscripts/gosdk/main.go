// Command gosdk is the AWS SDK for Go as a client of the sandbox. Nothing is
// configured but what the environment and the AWS config file say.
//
//	gosdk s3    puts, lists, reads and deletes an object, and ends with ok
//	gosdk load  lists a bucket in a loop, and tells a JSON line each round
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	play := load
	if len(os.Args) > 1 && os.Args[1] == "s3" {
		play = objects
	}
	if err := run(play); err != nil {
		fmt.Fprintln(os.Stderr, "gosdk:", err)
		os.Exit(1)
	}
}

func run(play func(context.Context, aws.Config, *s3.Client) error) error {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	return play(ctx, cfg, s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = true
		o.HTTPSignerV4 = signer{v4.NewSigner(func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true })}
	}))
}

// signer signs by the clock of the sandbox.
type signer struct{ *v4.Signer }

func (s signer) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, options ...func(*v4.SignerOptions)) error {
	now := time.Now()
	text, err := os.ReadFile(filepath.Join(os.Getenv("VALETKEY_SANDBOX_DIR"), "clock"))
	if err == nil {
		offset, err := time.ParseDuration(strings.TrimSpace(string(text)))
		if err != nil {
			return err
		}
		now = now.Add(offset)
	}
	return s.Signer.SignHTTP(ctx, c, r, hash, service, region, now, options...)
}

var bucket = aws.String("demo")

func objects(ctx context.Context, _ aws.Config, client *s3.Client) error {
	key, text := aws.String("go/ä b+c"), "hello from Go"
	if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(text)}); err != nil {
		return err
	}
	list, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("go/")})
	if err != nil || len(list.Contents) != 1 {
		return errors.Join(err, fmt.Errorf("listed %d objects", len(list.Contents)))
	}
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return err
	}
	defer object.Body.Close()
	if got, err := io.ReadAll(object.Body); err != nil || string(got) != text {
		return errors.Join(err, fmt.Errorf("read %q", got))
	}
	if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
		return err
	}
	fmt.Println("ok")
	return nil
}

// load lists until the file of LOAD_STOP is there. In each round the cached
// credentials are gone, and three requests share the next ones.
func load(ctx context.Context, cfg aws.Config, client *s3.Client) error {
	cache, ok := cfg.Credentials.(*aws.CredentialsCache)
	if !ok {
		return fmt.Errorf("the credentials are not cached, but %T", cfg.Credentials)
	}
	for {
		if _, err := os.Stat(os.Getenv("LOAD_STOP")); err == nil {
			return nil
		}
		cache.Invalidate()
		for range 3 {
			if _, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket}); err != nil {
				return err
			}
		}
		used, err := cfg.Credentials.Retrieve(ctx)
		if err != nil {
			return err
		}
		line, err := json.Marshal(map[string]any{"key": used.AccessKeyID, "requests": 3})
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
}
