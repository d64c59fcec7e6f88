package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// s3 writes and reads an object: with the AWS CLI if there is one, else with the
// AWS SDK for Go. Neither is given a credential: both call credential_process.
func (s *story) s3() {
	if s.err != nil {
		return
	}
	if aws, err := exec.LookPath("aws"); err == nil && exec.CommandContext(s.ctx, aws, "--version").Run() == nil { //nolint:gosec // the AWS CLI
		endpoint := os.Getenv("VALETKEY_S3_ENDPOINT")
		s.aws(aws, "hello from the AWS CLI\n", "--endpoint-url", endpoint, "s3", "cp", "-", "s3://demo/hello.txt")
		s.aws(aws, "", "--endpoint-url", endpoint, "s3", "ls", "s3://demo/")
		return
	}
	s.err = s.sdk()
}

func (s *story) aws(program, input string, args ...string) {
	if s.err != nil {
		return
	}
	fmt.Printf("\n$ aws %s\n", strings.Join(args, " "))
	cmd := exec.CommandContext(s.ctx, program, args...) //nolint:gosec // the AWS CLI
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		s.err = fmt.Errorf("aws %s: %w", strings.Join(args, " "), err)
	}
}

func (s *story) sdk() error {
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	fmt.Println("\n(no AWS CLI here: the AWS SDK for Go, with its default configuration)")
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	body := "hello from the AWS SDK for Go\n"
	if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("demo"), Key: aws.String("hello.txt"), Body: strings.NewReader(body)}); err != nil {
		return fmt.Errorf("put demo/hello.txt: %w", err)
	}
	fmt.Println("put demo/hello.txt")
	list, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("demo")})
	if err != nil {
		return fmt.Errorf("list demo: %w", err)
	}
	for _, o := range list.Contents {
		fmt.Printf("%6d  %s\n", aws.ToInt64(o.Size), aws.ToString(o.Key))
	}
	return nil
}

// fetch presigns a URL and gets it with a plain HTTP client that has no key.
func (s *story) fetch(uri string) {
	if s.err != nil {
		return
	}
	args := []string{"presign", uri, "--expires", "10m"}
	var out bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		s.fail(err, args)
		return
	}
	link := strings.TrimSpace(out.String())
	shown, _, _ := strings.Cut(link, "X-Amz-Signature=")
	fmt.Printf("%sX-Amz-Signature=...\n\n$ curl URL\n", shown)
	s.err = s.get(link)
}

func (s *story) get(link string) error {
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(os.Getenv("AWS_CA_BUNDLE"))
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		return errors.Join(errors.New("read the sandbox's CA"), err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("get the presigned URL: %s %w", resp.Status, err)
	}
	fmt.Print(string(body))
	return nil
}

// deleteAll deletes every key of alice.
func (s *story) deleteAll() {
	if s.err != nil {
		return
	}
	out, err := exec.CommandContext(s.ctx, s.binary, "keys", "list", "-o", "json").Output() //nolint:gosec // our own program
	var keys []struct {
		AccessKey string `json:"access_key"`
	}
	if err == nil {
		err = json.Unmarshal(out, &keys)
	}
	if err != nil {
		s.err = fmt.Errorf("list the keys: %w", err)
		return
	}
	for _, k := range keys {
		s.valetkey("keys", "delete", k.AccessKey, "--yes")
	}
}
