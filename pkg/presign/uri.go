package presign

import (
	"strings"

	"github.com/valetkey/valetkey/pkg/failure"
)

// ParseURI splits s3://BUCKET/KEY. The key is all that follows the first slash
// behind the bucket, byte for byte: nothing is decoded, trimmed or tidied. What
// does not begin with s3://, or lacks a bucket or a key, is Usage; a key over
// 1,024 bytes is TooLarge.
func ParseURI(uri string) (bucket, key string, err error) {
	const scheme = "s3://"
	if len(uri) < len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return "", "", failure.New(failure.Usage, "%q does not begin with s3://", shorten(uri)).WithHint("such as s3://bucket/key")
	}
	bucket, key, _ = strings.Cut(uri[len(scheme):], "/")
	if err := checkBucket(bucket, false); err != nil {
		return "", "", err
	}
	switch {
	case key == "":
		return "", "", failure.New(failure.Usage, "s3://%s names no object", bucket).WithHint("such as s3://%s/report.csv", bucket)
	case len(key) > MaxKeyBytes:
		return "", "", failure.New(failure.TooLarge, "the object key is %d bytes long; S3 allows %d", len(key), MaxKeyBytes)
	}
	return bucket, key, nil
}

// shorten keeps a message readable.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
