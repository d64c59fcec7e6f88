package s3test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/valetkey/valetkey/pkg/secret"
)

// The ways a request declares its body in x-amz-content-sha256.
const (
	unsignedPayload          = "UNSIGNED-PAYLOAD"
	streamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// proof is a claim that was verified, with what is needed to verify the body.
type proof struct {
	claim
	payload    string // the declared x-amz-content-sha256
	signingKey []byte
}

// signChained signs the parts of a streamed body, each with the signature before it.
func (p *proof) signChained(kind, previous string, hashes ...string) string {
	return hex.EncodeToString(hmacSHA256(p.signingKey,
		kind+"\n"+p.stamp+"\n"+p.scope()+"\n"+previous+"\n"+strings.Join(hashes, "\n")))
}

func hmacSHA256(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(message))
	return h.Sum(nil)
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func signingKey(sec secret.Text, date, region string) []byte {
	key := append([]byte("AWS4"), sec.Bytes()...)
	defer clear(key)
	k := hmacSHA256(key, date)
	k = hmacSHA256(k, region)
	k = hmacSHA256(k, "s3")
	return hmacSHA256(k, "aws4_request")
}

// declaredPayload is the value the canonical request ends with.
func declaredPayload(r *http.Request, t *target, c *claim) (string, *apiError) {
	values := r.Header.Values("X-Amz-Content-Sha256")
	if c.presigned && len(values) == 0 {
		if v, ok := t.first("X-Amz-Content-Sha256"); ok {
			values = []string{v}
		} else {
			values = []string{unsignedPayload}
		}
	}
	switch {
	case len(values) == 0:
		return "", errMissingSHA256
	case len(values) > 1:
		return "", errInvalidArgument.saying("x-amz-content-sha256 is given twice.")
	}
	switch v := values[0]; v {
	case unsignedPayload, streamingSigned, streamingSignedTrailer, streamingUnsignedTrailer:
		return v, nil
	default:
		if len(v) == 64 && strings.Trim(v, "0123456789abcdef") == "" {
			return v, nil
		}
		return "", errInvalidArgument.saying("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.").
			with("ArgumentName", "x-amz-content-sha256").with("ArgumentValue", v)
	}
}

// headerValues returns a header as it was sent, also one that net/http keeps
// elsewhere than in the header map.
func headerValues(r *http.Request, name string) []string {
	switch name {
	case "host":
		return []string{r.Host}
	case "transfer-encoding":
		return r.TransferEncoding
	case "content-length":
		if v := r.Header.Values(name); len(v) > 0 {
			return v
		}
		if r.ContentLength >= 0 {
			return []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		return nil
	}
	return r.Header.Values(name)
}

// checkSignedHeaders refuses a list without host, and requests whose x-amz-
// headers could have been added by somebody who cannot sign.
func checkSignedHeaders(r *http.Request, c *claim) *apiError {
	if !slices.Contains(c.signed, "host") {
		return errUnsignedHeaders.with("HeadersNotSigned", "host")
	}
	var loose []string
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(c.signed, name) {
			loose = append(loose, name)
		}
	}
	if len(loose) > 0 {
		slices.Sort(loose)
		return errUnsignedHeaders.with("HeadersNotSigned", strings.Join(loose, ", "))
	}
	return nil
}

// collapse trims spaces and makes a run of them one. Other white space stays:
// signers do not touch it either.
func collapse(v string) string {
	v = strings.Trim(v, " ")
	for strings.Contains(v, "  ") {
		v = strings.ReplaceAll(v, "  ", " ")
	}
	return v
}

// canonicalRequest is the text that was signed, apart from its hash.
func canonicalRequest(r *http.Request, t *target, c *claim, payload string) (string, *apiError) {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + escape(t.path, true) + "\n" + t.canonicalQuery() + "\n")
	for _, name := range c.signed {
		values := headerValues(r, name)
		if len(values) == 0 {
			return "", errSignatureMismatch.saying("The signed header " + name + " is not in the request.")
		}
		b.WriteString(name + ":")
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(collapse(v))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n" + strings.Join(c.signed, ";") + "\n" + payload)
	return b.String(), nil
}

// verify recomputes the signature of a claim with the secret key.
func verify(r *http.Request, t *target, c *claim, sec secret.Text) (*proof, *apiError) {
	if err := checkSignedHeaders(r, c); err != nil {
		return nil, err
	}
	payload, err := declaredPayload(r, t, c)
	if err != nil {
		return nil, err
	}
	canonical, err := canonicalRequest(r, t, c, payload)
	if err != nil {
		return nil, err
	}
	p := &proof{claim: *c, payload: payload, signingKey: signingKey(sec, c.date, c.region)}
	toSign := algorithm + "\n" + c.stamp + "\n" + c.scope() + "\n" + hexSHA256([]byte(canonical))
	want := hex.EncodeToString(hmacSHA256(p.signingKey, toSign))
	if !hmac.Equal([]byte(want), []byte(c.signature)) {
		// What was signed here helps to find the difference, and holds no secret.
		return nil, errSignatureMismatch.
			with("AWSAccessKeyId", c.accessKey).
			with("StringToSign", toSign).
			with("SignatureProvided", c.signature).
			with("CanonicalRequest", canonical)
	}
	return p, nil
}
