package s3test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"
)

const (
	maxChunkLine    = 1 << 10  // a chunk header, or a line of the trailer
	maxTrailerLines = 16       //
	maxChunkDigits  = 15       // hex digits of a chunk's size: below 2^60
	chunkBuffer     = 32 << 10 // what is read ahead of the consumer
)

var errMalformedChunk = errInvalidRequest.saying("The aws-chunked body is not well-formed.")

// chunkReader decodes an aws-chunked body. With a sign function it verifies the
// signature of every chunk once the chunk has been read; what it has handed out
// by then must not be used before Read has returned io.EOF.
//
//	SIZE[;chunk-signature=SIGNATURE]\r\n DATA\r\n … 0[;chunk-signature=…]\r\n [NAME:VALUE\r\n …] \r\n
type chunkReader struct {
	src      *bufio.Reader
	sign     func(kind, previous string, hashes ...string) string // nil: unsigned
	previous string
	trailing bool // a trailer follows the last chunk

	left    int64 // of the current chunk
	hash    hash.Hash
	claimed string // the signature of the current chunk
	err     error
	trailer map[string]string // names in lower case; complete at io.EOF
}

func newChunkReader(r io.Reader, p *proof) *chunkReader {
	c := &chunkReader{src: bufio.NewReaderSize(r, chunkBuffer), hash: sha256.New(), trailer: map[string]string{}}
	if p.payload != streamingUnsignedTrailer {
		c.sign, c.previous = p.signChained, p.signature
	}
	c.trailing = p.payload != streamingSigned
	return c
}

func (c *chunkReader) Read(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		if c.err = c.next(); c.err != nil {
			return 0, c.err
		}
	}
	if int64(len(b)) > c.left {
		b = b[:c.left]
	}
	n, err := c.src.Read(b)
	c.left -= int64(n)
	if c.sign != nil {
		_, _ = c.hash.Write(b[:n])
	}
	switch {
	case err != nil:
		c.err = incomplete(err)
	case c.left == 0:
		c.err = c.endOfChunk()
	}
	return n, c.err
}

// incomplete turns the early end of a body into the error S3 has for it.
func incomplete(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errIncompleteBody
	}
	return err
}

// next reads a chunk's header; after the last chunk it reads the trailer and returns io.EOF.
func (c *chunkReader) next() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	digits, extension, _ := strings.Cut(line, ";")
	size, ok := parseHex(digits)
	if !ok {
		return errMalformedChunk
	}
	if c.sign != nil {
		if c.claimed, ok = strings.CutPrefix(extension, "chunk-signature="); !ok {
			return errMalformedChunk
		}
	}
	c.left = size
	if size > 0 {
		return nil
	}
	if err := c.checkChunk(); err != nil {
		return err
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	return io.EOF
}

func parseHex(digits string) (int64, bool) {
	if digits == "" || len(digits) > maxChunkDigits {
		return 0, false
	}
	var n int64
	for _, d := range []byte(digits) {
		i := strings.IndexByte("0123456789abcdef", d|0x20)
		if i < 0 || d < '0' {
			return 0, false
		}
		n = n<<4 | int64(i)
	}
	return n, true
}

func (c *chunkReader) endOfChunk() error {
	if line, err := c.line(); err != nil {
		return err
	} else if line != "" {
		return errMalformedChunk
	}
	return c.checkChunk()
}

func (c *chunkReader) checkChunk() error {
	if c.sign == nil {
		return nil
	}
	want := c.sign("AWS4-HMAC-SHA256-PAYLOAD", c.previous, hexSHA256(nil), hex.EncodeToString(c.hash.Sum(nil)))
	c.hash.Reset()
	if !equal(want, c.claimed) {
		return errSignatureMismatch.with("ChunkSignatureProvided", c.claimed)
	}
	c.previous = want
	return nil
}

// readTrailer reads to the empty line that ends the body. Nothing may follow it.
func (c *chunkReader) readTrailer() error {
	var signed strings.Builder
	signature := ""
	for n := 0; ; n++ {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		_, twice := c.trailer[name]
		if !ok || !c.trailing || twice || n >= maxTrailerLines || signature != "" {
			return errMalformedTrailer
		}
		if name == "x-amz-trailer-signature" && c.sign != nil {
			signature = value
			continue
		}
		c.trailer[name] = value
		signed.WriteString(name + ":" + value + "\n")
	}
	if c.sign != nil && c.trailing {
		want := c.sign("AWS4-HMAC-SHA256-TRAILER", c.previous, hexSHA256([]byte(signed.String())))
		if !equal(want, signature) {
			return errSignatureMismatch.with("TrailerSignatureProvided", signature)
		}
	}
	switch _, err := c.src.ReadByte(); {
	case err == nil:
		return errMalformedTrailer
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// line reads up to a newline and drops it, with the carriage return before it.
func (c *chunkReader) line() (string, error) {
	var line []byte
	for {
		b, err := c.src.ReadByte()
		switch {
		case err != nil:
			return "", incomplete(err)
		case b == '\n':
			return strings.TrimSuffix(string(line), "\r"), nil
		case len(line) >= maxChunkLine:
			return "", errMalformedChunk
		}
		line = append(line, b)
	}
}
