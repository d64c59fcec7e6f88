package s3test

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // Content-MD5 and ETag are MD5 by definition
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// payload is the decoded body of a verified request. Its content may be used
// only after Read has returned io.EOF: every promise the request made about
// its body (length, signature, digests, checksums) is checked there.
type payload struct {
	src    io.Reader
	chunks *chunkReader // nil: not aws-chunked
	size   int64        // as declared, -1: not at all
	read   int64
	err    error

	sha256  string // as declared, "" = not
	md5     string // as declared in base64, "" = not
	announ  []string
	want    *checksum // to hold against got
	sumName string    // the checksum that is computed, "" = none

	hashSHA, hashMD5, hashSum hash.Hash
}

// newPayload prepares the body of a request. headers are the request's own and
// those a presigned URL carries in its query.
func newPayload(r *http.Request, headers http.Header, p *proof) (*payload, *apiError) {
	b := &payload{size: r.ContentLength, hashMD5: md5.New()} //nolint:gosec // see the import
	var src io.Reader = r.Body
	if r.Body == nil {
		src = http.NoBody
	}
	b.src = src
	switch p.payload {
	case unsignedPayload:
	case streamingSigned, streamingSignedTrailer, streamingUnsignedTrailer:
		b.chunks = newChunkReader(src, p)
		b.src = b.chunks
		n, err := strconv.ParseInt(headers.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || n < 0 {
			return nil, errMissingLength.saying("You must provide the x-amz-decoded-content-length HTTP header.")
		}
		b.size = n
	default:
		b.sha256, b.hashSHA = p.payload, sha256.New()
	}
	if values, ok := headers["Content-Md5"]; ok {
		raw, err := base64.StdEncoding.DecodeString(values[0])
		if err != nil || len(raw) != md5.Size || len(values) > 1 {
			return nil, errInvalidDigest
		}
		b.md5 = base64.StdEncoding.EncodeToString(raw)
	}
	return b, b.prepareChecksum(headers)
}

// prepareChecksum reads which checksum the headers carry or the trailer will.
func (b *payload) prepareChecksum(headers http.Header) *apiError {
	want, err := headerChecksum(headers)
	if err != nil {
		return err
	}
	if want != nil {
		b.want, b.sumName = want, want.name
	}
	for name := range strings.SplitSeq(strings.Join(headers.Values("X-Amz-Trailer"), ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
			continue
		}
		b.announ = append(b.announ, name)
		sum, ok := strings.CutPrefix(name, checksumHeader)
		if _, known := checksums[sum]; !ok || !known || b.chunks == nil || !b.chunks.trailing {
			return errInvalidRequest.saying("The value specified in the x-amz-trailer header is not supported")
		}
		if b.sumName != "" {
			return errInvalidRequest.saying("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		b.sumName = sum
	}
	if b.sumName != "" {
		b.hashSum = checksums[b.sumName].new()
	}
	return nil
}

// compute asks for a checksum that the request did not send.
func (b *payload) compute(name string) {
	if b.sumName == "" {
		b.sumName, b.hashSum = name, checksums[name].new()
	}
}

func (b *payload) Read(buf []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(buf)
	b.read += int64(n)
	for _, h := range []hash.Hash{b.hashMD5, b.hashSHA, b.hashSum} {
		if h != nil {
			_, _ = h.Write(buf[:n])
		}
	}
	switch {
	case b.size >= 0 && b.read > b.size:
		err = errIncompleteBody.saying("The request body is longer than it was declared to be")
	case errors.Is(err, io.EOF):
		if failed := b.finish(); failed != nil {
			err = failed
		} else {
			err = io.EOF
		}
	case err != nil:
		err = incomplete(err)
	}
	b.err = err
	return n, err
}

func (b *payload) finish() *apiError {
	if b.size >= 0 && b.read != b.size {
		return errIncompleteBody
	}
	if b.sha256 != "" {
		if got := hex.EncodeToString(b.hashSHA.Sum(nil)); !equal(got, b.sha256) {
			return errSHA256Mismatch.
				with("ClientComputedContentSHA256", b.sha256).with("S3ComputedContentSHA256", got)
		}
	}
	if b.md5 != "" {
		if got := encodeSum(b.hashMD5); got != b.md5 {
			return errBadDigest.saying("The Content-MD5 you specified did not match what we received.").
				with("ExpectedDigest", b.md5).with("CalculatedDigest", got)
		}
	}
	if b.chunks != nil {
		if err := b.takeTrailer(); err != nil {
			return err
		}
	}
	if b.want != nil && encodeSum(b.hashSum) != b.want.value {
		return errBadDigest.saying("The " + strings.ToUpper(b.sumName) + " you specified did not match the calculated checksum.")
	}
	return nil
}

// takeTrailer holds the trailer against what was announced: no more, no less.
func (b *payload) takeTrailer() *apiError {
	if len(b.chunks.trailer) != len(b.announ) {
		return errMalformedTrailer
	}
	for _, name := range b.announ {
		value, ok := b.chunks.trailer[name]
		if !ok {
			return errMalformedTrailer
		}
		if !validSum(b.sumName, value) {
			return errInvalidRequest.saying("Value for " + name + " trailing header is invalid.")
		}
		b.want = &checksum{b.sumName, value}
	}
	return nil
}

// sum is the checksum of the body, after its end; nil if none was asked for.
func (b *payload) sum() *checksum {
	if b.sumName == "" {
		return nil
	}
	return &checksum{b.sumName, encodeSum(b.hashSum)}
}

// etag is the ETag of the body, after its end, without quotes.
func (b *payload) etag() string { return hex.EncodeToString(b.hashMD5.Sum(nil)) }
