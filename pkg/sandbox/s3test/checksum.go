package s3test

import (
	"crypto/sha1" //nolint:gosec // S3 offers SHA-1 as a checksum, not as protection
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
	"sync"
)

// checksumHeader is the prefix of the headers and trailers that carry a checksum.
const checksumHeader = "x-amz-checksum-"

// The checksum algorithms of S3 by their names in headers, and whether one over
// a whole multipart object is the default.
var checksums = map[string]struct {
	new       func() hash.Hash
	fullByDef bool
}{
	"crc32":     {func() hash.Hash { return crc32.NewIEEE() }, false},
	"crc32c":    {func() hash.Hash { return crc32.New(castagnoli()) }, false},
	"crc64nvme": {func() hash.Hash { return crc64.New(nvme()) }, true},
	"sha1":      {sha1.New, false},
	"sha256":    {sha256.New, false},
}

// The tables are made when a checksum is asked for: this package is linked into
// a program whose other commands need none.
var (
	castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })
	// The polynomial of the NVMe specification, 0xad93d23594c93659 read from its other end.
	nvme = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(0x9a6c9329ac4bc9b5) })
)

// checksum is a named value in base64, as headers carry it.
type checksum struct{ name, value string }

func encodeSum(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }

// validSum reports whether value is base64 of as many bytes as the algorithm makes.
func validSum(name, value string) bool {
	b, err := base64.StdEncoding.DecodeString(value)
	return err == nil && len(b) == checksums[name].new().Size()
}

// headerChecksum finds the one checksum among the headers; more than one, an
// unknown or a malformed one is refused.
func headerChecksum(h http.Header) (*checksum, *apiError) {
	var found *checksum
	for header, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(header), checksumHeader)
		if !ok || name == "mode" || name == "algorithm" || name == "type" {
			continue
		}
		if _, known := checksums[name]; !known {
			return nil, errInvalidRequest.saying("The algorithm type you specified in " + checksumHeader + name + " is invalid.")
		}
		if found != nil || len(values) != 1 {
			return nil, errInvalidRequest.saying("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		if !validSum(name, values[0]) {
			return nil, errInvalidRequest.saying("Value for " + checksumHeader + name + " header is invalid.")
		}
		found = &checksum{name, values[0]}
	}
	return found, nil
}
