package cli

import (
	"context"
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/accesskey"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/presign"
	"github.com/valetkey/valetkey/pkg/wire"
)

// A new key is proven by asking for an object that is not there: that the server
// refuses or misses it shows that it took the signature.
const (
	proofBucket = "valetkey-proof"
	proofKey    = "no-such-object"
	maxProof    = 64 << 10
)

// prover returns what tries a key at s3.endpoint, or nil where none is set. What
// is wrong with the settings is said here, before a key is issued.
func (a *app) prover() (accesskey.Proof, error) {
	s3, err := a.set.S3()
	if err != nil || s3.Endpoint.Text() == "" {
		return nil, err
	}
	config := presign.Config{
		Endpoint: endpointURL(s3.Endpoint.Text()), Region: s3.Region.Text(), Addressing: presign.Addressing(s3.Addressing.Text()),
	}
	request := presign.Request{Method: http.MethodGet, Bucket: proofBucket, Key: proofKey, Expires: time.Hour, Time: a.clock()}
	if err := presign.Check(config, request); err != nil {
		return nil, failure.Annotate(err, "s3.endpoint (%s)", s3.Endpoint.Source)
	}
	options := a.transport("s3", s3.Endpoint, s3.TLS)
	client, err := wire.NewHTTP(options)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c accesskey.Credentials) error {
		config, request := config, request
		config.Credentials = presign.Credentials{AccessKey: c.AccessKey, SecretKey: c.SecretKey}
		request.Time = a.clock()
		signer, err := presign.NewSigner(config)
		if err != nil {
			return err
		}
		signed, err := signer.URL(request)
		if err != nil {
			return err
		}
		call, err := http.NewRequestWithContext(ctx, http.MethodGet, signed.URL, nil)
		if err != nil {
			return failure.New(failure.Internal, "make the request that proves a key")
		}
		answer, err := client.Do(call)
		if err != nil {
			return wire.Explain(options, err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := wire.ReadBody(answer.Body, maxProof)
		if err != nil {
			return wire.Explain(options, err)
		}
		return judgeProof(answer.StatusCode, body)
	}, nil
}

// judgeProof tells whether S3 took the signature. A refusal over the time of the
// request comes before the signature is looked at, and proves nothing.
func judgeProof(status int, body []byte) error {
	var e struct {
		Code    string `xml:"Code"`
		Message string `xml:"Message"`
	}
	_ = xml.Unmarshal(body, &e) // what is no S3 error has no code
	untimely := strings.Contains(e.Message, "expired") || strings.Contains(e.Message, "not yet valid")
	switch {
	case status >= 200 && status < 300,
		e.Code == "AccessDenied" && !untimely,
		e.Code == "NoSuchBucket", e.Code == "NoSuchKey":
		return nil
	case e.Code == "InvalidAccessKeyId":
		return failure.Wrap(failure.NotFound, accesskey.ErrKeyRefused, "S3 answers %s", e.Code)
	case e.Code == "SignatureDoesNotMatch":
		return failure.Wrap(failure.Auth, accesskey.ErrKeyRefused, "S3 answers %s", e.Code)
	case untimely, e.Code == "RequestTimeTooSkewed":
		return failure.New(failure.Network, "S3 finds the time of the request wrong").
			WithHint("set the clock of this machine")
	case e.Code == "":
		return failure.New(failure.Network, "s3.endpoint answers %d, and not as S3 does", status)
	}
	return failure.New(failure.Network, "S3 answers %d %s", status, e.Code)
}
