package presign

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync/atomic"

	"github.com/valetkey/valetkey/pkg/secret"
)

// signingKey is the key of one (date, region), ready for HMAC: xored with the
// two pads, each a whole block.
type signingKey struct {
	date         [dateLen]byte
	inner, outer [sha256.BlockSize]byte
}

// sign returns the HMAC-SHA256 of message. crypto/hmac would allocate a state for
// each message.
func (k *signingKey) sign(message []byte) [sha256.Size]byte {
	var sum [sha256.Size]byte
	h := sha256.New()
	h.Write(k.inner[:])
	h.Write(message)
	h.Sum(sum[:0])
	h = sha256.New()
	h.Write(k.outer[:])
	h.Write(sum[:])
	h.Sum(sum[:0])
	return sum
}

// keyCache holds the key that was used last. URLs of a run share a date, except
// around midnight.
type keyCache struct {
	secret secret.Text
	region string
	last   atomic.Pointer[signingKey]
}

// of returns the key for a date written as 20060102.
func (c *keyCache) of(date []byte) *signingKey {
	if k := c.last.Load(); k != nil && string(k.date[:]) == string(date) {
		return k
	}
	k := deriveKey(c.secret, string(date), c.region)
	c.last.Store(k)
	return k
}

// deriveKey narrows the secret to a date, a region and S3, as Signature Version 4 does.
func deriveKey(s secret.Text, date, region string) *signingKey {
	key := append([]byte("AWS4"), s.Bytes()...)
	for _, part := range []string{date, region, "s3", "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		clear(key)
		key = mac.Sum(nil)
	}
	k := &signingKey{}
	copy(k.date[:], date)
	copy(k.inner[:], key)
	copy(k.outer[:], key)
	clear(key)
	for i := range k.inner {
		k.inner[i] ^= 0x36
		k.outer[i] ^= 0x5c
	}
	return k
}
